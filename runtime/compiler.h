#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/codegen/source.h"
#include "runtime/artifact.h"

namespace lacuna::runtime {

struct CompileOptions {
  plan::Arch arch;
  Format format = Format::ptx;
  bool line_info = true;   ///< .loc lines that lead back to the .cu and, through #line, to the .lac
  bool keep_ir = false;    ///< llvm: Artifact::ir and loops
};

/// Source to artifact; one implementation in runtime/nvrtc, one in runtime/llvm. Thread-safe.
class Compiler {
 public:
  virtual ~Compiler() = default;
  /// "nvrtc" or "llvm".
  virtual std::string_view name() const = 0;
  /// Name, version and build: "nvrtc 13.0", "llvm 19.1.7 (Debian ...)". Part of the disk cache's key.
  virtual std::string identity() const = 0;
  /// Every option that the compiler would be given, one a line. Part of the disk cache's key.
  virtual std::string options(const codegen::Source& source, const CompileOptions& options) const = 0;
  /// Throws Error{compilation} with the compiler's log, its options and the numbered source;
  /// Error{unsupported} for an architecture or format it does not know, naming those that it does.
  virtual Artifact compile(const codegen::Source& source, const CompileOptions& options) const = 0;
};

/// Opens libnvrtc at run time. Throws Error{unavailable} that lists every place searched and what would mend it.
std::shared_ptr<const Compiler> open_nvrtc(const std::string& library = {}, int driver_version = 0);
/// Opens liblacuna_llvm.so (clang 19 in process). Throws Error{unavailable} likewise.
std::shared_ptr<const Compiler> open_llvm(const std::string& library = {});

}  // namespace lacuna::runtime
