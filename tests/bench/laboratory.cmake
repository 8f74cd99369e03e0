lacuna_test(laboratory SOURCES laboratory/memory_cost.test.cpp laboratory/sass.test.cpp laboratory/study.test.cpp laboratory/products.test.cpp
  LINKS lacuna_laboratory lacuna_host_bench)
