#include "compiler/ir/evaluate.h"

#include "lacuna/tensor.hpp"

#include "compiler/ir/meaning.h"

namespace lacuna::ir {

Evaluator::Evaluator(const Graph& graph, const Bindings& bindings)
    : graph_(graph), bindings_(bindings), stamp_(graph.size(), 0), values_(graph.size()) {
  level_.reserve(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Dependence depends = graph.dependence(id);
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
  const auto fetch = [this, operands](int index) { return value(operands[index]); };
  return level_[id] == score ? meaning<double>(node.op, fetch) : meaning<float>(node.op, fetch);
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
