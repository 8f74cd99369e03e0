#pragma once
#include <clang/Basic/Diagnostic.h>

#include <string>
#include <vector>

namespace lacuna::runtime::llvm_plugin {

/// Every error, warning and note of clang and of the code generator as a line of text, at the place
/// that #line gives.
class DiagnosticLog final : public clang::DiagnosticConsumer {
 public:
  void HandleDiagnostic(clang::DiagnosticsEngine::Level level,
                        const clang::Diagnostic& diagnostic) override;
  std::string text() const;

 private:
  struct Line {
    std::string place, message;
  };
  std::vector<Line> lines_;
};

}  // namespace lacuna::runtime::llvm_plugin
