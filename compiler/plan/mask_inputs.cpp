#include "compiler/plan/mask_inputs.h"

#include "compiler/base/digest.h"

#include <algorithm>
#include <set>

namespace lacuna::plan {
namespace {

/// Params and tensors that an expression reads.
struct Reads {
  explicit Reads(const ir::Graph& read) : graph(read) {}

  void visit(ir::NodeId id) {
    if (!seen.insert(id).second) return;
    const ir::Node& node = graph[id];
    if (node.op == ir::Op::param) params.insert(node.payload);
    if (node.op == ir::Op::read) tensors.insert(node.payload);
    for (const ir::NodeId operand : graph.operands(id)) visit(operand);
  }

  const ir::Graph& graph;
  std::set<ir::NodeId> seen;
  std::set<std::uint32_t> params, tensors;
};

}  // namespace

MaskInputs mask_inputs(const Plan& plan) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  Reads reads(pattern.graph);
  Digest digest;
  digest.add("lengths", static_cast<int>(plan.spec.lengths));
  for (const Conjunct& c : plan.conjuncts) {
    digest.add("conjunct", c.text);
    reads.visit(c.expr);
    if (pattern.graph.dependence(c.expr) & ir::on(ir::Variable::head_dim))
      digest.add("head_dim", plan.spec.head_dim);
  }
  const auto by_name = [](const std::set<std::uint32_t>& read, const auto& declared) {
    std::vector<std::uint32_t> order(read.begin(), read.end());
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return declared[a].name < declared[b].name;
    });
    return order;
  };
  const std::vector<std::uint32_t> params = by_name(reads.params, pattern.params);
  for (const std::uint32_t index : params) {
    const ir::Param& param = pattern.params[index];
    digest.add("param", param.name).add("type", static_cast<int>(param.type));
  }
  for (const std::uint32_t index : by_name(reads.tensors, pattern.tensors)) {
    const ir::Tensor& tensor = pattern.tensors[index];
    digest.add("tensor", tensor.name).add("type", static_cast<int>(tensor.type));
    for (const ir::Axis& axis : tensor.axes)
      digest.add("axis", static_cast<int>(axis.kind)).add("extent", axis.extent);
  }
  return {digest.hex(), params};
}

}  // namespace lacuna::plan
