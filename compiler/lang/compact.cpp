#include "compiler/lang/compact.h"

namespace lacuna::lang {
namespace {

class Copier {
 public:
  Copier(const ir::Graph& from, ir::Graph& to)
      : from_(from), to_(to), copies_(from.size(), ir::no_node) {}

  ir::NodeId copy(ir::NodeId id) {
    if (id == ir::no_node) return id;
    if (copies_[id] == ir::no_node) copies_[id] = make(id);
    return copies_[id];
  }

 private:
  ir::NodeId make(ir::NodeId id) {
    std::vector<ir::NodeId> operands;
    for (ir::NodeId operand : from_.operands(id)) operands.push_back(copy(operand));
    const ir::Node& node = from_[id];
    switch (node.op) {
      case ir::Op::constant:
        return constant(id);
      case ir::Op::variable:
        return to_.variable(static_cast<ir::Variable>(node.payload));
      case ir::Op::param:
        return to_.param(node.payload, node.type);
      case ir::Op::read:
        return to_.read(node.payload, node.type, operands);
      default:
        return to_.make(node.op, operands);
    }
  }

  ir::NodeId constant(ir::NodeId id) {
    switch (from_[id].type) {
      case ir::Type::boolean:
        return to_.constant(from_.bool_value(id));
      case ir::Type::i32:
        return to_.constant(from_.int_value(id));
      case ir::Type::f32:
        break;
    }
    return to_.constant(from_.float_value(id));
  }

  const ir::Graph& from_;
  ir::Graph& to_;
  std::vector<ir::NodeId> copies_;
};

}  // namespace

std::vector<ir::NodeId> roots(const ir::Pattern& pattern) {
  std::vector<ir::NodeId> ids;
  for (const ir::Mask& mask : pattern.masks) ids.push_back(mask.expr);
  ids.insert(ids.end(), {pattern.score, pattern.weights.sink, pattern.weights.alpha});
  return ids;
}

ir::Pattern compacted(const ir::Pattern& pattern) {
  ir::Pattern result = pattern;
  result.graph = ir::Graph();
  Copier copier(pattern.graph, result.graph);
  for (ir::Mask& mask : result.masks) mask.expr = copier.copy(mask.expr);
  result.score = copier.copy(pattern.score);
  result.weights.sink = copier.copy(pattern.weights.sink);
  result.weights.alpha = copier.copy(pattern.weights.alpha);
  return result;
}

}  // namespace lacuna::lang
