enable_language(C)

# The C ABI from a C program that sees lacuna.h and liblacuna.so alone.
add_executable(c_api_test ${CMAKE_CURRENT_LIST_DIR}/c_api.c)
set_target_properties(c_api_test PROPERTIES
  C_STANDARD 11 C_EXTENSIONS OFF C_STANDARD_REQUIRED ON
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_compile_options(c_api_test PRIVATE -Wpedantic -Werror)
target_link_libraries(c_api_test PRIVATE lacuna_shared Threads::Threads m)
add_test(NAME c_api COMMAND c_api_test)

# Every public header by itself: C++ ones as C++20, lacuna.h as C11 and as C++.
file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include
     ${PROJECT_SOURCE_DIR}/include/lacuna/*.hpp ${PROJECT_SOURCE_DIR}/include/lacuna/*.h)
set(alone "")
foreach(header ${headers})
  string(MAKE_C_IDENTIFIER ${header} name)
  set(languages cpp)
  if(header MATCHES "[.]h$")
    list(APPEND languages c)
  endif()
  foreach(language ${languages})
    set(file ${CMAKE_CURRENT_BINARY_DIR}/alone/${name}.${language})
    file(CONFIGURE OUTPUT ${file} CONTENT "#include \"${header}\"\n")
    list(APPEND alone ${file})
  endforeach()
endforeach()
add_library(public_headers_alone OBJECT ${alone})
target_compile_options(public_headers_alone PRIVATE -Wpedantic -Werror)

# liblacuna.so shows frameworks its own names and brings neither LLVM nor CUDA.
add_test(NAME exports
  COMMAND ${CMAKE_COMMAND} -DLIBRARY=$<TARGET_FILE:lacuna_shared> -DHEADER=${PROJECT_SOURCE_DIR}/include/lacuna/lacuna.h
          -DNM=${CMAKE_NM} -DREADELF=${CMAKE_READELF} -P ${PROJECT_SOURCE_DIR}/tests/exports.cmake)
set_tests_properties(c_api exports PROPERTIES TIMEOUT 120)
