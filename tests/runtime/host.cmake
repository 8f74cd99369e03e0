set(host ${CMAKE_CURRENT_LIST_DIR}/host)
add_library(lacuna_host_bench STATIC ${host}/bench.cpp ${host}/model.cpp ${host}/model_integer.cpp ${host}/model_compare.cpp
  ${host}/model_float.cpp ${host}/model_convert.cpp ${host}/nvrtc.cpp)
target_link_libraries(lacuna_host_bench PUBLIC lacuna_host fmt::fmt ${CMAKE_DL_LIBS})
lacuna_test(host_rows SOURCES ${host}/rows.test.cpp ${host}/memory_rows.test.cpp ${host}/matrix.test.cpp
  ${host}/async.test.cpp LINKS lacuna_host_bench)
lacuna_test(host SOURCES ${host}/warp.test.cpp ${host}/control.test.cpp ${host}/barrier.test.cpp ${host}/faults.test.cpp
  ${host}/load.test.cpp ${host}/contract.test.cpp ${host}/mbarrier.test.cpp
  ${host}/kernels.test.cpp ${host}/parser.test.cpp LINKS lacuna_host_bench)
lacuna_test(host_check SOURCES ${host}/observer.test.cpp ${host}/check_races.test.cpp
  ${host}/check_values.test.cpp ${host}/check_copies.test.cpp LINKS lacuna_host_bench)
lacuna_test(host_fuzz SOURCES ${host}/fuzz.test.cpp LINKS lacuna_host_bench)
add_executable(host_speed EXCLUDE_FROM_ALL ${host}/speed.cpp)
target_link_libraries(host_speed PRIVATE lacuna_host_bench)
