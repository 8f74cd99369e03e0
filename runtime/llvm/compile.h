#pragma once
#include "runtime/llvm/mix.h"
#include "runtime/llvm/plugin.h"

#include <string>

namespace lacuna::runtime::llvm_plugin {

struct Compiled {
  bool ok = false;
  std::string log, ptx;
  Inspection inspection;
};

/// Clang in this process, on this thread (which needs a deep stack): no file, no output, no
/// process-wide option.
Compiled compile(const lacuna_llvm_request& request);

std::string clang_identity();
/// The architectures from sm_80 that this LLVM has a processor for, with blanks between.
std::string known_archs();

}  // namespace lacuna::runtime::llvm_plugin
