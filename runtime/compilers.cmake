# What the two compilers share.
if(NOT TARGET lacuna_source)
  include(${PROJECT_SOURCE_DIR}/compiler/codegen/templates.cmake)
endif()
add_library(lacuna_compile_failure STATIC ${CMAKE_CURRENT_LIST_DIR}/compile_failure.cpp)
target_link_libraries(lacuna_compile_failure PUBLIC fmt::fmt)
