#include "compiler/codegen/hoist.h"

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

  void collect(NodeId node) {
    const ir::Dependence on = graph_.dependence(node);
    const auto depends = [on](Variable v) { return (on & ir::on(v)) != 0; };
    if (!(on & ir::on_tensor) || !seen_.insert(node).second) return;
    if (!depends(Variable::score) && !writer_.reports(node)) {
      if (!depends(Variable::k)) return found_.rows.push_back(node);
      // Where heads share a tile, a key has other values for each of them.
      if (!depends(Variable::q) && !(packed_heads_ && depends(Variable::h)))
        return found_.keys.push_back(node);
    }
    for (const NodeId operand : graph_.operands(node)) collect(operand);
  }
  Hoisted take() { return std::move(found_); }

 private:
  const ir::Graph& graph_;
  bool packed_heads_;
  ExpressionWriter writer_;
  std::set<NodeId> seen_;
  Hoisted found_;
};

}  // namespace

Hoisted hoisted(const plan::Plan& plan, const plan::Pass& pass) {
  Collector collector(plan, pass);
  for (const plan::Conjunct& c : plan.conjuncts) collector.collect(c.expr);
  const NodeId score = plan.spec.pattern.tree().score;
  if (score != ir::no_node) collector.collect(score);
  return collector.take();
}

}  // namespace lacuna::codegen
