lacuna_test(engine
  SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/engine.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_pack.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_decode.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_entmax.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_entmax_run.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_lists.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_lists_run.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_tiles.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_tiles_run.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_environment.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_latency.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_run.test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/engine_schedule.test.cpp
  LINKS lacuna_engine)
