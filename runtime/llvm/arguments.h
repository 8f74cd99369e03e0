#pragma once
#include "runtime/compiler.h"

#include <string>
#include <vector>

namespace lacuna::runtime::llvm_plugin {

/// What clang's cc1 is given for a source, but for the file itself. Throws Error{unsupported} below
/// sm_80.
std::vector<std::string> cc1_arguments(const CompileOptions& options);

}  // namespace lacuna::runtime::llvm_plugin
