#include "compiler/lang/words.h"

#include "compiler/ir/graph.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace lacuna::lang {
namespace {

constexpr std::array<std::string_view, 18> keyword_list = {
    "def", "attention", "param", "const", "tensor", "mask", "weights", "hint",  "plan",
    "and", "or",        "not",   "true",  "false",  "inf",  "bool",    "score", "_"};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

}  // namespace

bool is_keyword(std::string_view word) {
  return std::ranges::count(keyword_list, word) > 0;
}
std::span<const std::string_view> keywords() {
  return keyword_list;
}

std::optional<ir::Variable> builtin_value(std::string_view name) {
  auto at = std::ranges::find(ir::variable_names, name);
  if (at == std::end(ir::variable_names)) return std::nullopt;
  return static_cast<ir::Variable>(at - std::begin(ir::variable_names));
}

int function_arity(std::string_view name) {
  if (name == "softcap") return 2;
  if (is_keyword(name)) return 0;
  for (ir::Op op : ir::operators()) {
    const ir::OpRow& row = ir::row(op);
    if (row.spelling == name && is_letter(name[0])) return row.arity;
  }
  return 0;
}

std::vector<std::string_view> functions() {
  std::vector<std::string_view> names = {"softcap"};
  for (ir::Op op : ir::operators()) {
    auto name = ir::row(op).spelling;
    if (function_arity(name) > 0 && names.back() != name) names.push_back(name);
  }
  return names;
}

bool is_name(std::string_view text) {
  auto is_word = [](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  return !text.empty() && is_letter(text[0]) && std::ranges::all_of(text, is_word);
}

}  // namespace lacuna::lang
