# What scripts/gpu.sh carries to a machine with a GPU that has no compiler, no package of ours and another distribution:
# the conformance and the CUDA tests and the library for Python, linked once more so that they need the C library alone.
# No object is compiled twice. LLVM is opened at run time and is not among them: NVRTC compiles there.
option(LACUNA_GPU_BUNDLE "also link the tests as scripts/gpu.sh carries them" ${LACUNA_TESTS})
if(NOT LACUNA_GPU_BUNDLE OR NOT LACUNA_TESTS OR LACUNA_SANITIZE)
  return()
endif()

add_library(lacuna_gpu_fmt OBJECT ${CMAKE_CURRENT_LIST_DIR}/fmt.cpp)
target_compile_options(lacuna_gpu_fmt PRIVATE -fkeep-inline-functions)

# libfmt.so stays on the line, behind an object that has everything: the linker then drops it.
function(lacuna_gpu_link target of)
  get_target_property(libraries ${of} LINK_LIBRARIES)
  target_link_libraries(${target} PRIVATE ${libraries})
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${of}> $<TARGET_OBJECTS:lacuna_gpu_fmt>)
  target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc -Wl,--as-needed -s)
  set_target_properties(${target} PROPERTIES
    LINKER_LANGUAGE CXX
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/gpu
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/gpu)
endfunction()

set(carried cuda_gpu conformance_entmax conformance_entmax_kept conformance)  # scripts/gpu.sh and suite.py have the same
foreach(test ${carried})
  add_executable(gpu_${test})
  lacuna_gpu_link(gpu_${test} ${test}_test)
  set_target_properties(gpu_${test} PROPERTIES OUTPUT_NAME ${test}_test)
endforeach()

set(exports ${PROJECT_SOURCE_DIR}/runtime/exports.map)
add_library(gpu_library SHARED)
lacuna_gpu_link(gpu_library lacuna_shared)
set_property(TARGET gpu_library PROPERTY LINK_LIBRARY_OVERRIDE "WHOLE_ARCHIVE,lacuna_engine,lacuna_lang")
set_target_properties(gpu_library PROPERTIES OUTPUT_NAME lacuna LINK_DEPENDS ${exports})
target_link_options(gpu_library PRIVATE -Wl,--version-script=${exports} -Wl,--no-undefined)

list(TRANSFORM carried PREPEND gpu_)
add_custom_target(gpu_bundle DEPENDS ${carried} gpu_library)
# Without a GPU the library needs clang beside it to run anything.
add_custom_target(gpu_dry DEPENDS gpu_bundle $<$<TARGET_EXISTS:lacuna_llvm>:lacuna_llvm>)

# What can be proved without a GPU, which is all but the numbers. It ends with 77 where that went well.
add_test(NAME gpu_dry_run COMMAND ${PROJECT_SOURCE_DIR}/scripts/gpu.sh dry)
set_tests_properties(gpu_dry_run PROPERTIES LABELS gpu SKIP_RETURN_CODE 77 TIMEOUT 600
  ENVIRONMENT "LACUNA_BUILD_DIR=${CMAKE_BINARY_DIR};LACUNA_GPU_DIR=${CMAKE_BINARY_DIR}/gpu-dry")
# ... and with something else where it did not: a bundle without its programs.
add_test(NAME gpu_dry_run_fails COMMAND ${PROJECT_SOURCE_DIR}/scripts/gpu.sh dry)
set_tests_properties(gpu_dry_run_fails PROPERTIES LABELS gpu PASS_REGULAR_EXPRESSION "!! .*cuda_gpu_test is not built" TIMEOUT 60
  ENVIRONMENT "LACUNA_BUILD_DIR=${CMAKE_BINARY_DIR}/gpu-none;LACUNA_GPU_DIR=${CMAKE_BINARY_DIR}/gpu-none-dry")
