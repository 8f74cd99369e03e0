#include "lacuna/error.hpp"

#include "compiler/codegen/source.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

namespace lacuna::codegen {
namespace {

/// The name between quotes where `line` is an #include of that kind. One in angle brackets is left
/// to the compilers, which have no such file either.
std::optional<std::string_view> included_name(std::string_view line) {
  const auto skip_blanks = [&line] {
    while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
  };
  skip_blanks();
  if (!line.starts_with('#')) return std::nullopt;
  line.remove_prefix(1);
  skip_blanks();
  if (!line.starts_with("include")) return std::nullopt;
  line.remove_prefix(7);
  skip_blanks();
  if (!line.starts_with('"')) return std::nullopt;
  line.remove_prefix(1);
  const std::size_t end = line.find('"');
  if (end == line.npos) return std::nullopt;
  return line.substr(0, end);
}

std::size_t index_of(std::string_view name, std::string_view file, int line) {
  const std::span<const TemplateFile> all = templates();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return i;
  }
  throw Error(ErrorKind::compilation,
              fmt::format("{}:{}: '{}' is not a file of templates/; names start at that folder",
                          file, line, name),
              Span{std::string(file), line, 0});
}

void mark_included(std::string_view file, std::string_view text, std::vector<bool>& reached) {
  int line = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    ++line;
    if (const auto name = included_name(text.substr(0, end))) {
      const std::size_t i = index_of(*name, file, line);
      if (!reached[i]) {
        reached[i] = true;
        mark_included(templates()[i].name, templates()[i].text, reached);
      }
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

std::vector<TemplateFile> included_templates(std::string_view text) {
  std::vector<bool> reached(templates().size());
  mark_included("source", text, reached);
  std::vector<TemplateFile> files;
  for (std::size_t i = 0; i < reached.size(); ++i) {
    if (reached[i]) files.push_back(templates()[i]);
  }
  return files;
}

}  // namespace lacuna::codegen
