if(TARGET lacuna_host)
  set(tile_lists ${CMAKE_CURRENT_LIST_DIR}/tile_lists_fixture.cpp ${CMAKE_CURRENT_LIST_DIR}/tile_patterns.cpp
      ${CMAKE_CURRENT_LIST_DIR}/compilers_fixture.cpp)
  lacuna_compilers_test(tile_lists
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/tile_lists.test.cpp ${tile_lists}
    LINKS lacuna_compilers_fixture lacuna_host lacuna_plan lacuna_lang)
endif()
