#pragma once
#include "runtime/host/ptx/module.h"

#include <string>

namespace lacuna::runtime::host::ptx {

/// PTX text to values: every name resolved, nothing interpreted. Accepts what NVRTC 13 and LLVM 19
/// write for CUDA C++. Throws Error{device} for malformed text, Error{unsupported} for a directive
/// that it does not know; both name the PTX line, and the source line where a .loc tells it.
Module parse(std::string text);

}  // namespace lacuna::runtime::host::ptx
