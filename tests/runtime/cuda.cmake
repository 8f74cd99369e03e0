# Three executables: the fake driver and the real one cannot live in one process.
if(NOT LACUNA_TESTS)
  return()
endif()
set(here ${CMAKE_CURRENT_LIST_DIR})

add_library(fake_cuda SHARED ${here}/fake_cuda.cpp)
set_target_properties(fake_cuda PROPERTIES
  OUTPUT_NAME cuda
  SOVERSION 1
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/fake_cuda)
target_link_libraries(fake_cuda PRIVATE fmt::fmt)
lacuna_test(cuda SOURCES ${here}/cuda_launch.test.cpp ${here}/cuda_refuse.test.cpp
  LINKS lacuna_cuda ${CMAKE_DL_LIBS})
add_dependencies(cuda_test fake_cuda)
target_compile_definitions(cuda_test PRIVATE
  LACUNA_FAKE_CUDA_LIBRARY="${CMAKE_BINARY_DIR}/tests/fake_cuda/libcuda.so.1")

lacuna_test(cuda_gpu SOURCES ${here}/cuda_gpu.test.cpp LINKS lacuna_cuda LABELS gpu)

file(GLOB toolkits /usr/local/cuda*/include /usr/local/cuda*/targets/x86_64-linux/include)
find_file(LACUNA_CUDA_H cuda.h HINTS ${toolkits} ENV CUDA_HOME PATH_SUFFIXES include
  DOC "a cuda.h to hold our own declarations against; not needed")
lacuna_test(cuda_abi SOURCES ${here}/cuda_abi.test.cpp LINKS lacuna_shared_library)
if(LACUNA_CUDA_H)
  target_compile_definitions(cuda_abi_test PRIVATE LACUNA_CUDA_H="${LACUNA_CUDA_H}")
else()
  message(STATUS "no cuda.h: our declarations of the driver are not compared with NVIDIA's")
endif()
set_tests_properties(cuda_gpu cuda_abi PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
