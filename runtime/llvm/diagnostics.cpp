#include "runtime/llvm/diagnostics.h"

#include <clang/Basic/SourceManager.h>
#include <clang/Frontend/FrontendDiagnostic.h>
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
  if (diagnostic.getID() == clang::diag::note_fe_backend_invalid_loc && !lines_.empty()) {
    // The optimiser's place in a file that only a #line names: clang gave the kernel's place
    // before, and now says "could not determine the original source location for local.lac:7:3".
    const llvm::StringRef place = message.str().rsplit(' ').second;
    lines_.back().place = place.str() + ": ";
    return;
  }
  const llvm::StringRef option = clang::DiagnosticIDs::getWarningOptionForDiag(diagnostic.getID());
  std::string line = word_for(level);
  line.append(": ").append(message.begin(), message.end());
  if (!option.empty()) line.append(" [-W").append(option.str()).append("]");
  lines_.push_back({place_of(diagnostic), std::move(line)});
}

std::string DiagnosticLog::text() const {
  std::string text;
  for (const Line& line : lines_) text.append(line.place).append(line.message).append("\n");
  return text;
}

}  // namespace lacuna::runtime::llvm_plugin
