#include "compiler/lang/reads.h"

#include <fmt/format.h>

#include <vector>

namespace lacuna::lang {
namespace {

std::optional<WrongRead> wrong_index(const ir::Pattern& pattern, ir::NodeId read) {
  const ir::Graph& graph = pattern.graph;
  const ir::Tensor& tensor = pattern.tensors[graph[read].payload];
  auto indices = graph.operands(read);
  for (std::size_t axis = 0; axis < indices.size(); ++axis) {
    if (!graph.is_constant(indices[axis])) continue;
    std::int32_t index = graph.int_value(indices[axis]);
    bool fixed = tensor.axes[axis].kind == ir::AxisKind::fixed;
    if (index >= 0 && (!fixed || index < tensor.axes[axis].extent)) continue;
    auto has = fixed ? fmt::format("entries 0 to {}", tensor.axes[axis].extent - 1)
                     : std::string("no entry below 0");
    return WrongRead{read, fmt::format("index {} on axis {} of '{}' lies outside: it has {}", index,
                                       axis, tensor.name, has)};
  }
  return std::nullopt;
}

bool lazy(ir::Op op) {
  return op == ir::Op::logical_and || op == ir::Op::logical_or || op == ir::Op::where_bool ||
         op == ir::Op::where_i32 || op == ir::Op::where_f32;
}

}  // namespace

std::optional<WrongRead> read_outside(const ir::Pattern& pattern, ir::NodeId root) {
  if (root == ir::no_node) return std::nullopt;
  std::vector<bool> seen(root + 1);
  std::vector<ir::NodeId> pending = {root};
  while (!pending.empty()) {
    ir::NodeId id = pending.back();
    pending.pop_back();
    if (seen[id]) continue;
    seen[id] = true;
    if (pattern.graph[id].op == ir::Op::read) {
      if (auto wrong = wrong_index(pattern, id)) return wrong;
    }
    auto operands = pattern.graph.operands(id);
    bool first_only = lazy(pattern.graph[id].op);
    for (ir::NodeId operand : operands.first(first_only ? 1 : operands.size()))
      pending.push_back(operand);
  }
  return std::nullopt;
}

}  // namespace lacuna::lang
