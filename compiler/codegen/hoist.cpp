#include "compiler/codegen/hoist.h"

#include <algorithm>
#include <set>

namespace lacuna::codegen {
namespace {

using ir::NodeId;
using ir::Variable;

class Collector {
 public:
  Collector(const plan::Plan& plan, const plan::Pass& pass)
      : graph_(plan.spec.pattern.tree().graph),
        packed_heads_(pass.packed_heads),
        writer_(plan.spec, {.checked = plan.facts.checked}) {}

  /// Of a mask, or of the score, after all masks.
  void collect(NodeId root, bool scored) {
    seen_.clear();
    scored_ = scored;
    visit(root);
  }
  Hoisted take() { return std::move(found_); }

 private:
  void visit(NodeId node) {
    const ir::Dependence on = graph_.dependence(node);
    const auto depends = [on](Variable v) { return (on & ir::on(v)) != 0; };
    if (!(on & ir::on_tensor) || !seen_.insert(node).second) return;
    if (!depends(Variable::score) && !writer_.reports(node)) {
      if (!depends(Variable::k)) return add(found_.rows, node);
      // Where heads share a tile, a key has other values for each of them.
      if (!depends(Variable::q) && !(packed_heads_ && depends(Variable::h)))
        return add(found_.keys, node);
    }
    for (const NodeId operand : graph_.operands(node)) visit(operand);
  }
  void add(std::vector<HoistedValue>& values, NodeId node) {
    const auto known = std::find_if(values.begin(), values.end(),
                                    [&](const HoistedValue& value) { return value.node == node; });
    if (known == values.end())
      values.push_back({node, scored_});
    else
      known->scored |= scored_;
  }

  const ir::Graph& graph_;
  bool packed_heads_;
  ExpressionWriter writer_;
  std::set<NodeId> seen_;
  bool scored_ = false;
  Hoisted found_;
};

}  // namespace

Hoisted hoisted(const plan::Plan& plan, const plan::Pass& pass) {
  Collector collector(plan, pass);
  for (const plan::Conjunct& c : plan.conjuncts) collector.collect(c.expr, false);
  const NodeId score = plan.spec.pattern.tree().score;
  if (score != ir::no_node) collector.collect(score, true);
  return collector.take();
}

}  // namespace lacuna::codegen
