#include "compiler/codegen/weight.h"

#include <algorithm>
#include <set>

namespace lacuna::codegen {
namespace {

int instructions_of_one(const ir::Graph& graph, ir::NodeId node) {
  switch (graph[node].op) {
    case ir::Op::read:
      return 4 +
             6 * static_cast<int>(graph.operands(node).size());  // clamped indices, 64-bit strides
    case ir::Op::floordiv_i32:
    case ir::Op::mod_i32:
      return 24;
    case ir::Op::div_f32:
    case ir::Op::sqrt_f32:
      return 10;
    case ir::Op::exp_f32:
    case ir::Op::log_f32:
      return 24;
    case ir::Op::tanh_f32:
      return 48;
    default:
      return 1;
  }
}

void add(const ir::Graph& graph, ir::NodeId id, std::set<ir::NodeId>& seen, int& sum) {
  if (!seen.insert(id).second) return;
  sum += instructions_of_one(graph, id);
  for (const ir::NodeId operand : graph.operands(id)) add(graph, operand, seen, sum);
}

bool reads(const ir::Graph& graph, ir::NodeId id, std::set<ir::NodeId>& seen) {
  if (!(graph.dependence(id) & ir::on_tensor) || !seen.insert(id).second) return false;
  if (graph[id].op == ir::Op::read) return true;
  const auto operands = graph.operands(id);
  return std::any_of(operands.begin(), operands.end(),
                     [&](ir::NodeId operand) { return reads(graph, operand, seen); });
}

}  // namespace

int instructions_of(const ir::Graph& graph, ir::NodeId node,
                    const std::map<ir::NodeId, std::string>& given) {
  int sum = 0;
  std::set<ir::NodeId> seen;
  for (const auto& [known, name] : given) seen.insert(known);
  add(graph, node, seen, sum);
  return sum;
}

bool reads(const ir::Graph& graph, ir::NodeId node,
           const std::map<ir::NodeId, std::string>& given) {
  std::set<ir::NodeId> seen;
  for (const auto& [known, name] : given) seen.insert(known);
  return reads(graph, node, seen);
}

}  // namespace lacuna::codegen
