lacuna_test(intervals
  SOURCES intervals.test.cpp classify.test.cpp
  LINKS lacuna_plan lacuna_lang lacuna_fuzz)
