#include "compiler/plan/band.h"

#include <cstdlib>

namespace lacuna::plan {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::Op;

// With factors and sums of factors below this, and this many atoms, no 64-bit sum over i32
// values can overflow.
constexpr std::int64_t factor_limit = std::int64_t{1} << 20;
constexpr std::size_t atom_limit = 16;

constexpr ir::Dependence on_positions =
    ir::on(ir::Variable::q) | ir::on(ir::Variable::k) | ir::on(ir::Variable::score);

// Bands are computed before any mask is tested and report no reads, so an atom may only read where
// nothing can be outside: on axes that take b, h and g themselves.
bool reads_safely(const ir::Pattern& pattern, NodeId id) {
  const ir::Node& node = pattern.graph[id];
  if (node.op == Op::read)
    for (const ir::Axis& axis : pattern.tensors[node.payload].axes)
      if (axis.kind != ir::AxisKind::batch && axis.kind != ir::AxisKind::head &&
          axis.kind != ir::AxisKind::kv_head)
        return false;
  for (const NodeId operand : pattern.graph.operands(id))
    if (!reads_safely(pattern, operand)) return false;
  return true;
}

bool in_limits(const Affine& a) {
  if (std::abs(a.q) > factor_limit || std::abs(a.k) > factor_limit || a.atoms.size() > atom_limit)
    return false;
  for (const auto& [atom, factor] : a.atoms)
    if (std::abs(factor) > factor_limit) return false;
  return std::abs(a.constant) <= (std::int64_t{1} << 40);
}

void add(Affine& to, const Affine& from, std::int64_t factor) {
  to.q += factor * from.q;
  to.k += factor * from.k;
  to.constant += factor * from.constant;
  for (const auto& [atom, f] : from.atoms) {
    auto same = to.atoms.begin();
    while (same != to.atoms.end() && same->first != atom) ++same;
    if (same == to.atoms.end()) same = to.atoms.insert(same, {atom, 0});
    same->second += factor * f;
  }
}

std::optional<Affine> affine_of(const ir::Pattern& pattern, NodeId id);

std::optional<Affine> combined(const ir::Pattern& pattern, NodeId a, std::int64_t fa, NodeId b,
                               std::int64_t fb) {
  const auto left = affine_of(pattern, a), right = affine_of(pattern, b);
  if (!left || !right) return {};
  Affine sum;
  add(sum, *left, fa);
  add(sum, *right, fb);
  if (!in_limits(sum)) return {};
  return sum;
}

std::optional<Affine> scaled(const ir::Pattern& pattern, NodeId a, std::int64_t factor) {
  if (std::abs(factor) > factor_limit) return {};
  const auto inner = affine_of(pattern, a);
  if (!inner) return {};
  Affine product;
  add(product, *inner, factor);
  if (!in_limits(product)) return {};
  return product;
}

std::optional<Affine> affine_of(const ir::Pattern& pattern, NodeId id) {
  const Graph& graph = pattern.graph;
  const ir::Node& node = graph[id];
  if (node.op == Op::constant) return Affine{0, 0, graph.int_value(id), {}};
  if (!(graph.dependence(id) & on_positions)) {
    if (!reads_safely(pattern, id)) return {};
    return Affine{0, 0, 0, {{id, 1}}};
  }
  const auto operands = graph.operands(id);
  switch (node.op) {
    case Op::variable:
      if (static_cast<ir::Variable>(node.payload) == ir::Variable::q) return Affine{1, 0, 0, {}};
      if (static_cast<ir::Variable>(node.payload) == ir::Variable::k) return Affine{0, 1, 0, {}};
      return {};
    case Op::add_i32:
      return combined(pattern, operands[0], 1, operands[1], 1);
    case Op::sub_i32:
      return combined(pattern, operands[0], 1, operands[1], -1);
    case Op::neg_i32:
      return scaled(pattern, operands[0], -1);
    case Op::mul_i32:
      if (graph.is_constant(operands[1]))
        return scaled(pattern, operands[0], graph.int_value(operands[1]));
      if (graph.is_constant(operands[0]))
        return scaled(pattern, operands[1], graph.int_value(operands[0]));
      return {};
    default:
      return {};
  }
}

}  // namespace

std::optional<std::vector<Band>> bands_of(const ir::Pattern& pattern, NodeId expr) {
  const Graph& graph = pattern.graph;
  const ir::Node& node = graph[expr];
  const auto operands = graph.operands(expr);
  if (node.op != Op::le_i32 && node.op != Op::lt_i32 && node.op != Op::eq_i32) return {};
  const auto left = affine_of(pattern, operands[0]), right = affine_of(pattern, operands[1]);
  if (!left || !right) return {};
  if (node.op == Op::eq_i32)
    return std::vector<Band>{{*left, *right, false}, {*right, *left, false}};
  return std::vector<Band>{{*left, *right, node.op == Op::lt_i32}};
}

}  // namespace lacuna::plan
