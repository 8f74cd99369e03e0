#include "compiler/lang/mismatch.h"

#include "compiler/ir/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace lacuna::lang {
namespace {

/// "a", "a and b", "a, b and c".
std::string listed(std::span<const ir::Type> types, std::string_view last) {
  std::string text;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (i > 0) text += i + 1 == types.size() ? fmt::format(" {} ", last) : ", ";
    text += name_of(types[i]);
  }
  return text;
}

std::vector<ir::Type> taken(std::string_view spelling, std::size_t arity) {
  std::vector<ir::Type> types;
  for (ir::Op op : ir::operators()) {
    const ir::OpRow& row = ir::row(op);
    if (row.spelling != spelling || row.arity != static_cast<int>(arity)) continue;
    if (!std::ranges::count(types, row.operands[0])) types.push_back(row.operands[0]);
  }
  return types;
}

}  // namespace

std::string mismatch(std::string_view spelling, std::span<const ir::Type> found) {
  constexpr std::array<std::string_view, 6> bits = {"&", "|", "^", "~", "<<", ">>"};
  if (std::ranges::count(bits, spelling) && std::ranges::count(found, ir::Type::boolean)) {
    return fmt::format("'{}' takes i32; on bool use and / or / not", spelling);
  }
  if (spelling == "==" || spelling == "!=") {
    return fmt::format("'{}' compares two values of one type; found {}", spelling,
                       listed(found, "and"));
  }
  if (spelling == "where") {
    return fmt::format("'where' takes a bool and two values of one type; found {}",
                       listed(found, "and"));
  }
  auto as_written = spelling == ">" ? "<" : spelling == ">=" ? "<=" : spelling;
  auto wanted = taken(as_written, found.size());
  if (wanted.empty()) {
    return fmt::format("'{}' is no operator on {} operands", spelling, found.size());
  }
  return fmt::format("'{}' takes {}; found {}", spelling, listed(wanted, "or"),
                     listed(found, "and"));
}

}  // namespace lacuna::lang
