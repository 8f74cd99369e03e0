lacuna_test(ir
  SOURCES ir_graph.test.cpp ir_evaluate.test.cpp ir_call.test.cpp ir_weigh.test.cpp ir_reference.test.cpp
  LINKS lacuna_fuzz)
