add_library(lacuna_compilers_fixture INTERFACE)
target_link_libraries(lacuna_compilers_fixture INTERFACE
  lacuna_nvrtc lacuna_llvm_loader lacuna_source fmt::fmt Threads::Threads)

# The plug-in is opened, not linked: a test needs it built, where it can be built.
function(lacuna_compilers_test name)
  lacuna_test(${name} ${ARGN})
  if(TARGET ${name}_test AND TARGET lacuna_llvm)
    add_dependencies(${name}_test lacuna_llvm)
  endif()
endfunction()

lacuna_compilers_test(compilers
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/compilers.test.cpp
          ${CMAKE_CURRENT_LIST_DIR}/compilers_errors.test.cpp
          ${CMAKE_CURRENT_LIST_DIR}/compilers_fixture.cpp
  LINKS lacuna_compilers_fixture)
# Alone, because it needs a process that has no NVRTC yet.
lacuna_test(compilers_search
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/compilers_search.test.cpp
  LINKS lacuna_compilers_fixture)
lacuna_test(compilers_registers
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/compilers_registers.test.cpp ${CMAKE_CURRENT_LIST_DIR}/compilers_fixture.cpp
  LINKS lacuna_compilers_fixture lacuna_codegen lacuna_lang lacuna_fuzz)
lacuna_test(compilers_math
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/compilers_math.test.cpp ${CMAKE_CURRENT_LIST_DIR}/compilers_inverse.test.cpp
  LINKS lacuna_ir)
if(TARGET lacuna_host)
  lacuna_compilers_test(compilers_run
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/compilers_run.test.cpp
            ${CMAKE_CURRENT_LIST_DIR}/compilers_tensor.test.cpp
            ${CMAKE_CURRENT_LIST_DIR}/compilers_fixture.cpp
    LINKS lacuna_compilers_fixture lacuna_host lacuna_ir)
endif()
