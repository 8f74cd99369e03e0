lacuna_test(ir SOURCES ir_graph.test.cpp ir_evaluate.test.cpp LINKS lacuna_fuzz)
