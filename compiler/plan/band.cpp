#include "compiler/plan/band.h"

#include <cstdlib>

namespace lacuna::plan {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::Op;

// With factors and sums of factors below this, and at most 2^10 atoms, no 64-bit sum over i32
// values can overflow.
constexpr std::int64_t factor_limit = std::int64_t{1} << 20;
constexpr std::size_t atom_limit = 16;

constexpr ir::Dependence on_positions =
    ir::on(ir::Variable::q) | ir::on(ir::Variable::k) | ir::on(ir::Variable::score);

// Bands are computed before any mask is tested, so an atom may not read where a mask might have to
// guard the read.
bool reads_safely(const Graph& graph, NodeId id) {
  if (graph[id].op == Op::read) {
    for (const NodeId index : graph.operands(id)) {
      const ir::Node& node = graph[index];
      const auto variable = static_cast<ir::Variable>(node.payload);
      const bool own_axis =
          node.op == Op::variable && (variable == ir::Variable::b || variable == ir::Variable::h ||
                                      variable == ir::Variable::g);
      if (!own_axis) return false;
    }
  }
  for (const NodeId operand : graph.operands(id))
    if (!reads_safely(graph, operand)) return false;
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

std::optional<Affine> affine_of(const Graph& graph, NodeId id);

std::optional<Affine> combined(const Graph& graph, NodeId a, std::int64_t fa, NodeId b,
                               std::int64_t fb) {
  const auto left = affine_of(graph, a), right = affine_of(graph, b);
  if (!left || !right) return {};
  Affine sum;
  add(sum, *left, fa);
  add(sum, *right, fb);
  if (!in_limits(sum)) return {};
  return sum;
}

std::optional<Affine> scaled(const Graph& graph, NodeId a, std::int64_t factor) {
  if (std::abs(factor) > factor_limit) return {};
  const auto inner = affine_of(graph, a);
  if (!inner) return {};
  Affine product;
  add(product, *inner, factor);
  if (!in_limits(product)) return {};
  return product;
}

std::optional<Affine> affine_of(const Graph& graph, NodeId id) {
  const ir::Node& node = graph[id];
  if (node.op == Op::constant) return Affine{0, 0, graph.int_value(id), {}};
  if (!(graph.dependence(id) & on_positions)) {
    if (!reads_safely(graph, id)) return {};
    return Affine{0, 0, 0, {{id, 1}}};
  }
  const auto operands = graph.operands(id);
  switch (node.op) {
    case Op::variable:
      if (static_cast<ir::Variable>(node.payload) == ir::Variable::q) return Affine{1, 0, 0, {}};
      if (static_cast<ir::Variable>(node.payload) == ir::Variable::k) return Affine{0, 1, 0, {}};
      return {};
    case Op::add_i32:
      return combined(graph, operands[0], 1, operands[1], 1);
    case Op::sub_i32:
      return combined(graph, operands[0], 1, operands[1], -1);
    case Op::neg_i32:
      return scaled(graph, operands[0], -1);
    case Op::mul_i32:
      if (graph.is_constant(operands[1]))
        return scaled(graph, operands[0], graph.int_value(operands[1]));
      if (graph.is_constant(operands[0]))
        return scaled(graph, operands[1], graph.int_value(operands[0]));
      return {};
    default:
      return {};
  }
}

}  // namespace

std::optional<std::vector<Band>> bands_of(const Graph& graph, NodeId expr) {
  const ir::Node& node = graph[expr];
  const auto operands = graph.operands(expr);
  if (node.op != Op::le_i32 && node.op != Op::lt_i32 && node.op != Op::eq_i32) return {};
  const auto left = affine_of(graph, operands[0]), right = affine_of(graph, operands[1]);
  if (!left || !right) return {};
  if (node.op == Op::eq_i32)
    return std::vector<Band>{{*left, *right, false}, {*right, *left, false}};
  return std::vector<Band>{{*left, *right, node.op == Op::lt_i32}};
}

}  // namespace lacuna::plan
