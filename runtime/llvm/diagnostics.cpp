#include "runtime/llvm/diagnostics.h"

#include <clang/Basic/SourceManager.h>
#include <llvm/ADT/SmallString.h>

namespace lacuna::runtime::llvm_plugin {
namespace {

using Level = clang::DiagnosticsEngine::Level;

const char* word_for(Level level) {
  if (level >= Level::Error) return "error";
  return level == Level::Warning ? "warning" : "note";
}

/// "local.lac:12:7: ", or nothing for what has no place.
std::string place_of(const clang::Diagnostic& diagnostic) {
  if (!diagnostic.hasSourceManager() || diagnostic.getLocation().isInvalid()) return {};
  const clang::SourceManager& sources = diagnostic.getSourceManager();
  const clang::PresumedLoc place =
      sources.getPresumedLoc(sources.getExpansionLoc(diagnostic.getLocation()));
  if (place.isInvalid()) return {};
  llvm::StringRef file = place.getFilename();
  file.consume_front("/src/");
  return file.str() + ":" + std::to_string(place.getLine()) + ":" +
         std::to_string(place.getColumn()) + ": ";
}

}  // namespace

void DiagnosticLog::HandleDiagnostic(Level level, const clang::Diagnostic& diagnostic) {
  DiagnosticConsumer::HandleDiagnostic(level, diagnostic);  // counts errors
  if (level == Level::Ignored || level == Level::Remark) return;
  llvm::SmallString<256> message;
  diagnostic.FormatDiagnostic(message);
  text_ += place_of(diagnostic) + word_for(level) + ": " + message.str().str();
  const llvm::StringRef option = clang::DiagnosticIDs::getWarningOptionForDiag(diagnostic.getID());
  if (!option.empty()) text_ += " [-W" + option.str() + "]";
  text_ += "\n";
}

}  // namespace lacuna::runtime::llvm_plugin
