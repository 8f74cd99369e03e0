lacuna_test(plan SOURCES plan.test.cpp LINKS lacuna_plan lacuna_lang)
lacuna_test(codegen SOURCES codegen.test.cpp LINKS lacuna_codegen lacuna_lang)
lacuna_test(inverse SOURCES inverse.test.cpp LINKS lacuna_plan lacuna_lang)
lacuna_test(inside SOURCES inside.test.cpp LINKS lacuna_plan lacuna_lang lacuna_fuzz)
