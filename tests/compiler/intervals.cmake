lacuna_test(intervals
  SOURCES intervals.test.cpp classify.test.cpp classify_code.test.cpp tile_map.test.cpp
  LINKS lacuna_codegen lacuna_lang lacuna_fuzz)
