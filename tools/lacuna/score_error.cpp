#include "tools/lacuna/score_error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lacuna::tool {
namespace {

constexpr double u = 0x1p-24;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// Of one operation: half a unit in the last place, which stops shrinking among the subnormals.
double rounding(double result) {
  return u * std::fabs(result) + 0x1p-150;
}

/// What a step function makes of an error: nothing, unless a step lies within reach.
double step(double low, double high) {
  return low == high ? 0 : infinity;
}

}  // namespace

ScoreError::ScoreError(const ir::Graph& graph, ir::Evaluator& evaluator)
    : graph_(graph), evaluator_(evaluator), errors_(graph.size()), stamps_(graph.size()) {
  for (ir::NodeId id = 0; id < graph.size(); ++id) {
    const ir::Op op = graph[id].op;
    bool exact = op != ir::Op::exp_f32 && op != ir::Op::log_f32 && op != ir::Op::tanh_f32 &&
                 !(graph.dependence(id) & ir::on(ir::Variable::score));
    for (const ir::NodeId operand : graph.operands(id)) exact = exact && exact_[operand];
    exact_.push_back(exact);
  }
}

double ScoreError::at_pair(ir::NodeId score, double dz) {
  dz_ = dz;
  ++now_;
  return error(score);
}

double ScoreError::error(ir::NodeId id) {
  if (exact_[id]) return 0;
  if (stamps_[id] != now_) {
    errors_[id] = carry(graph_[id], id);
    stamps_[id] = now_;
  }
  return errors_[id];
}

double ScoreError::carry(const ir::Node& node, ir::NodeId id) {
  if (node.op == ir::Op::variable) return dz_;
  if (node.type == ir::Type::f32) return carry_real(node, id);
  return carry_choice(node, id);
}

double ScoreError::carry_real(const ir::Node& node, ir::NodeId id) {
  using ir::Op;
  const double result = std::fabs(evaluator_.value(id).real);
  switch (node.op) {
    case Op::add_f32:
    case Op::sub_f32:
      return operand(id, 0) + operand(id, 1) + rounding(result);
    case Op::mul_f32:
      return std::fabs(value(id, 0)) * operand(id, 1) + std::fabs(value(id, 1)) * operand(id, 0) +
             operand(id, 0) * operand(id, 1) + rounding(result);
    case Op::div_f32: {
      double divisor = std::fabs(value(id, 1)) - operand(id, 1);
      return divisor > 0 ? (operand(id, 0) + result * operand(id, 1)) / divisor + rounding(result)
                         : infinity;
    }
    case Op::neg_f32:
    case Op::abs_f32:
      return operand(id, 0);
    case Op::min_f32:
    case Op::max_f32:
      return std::max(operand(id, 0), operand(id, 1));
    case Op::floor_f32: {
      double x = value(id, 0), e = operand(id, 0);
      return step(std::floor(x - e), std::floor(x + e));
    }
    case Op::sqrt_f32: {
      double x = value(id, 0), e = operand(id, 0);
      return x > e ? e / (2 * std::sqrt(x - e)) + rounding(result) : infinity;
    }
    // Within 2 ulp, which is 4u.
    case Op::exp_f32:
      return result * std::expm1(operand(id, 0)) + 4 * rounding(result);
    case Op::log_f32: {
      double x = value(id, 0), e = operand(id, 0);
      return x > e ? -std::log1p(-e / x) + 4 * rounding(result) : infinity;
    }
    case Op::tanh_f32:
      return operand(id, 0) + 4 * rounding(result);
    case Op::where_f32:
      if (operand(id, 0) > 0) return infinity;
      return operand(id, holds(id, 0) ? 1 : 2);
    default:
      return operand(id, 0);  // f32 of an i32 or bool that is certain, or of one that is not
  }
}

double ScoreError::carry_choice(const ir::Node& node, ir::NodeId id) {
  using ir::Op;
  switch (node.op) {
    case Op::eq_f32:
    case Op::ne_f32:
    case Op::lt_f32:
    case Op::le_f32: {
      double e = operand(id, 0) + operand(id, 1);
      return e > 0 && std::fabs(value(id, 0) - value(id, 1)) <= e ? infinity : 0;
    }
    case Op::i32_of_f32: {
      double x = value(id, 0), e = operand(id, 0);
      return step(std::trunc(x - e), std::trunc(x + e));
    }
    case Op::logical_and:
    case Op::logical_or:
      if (operand(id, 0) > 0) return infinity;
      return holds(id, 0) == (node.op == Op::logical_and) ? operand(id, 1) : 0;
    case Op::where_bool:
    case Op::where_i32:
      if (operand(id, 0) > 0) return infinity;
      return operand(id, holds(id, 0) ? 1 : 2);
    default:
      break;
  }
  double worst = 0;
  for (int i = 0; i < node.arity; ++i) worst = std::max(worst, operand(id, i));
  return worst > 0 ? infinity : 0;
}

}  // namespace lacuna::tool
