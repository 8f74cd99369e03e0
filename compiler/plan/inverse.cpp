#include "compiler/plan/inverse.h"

#include "compiler/ir/print.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

namespace lacuna::plan {
namespace {

using ir::NodeId;
using ir::Op;

class Walk {
 public:
  explicit Walk(const ir::Pattern& pattern) : pattern_(pattern), graph_(pattern.graph) {}

  Inverse run() {
    NodeId at = pattern_.score;
    if (at == ir::no_node) return {};
    if (!has_score(at)) return refused(at, "does not depend on the score");
    Inverse chain;
    while (graph_[at].op != Op::variable) {
      int place = -1;
      const auto operands = graph_.operands(at);
      for (int i = 0; i < static_cast<int>(operands.size()); ++i) {
        if (!has_score(operands[i])) continue;
        if (place >= 0) return refused(at, "has the score twice");
        place = i;
      }
      const std::optional<InverseStep> step = step_of(at, place);
      if (!step) return refused(at, "is no step that a gate passes back through");
      if (step->with != ir::no_node) {
        if (graph_.dependence(step->with) & ir::on(ir::Variable::k))
          return refused(step->with, "depends on the key");
        if (is_factor(step->op) && graph_.is_constant(step->with) &&
            !is_positive(graph_.float_value(step->with)))
          return refused(step->with, "is no positive factor");
      }
      chain.steps.push_back(*step);
      at = operands[place];
    }
    return chain;
  }

 private:
  bool has_score(NodeId node) const {
    return (graph_.dependence(node) & ir::on(ir::Variable::score)) != 0;
  }
  static bool is_factor(Op op) { return op == Op::mul_f32 || op == Op::div_f32; }
  static bool is_positive(float factor) { return factor > 0 && std::isfinite(factor); }

  /// Of the operand at `place`, where the others have no score.
  std::optional<InverseStep> step_of(NodeId node, int place) const {
    const auto operands = graph_.operands(node);
    switch (const Op op = graph_[node].op) {
      case Op::add_f32:
      case Op::mul_f32:
      case Op::min_f32:
      case Op::max_f32:
        return InverseStep{op, operands[1 - place]};
      case Op::sub_f32:
      case Op::div_f32:
        if (place != 0) return {};
        return InverseStep{op, operands[1]};
      case Op::tanh_f32:
        return InverseStep{op};
      default:
        return {};
    }
  }

  Inverse refused(NodeId node, std::string_view why) const {
    return {{}, fmt::format("'{}' {}", ir::print(graph_, node, pattern_), why)};
  }

  const ir::Pattern& pattern_;
  const ir::Graph& graph_;
};

}  // namespace

Inverse inverse_of(const Spec& spec) {
  return Walk(spec.pattern.tree()).run();
}

bool inverts(const Spec& spec) {
  // Scores of f32 would show how sums that carry a gate are rounded.
  if (spec.dtype == DType::f32 || spec.pattern.tree().score == ir::no_node) return false;
  const Inverse inverse = inverse_of(spec);
  return inverse.why_not.empty() && !inverse.steps.empty();
}

}  // namespace lacuna::plan
