#include "compiler/lang/sharing.h"

#include "compiler/lang/ast.h"
#include "compiler/lang/compact.h"
#include "compiler/lang/lexer.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::lang {
namespace {

constexpr std::size_t longest_tree = max_text / 2;
constexpr int deepest_tree =
    max_depth - 8;  // a constant that is written as an expression adds some
constexpr int deepest_def = max_depth / 2;

/// About the letters that a node adds beside its operands.
std::size_t letters(const ir::Pattern& pattern, ir::NodeId id) {
  const ir::Node& node = pattern.graph[id];
  if (node.op == ir::Op::param) return pattern.params[node.payload].name.size();
  if (node.op == ir::Op::read) return pattern.tensors[node.payload].name.size() + 4;
  return 8;
}

bool fits_in_full(const ir::Pattern& pattern) {
  const ir::Graph& graph = pattern.graph;
  std::vector<std::size_t> size(graph.size());
  std::vector<int> depth(graph.size());
  for (ir::NodeId id = 0; id < graph.size(); ++id) {
    size[id] = letters(pattern, id);
    for (ir::NodeId operand : graph.operands(id)) {
      size[id] = std::min(size[id] + size[operand], 2 * longest_tree);  // saturates
      depth[id] = std::max(depth[id], depth[operand] + 1);
    }
  }
  std::size_t total = 0;
  int deepest = 0;
  for (ir::NodeId root : roots(pattern)) {
    if (root == ir::no_node) continue;
    total += size[root];
    deepest = std::max(deepest, depth[root]);
  }
  return total <= longest_tree && deepest <= deepest_tree;
}

bool is_param(const ir::Pattern& pattern, const std::string& name) {
  return std::ranges::any_of(pattern.params, [&](const auto& param) { return param.name == name; });
}

}  // namespace

Sharing sharing(const ir::Pattern& pattern) {
  Sharing result;
  if (fits_in_full(pattern)) return result;
  const ir::Graph& graph = pattern.graph;
  std::vector<int> uses(graph.size()), depth(graph.size());
  for (ir::NodeId root : roots(pattern)) {
    if (root != ir::no_node) ++uses[root];
  }
  for (ir::NodeId id = 0; id < graph.size(); ++id) {
    for (ir::NodeId operand : graph.operands(id)) ++uses[operand];
  }
  int count = 0;
  for (ir::NodeId id = 0; id < graph.size(); ++id) {
    for (ir::NodeId operand : graph.operands(id))
      depth[id] = std::max(depth[id], depth[operand] + 1);
    bool leaf = graph.operands(id).empty();
    if (leaf || (uses[id] < 2 && depth[id] < deepest_def)) continue;
    std::string name;
    do {
      name = fmt::format("s{}", ++count);
    } while (is_param(pattern, name));
    result.names[id] = name;
    result.order.push_back(id);
    depth[id] = 0;
  }
  return result;
}

}  // namespace lacuna::lang
