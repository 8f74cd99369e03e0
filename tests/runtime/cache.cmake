lacuna_test(cache
  SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/cache_disk.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/cache_memory.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/cache_process.test.cpp
  LINKS lacuna_cache)
