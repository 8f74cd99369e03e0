#pragma once
#include "lacuna/error.hpp"

#include "runtime/compiler.h"

#include <string>
#include <string_view>

namespace lacuna::runtime {

/// Error{compilation} for generated code that `compiler` refused: what() has the first error of its
/// log; log() has the whole log, the compiler's identity and options, and the numbered source.
Error compile_failure(const Compiler& compiler, const codegen::Source& source,
                      const CompileOptions& options, std::string_view log);

/// "   1| #include ...", as a failed compile shows it.
std::string numbered(std::string_view text);

}  // namespace lacuna::runtime
