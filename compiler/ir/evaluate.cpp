#include "compiler/ir/evaluate.h"

#include "lacuna/tensor.hpp"

#include "compiler/ir/meaning.h"

#include <algorithm>

namespace lacuna::ir {

Evaluator::Evaluator(const Graph& graph, const Bindings& bindings)
    : graph_(graph), bindings_(bindings), stamp_(graph.size(), 0), values_(graph.size()) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Dependence depends = graph.dependence(id);
    std::uint32_t depth = 0;
    for (NodeId operand : graph.operands(id)) depth = std::max(depth, depth_[operand] + 1);
    depth_.push_back(depth);
    level_.push_back(depends & on(Variable::score) ? score : depends & on(Variable::k) ? key : row);
  }
}

void Evaluator::move_to(const Site& site) {
  site_ = site;
  epoch_[row] = epoch_[key] = epoch_[score] = ++now_;
}

void Evaluator::move_to_key(std::int32_t k) {
  site_.k = k;
  epoch_[key] = epoch_[score] = ++now_;
}

void Evaluator::set_score(double value) {
  site_.score = value;
  epoch_[score] = ++now_;
}

bool Evaluator::attends(std::span<const Mask> masks) {
  for (const Mask& mask : masks)
    if (!holds(mask.expr)) return false;
  return true;
}

Value Evaluator::compute(NodeId id) {
  const Node& node = graph_[id];
  switch (node.op) {
    case Op::constant:
      if (node.type == Type::f32) return {0, graph_.float_value(id)};
      return {graph_.int_value(id), 0};
    case Op::variable:
      return variable(static_cast<Variable>(node.payload));
    case Op::param:
      return bindings_.param(node.payload);
    case Op::read:
      return read(id);
    default:
      break;
  }
  const NodeId* operands = graph_.operands(id).data();
  return meaning_of(id, [this, operands](int index) { return value(operands[index]); });
}

template <class Fetch>
Value Evaluator::meaning_of(NodeId id, const Fetch& fetch) const {
  const Op op = graph_[id].op;
  return level_[id] == score ? meaning<double>(op, fetch) : meaning<float>(op, fetch);
}

/// Tries each node on a stack of its own. The first operand that is missing is needed, because C++
/// asked for it: it is pushed, and what came of the attempt is dropped, which costs nothing as
/// every operation is total.
Value Evaluator::compute_deep(NodeId root) {
  std::vector<NodeId> stack{root};
  for (;;) {
    const NodeId id = stack.back();
    const auto operands = graph_.operands(id);
    NodeId missing = no_node;
    const auto fetch = [&](int index) {
      const NodeId operand = operands[static_cast<std::size_t>(index)];
      if (missing != no_node) return Value{};
      if (ready(operand) || depth_[operand] <= max_recursion) return value(operand);
      missing = operand;
      return Value{};
    };
    Value found;
    if (graph_[id].op != Op::read) {
      found = meaning_of(id, fetch);
    } else {
      for (std::size_t axis = 0; axis < operands.size(); ++axis) fetch(static_cast<int>(axis));
      if (missing == no_node) found = read(id);
    }
    if (missing != no_node) {
      stack.push_back(missing);
      continue;
    }
    if (id == root) return found;
    keep(id, found);
    stack.pop_back();
  }
}

Value Evaluator::read(NodeId id) {
  std::array<std::int32_t, max_rank> indices{};
  const auto operands = graph_.operands(id);
  for (std::size_t axis = 0; axis < operands.size(); ++axis)
    indices[axis] = value(operands[axis]).integer;
  return bindings_.read(graph_[id].payload, {indices.data(), operands.size()}, site_);
}

Value Evaluator::variable(Variable v) const {
  switch (v) {
    case Variable::b:
      return {site_.b};
    case Variable::h:
      return {site_.h};
    case Variable::g:
      return {site_.g};
    case Variable::q:
      return {site_.q};
    case Variable::k:
      return {site_.k};
    case Variable::q_len:
      return {site_.q_len};
    case Variable::k_len:
      return {site_.k_len};
    case Variable::batch:
      return {site_.batch};
    case Variable::heads:
      return {site_.heads};
    case Variable::kv_heads:
      return {site_.kv_heads};
    case Variable::head_dim:
      return {site_.head_dim};
    case Variable::score:
      return {0, site_.score};
  }
  return {};
}

Value evaluate(const Graph& graph, NodeId node, const Site& site, const Bindings& bindings) {
  Evaluator evaluator(graph, bindings);
  evaluator.move_to(site);
  return evaluator.value(node);
}

bool attends(const Pattern& pattern, const Site& site, const Bindings& bindings) {
  Evaluator evaluator(pattern.graph, bindings);
  evaluator.move_to(site);
  return evaluator.attends(pattern.masks);
}

}  // namespace lacuna::ir
