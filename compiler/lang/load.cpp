// The one place in compiler/ that reads a file: loading is a convenience around parse.
#include "lacuna/pattern.hpp"

#include "compiler/lang/lexer.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <system_error>

namespace lacuna {
inline namespace LACUNA_ABI {

Pattern Pattern::load(const std::filesystem::path& file, std::string_view attention) {
  std::error_code error;
  bool regular = !std::filesystem::is_directory(file, error);
  std::ifstream stream(file, std::ios::binary);
  if (!stream || !regular) {
    throw Error(ErrorKind::io, fmt::format("cannot read {}", file.string()));
  }
  std::string text(lang::max_text + 1,
                   '\0');  // one byte too many is enough to know that it is too long
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) throw Error(ErrorKind::io, fmt::format("cannot read {}", file.string()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return parse(text, file.string(), attention);
}

}  // namespace LACUNA_ABI
}  // namespace lacuna
