lacuna_test(plan_lists SOURCES plan_lists.test.cpp LINKS lacuna_plan lacuna_lang)
