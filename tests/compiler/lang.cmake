lacuna_test(base SOURCES base.test.cpp LINKS lacuna_base)
file(GLOB lang_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/lang_*.test.cpp)
lacuna_test(lang SOURCES ${lang_tests} LINKS lacuna_lang lacuna_fuzz)
