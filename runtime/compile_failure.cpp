#include "runtime/compile_failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace lacuna::runtime {
namespace {

/// The line of the first error, else the first line.
std::string_view first_error(std::string_view log) {
  std::size_t at = log.find("error:");
  if (at == log.npos) at = std::min(log.find("error"), log.size());
  if (at == log.size()) at = 0;
  const std::size_t newline = log.rfind('\n', at);
  const std::size_t begin = newline == log.npos ? 0 : newline + 1;
  return log.substr(begin, std::min(log.find('\n', at), log.size()) - begin);
}

}  // namespace

std::string numbered(std::string_view text) {
  std::string out;
  int line = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    fmt::format_to(std::back_inserter(out), "{:4}| {}\n", ++line, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Error compile_failure(const Compiler& compiler, const codegen::Source& source,
                      const CompileOptions& options, std::string_view log) {
  return Error(
      ErrorKind::compilation,
      fmt::format("{} cannot compile {}: {}", compiler.name(), source.name, first_error(log)), {},
      fmt::format("{}\n{}, options\n{}\n\n{}\n{}", log, compiler.identity(),
                  compiler.options(source, options), source.name, numbered(source.text)));
}

}  // namespace lacuna::runtime
