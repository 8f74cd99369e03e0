#include "compiler/ir/overload.h"

namespace lacuna::ir {
namespace {

/// How many operands become f32, or -1 where one cannot.
int promotions(const OpRow& row, std::span<const Type> operands) {
  int count = 0;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (operands[i] == row.operands[i]) continue;
    if (operands[i] != Type::i32 || row.operands[i] != Type::f32) return -1;
    ++count;
  }
  return count;
}

}  // namespace

std::optional<Op> overload(std::string_view spelling, std::span<const Type> operands) {
  std::optional<Op> best;
  int fewest = 4;
  for (Op op : operators()) {
    const OpRow& r = row(op);
    if (r.spelling != spelling || r.arity != static_cast<int>(operands.size())) continue;
    int count = promotions(r, operands);
    bool conversion = spelling == "i32" || spelling == "f32";  // takes its operand as it is
    if (count < 0 || count >= fewest || (conversion && count > 0)) continue;
    best = op;
    fewest = count;
  }
  return best;
}

}  // namespace lacuna::ir
