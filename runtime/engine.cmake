lacuna_layer(engine
  SOURCES engine.cpp engine_open.cpp engine_plans.cpp environment.cpp program.cpp program_check.cpp program_pack.cpp entmax.cpp sparsity.cpp
          tiles.cpp tiles_match.cpp workspace.cpp
  LINKS lacuna_cache lacuna_nvrtc lacuna_llvm_loader lacuna_cuda lacuna_host lacuna_lang lacuna_codegen lacuna_plan
        lacuna_ir lacuna_base fmt::fmt Threads::Threads)

# What frameworks load: the C ABI and the public C++ names, nothing of LLVM or CUDA, no other symbol.
add_library(lacuna_shared SHARED c_api.cpp c_convert.cpp)
set(exports ${CMAKE_CURRENT_SOURCE_DIR}/exports.map)
# Linked both ways, through the engine and whole: say which holds.
set_property(TARGET lacuna_shared PROPERTY LINK_LIBRARY_OVERRIDE "WHOLE_ARCHIVE,lacuna_engine,lacuna_lang")
set_target_properties(lacuna_shared PROPERTIES OUTPUT_NAME lacuna LINK_DEPENDS ${exports})
target_link_options(lacuna_shared PRIVATE -Wl,--version-script=${exports} -Wl,--no-undefined)
target_link_libraries(lacuna_shared PRIVATE
  $<LINK_LIBRARY:WHOLE_ARCHIVE,lacuna_engine> $<LINK_LIBRARY:WHOLE_ARCHIVE,lacuna_lang>)
