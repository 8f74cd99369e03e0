#include "lacuna/pattern.hpp"

#include "compiler/base/diagnostic.h"
#include "compiler/lang/parser.h"
#include "compiler/lang/resolve.h"
#include "compiler/lang/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna {
inline namespace LACUNA_ABI {
namespace {

std::string listed(const lang::File& file) {
  std::string names;
  for (const auto& attention : file.attentions) {
    names += (names.empty() ? "" : ", ") + attention.name;
  }
  return names;
}

std::size_t index_of(const lang::File& file, std::string_view name) {
  const auto& attentions = file.attentions;
  if (name.empty() && attentions.size() == 1) return 0;
  if (name.empty()) {
    throw Error(ErrorKind::argument, fmt::format("{} has {} attentions; name one of {}",
                                                 file.origin, attentions.size(), listed(file)));
  }
  auto at = std::ranges::find(attentions, name, &lang::Attention::name);
  if (at != attentions.end()) return static_cast<std::size_t>(at - attentions.begin());
  throw Error(ErrorKind::argument,
              fmt::format("{} has no attention '{}'; it has {}", file.origin, name, listed(file)));
}

}  // namespace

Pattern Pattern::parse(std::string_view text, std::string_view origin, std::string_view attention) {
  auto file = lang::parse_file(std::string(origin), text);
  return Pattern(lang::resolve({file, index_of(*file, attention), {}}));
}

std::vector<std::string> Pattern::names(std::string_view text, std::string_view origin) {
  auto file = lang::parse_file(std::string(origin), text);
  std::vector<std::string> names;
  for (const auto& attention : file->attentions) names.push_back(attention.name);
  return names;
}

Pattern Pattern::with_const(std::string_view name, Literal value) const {
  std::vector<std::string_view> known;
  for (const ir::Const& constant : tree_->consts) known.push_back(constant.name);
  if (!tree_->syntax || !std::ranges::count(known, name)) {
    throw Error(ErrorKind::argument, fmt::format("'{}' has no const '{}'{}", tree_->name, name,
                                                 suggestion(name, known)));
  }
  lang::Syntax changed = *tree_->syntax;
  std::erase_if(changed.overrides, [&](const ir::Const& old) { return old.name == name; });
  changed.overrides.push_back({std::string(name), value});
  return Pattern(lang::resolve(changed));
}

const std::string& Pattern::name() const {
  return tree_->name;
}
std::string Pattern::text() const {
  return lang::text(*tree_);
}
std::string Pattern::digest() const {
  return tree_->digest;
}
bool Pattern::is_entmax() const {
  return ir::is_entmax(*tree_);
}
bool Pattern::operator==(const Pattern& other) const {
  return tree_->digest == other.tree_->digest;
}

}  // namespace LACUNA_ABI
}  // namespace lacuna
