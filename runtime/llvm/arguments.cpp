#include "runtime/llvm/arguments.h"

#include <fmt/format.h>

namespace lacuna::runtime::llvm_plugin {

std::vector<std::string> cc1_arguments(const CompileOptions& options) {
  std::vector<std::string> list = {
      "-triple",
      "nvptx64-nvidia-cuda",
      "-aux-triple",
      "x86_64-unknown-linux-gnu",
      // An architecture with a PTX version that is too old for it is accepted here and fails in
      // ptxas: one table has both.
      "-target-cpu",
      options.arch.name(),
      "-target-feature",
      fmt::format("+{}", plan::row(options.arch).ptx),
      "-x",
      "cuda",
      "-fcuda-is-device",
      "-std=c++17",
      "-S",
      "-O3",
      "-vectorize-loops",
      "-vectorize-slp",
      // No product may be fused with a sum unless the source says fma.
      "-ffp-contract=off",
      // Nothing but the files given: no SDK, no headers of clang's own.
      "-nostdsysteminc",
      "-nobuiltininc",
      "-I",
      "/src",
      "-fno-rtti",
      "-fno-threadsafe-statics",
      "-mconstructor-aliases",
      "-fvisibility=hidden",
      "-fapply-global-visibility-to-externs",
      "-Wall",
      "-Wno-unused-function",
      // A loop over accumulators that stays rolled keeps them in local memory.
      "-Werror=pass-failed",
      "-ferror-limit",
      "20",
      // .file names as the source has them, and in one piece: ptxas refuses .file 2 "machine"
      // "fma.cuh".
      "-fdebug-compilation-dir=/src",
      "-fdebug-prefix-map=/src=",
      "-fdebug-prefix-map=/src/=",
      "-fno-dwarf-directory-asm",
  };
  if (options.line_info) {
    list.insert(list.end(), {"-debug-info-kind=line-directives-only", "-dwarf-version=2",
                             "-debugger-tuning=gdb"});
  }
  return list;
}

}  // namespace lacuna::runtime::llvm_plugin
