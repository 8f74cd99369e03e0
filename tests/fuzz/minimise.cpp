#include "tests/fuzz/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace lacuna::fuzz {
namespace {

using ir::no_node;
using ir::NodeId;
using ir::Op;
using ir::Type;

/// Every expression that a pattern hangs on, in a fixed order.
template <class P>
auto roots_of(P& pattern) {
  std::vector<decltype(&pattern.score)> roots;
  for (auto& mask : pattern.masks) roots.push_back(&mask.expr);
  for (auto* root : {&pattern.score, &pattern.weights.sink, &pattern.weights.alpha})
    if (*root != no_node) roots.push_back(root);
  return roots;
}

std::vector<bool> reachable(const ir::Pattern& pattern) {
  std::vector<bool> reached(pattern.graph.size(), false);
  for (const NodeId* root : roots_of(pattern)) reached[*root] = true;
  for (NodeId id = static_cast<NodeId>(reached.size()); id-- > 0;)
    if (reached[id])
      for (NodeId operand : pattern.graph.operands(id)) reached[operand] = true;
  return reached;
}

/// One node of the old graph, and what stands in its place: a node below it, or a constant.
struct Replacement {
  NodeId from = no_node;
  NodeId by_node = no_node;
  std::optional<Literal> by_constant;
};

/// Moves what a pattern reaches into a new graph.
class Copier {
 public:
  Copier(const ir::Pattern& pattern, ir::Simplify simplify)
      : from_(pattern), result_(pattern), moved_(pattern.graph.size(), no_node) {
    result_.graph = ir::Graph(simplify);
  }

  ir::Pattern run(const Replacement& replace) {
    const std::vector<bool> needed = reachable(from_);
    for (NodeId id = 0; id < moved_.size(); ++id)
      if (needed[id]) moved_[id] = id == replace.from ? replacement(replace) : move(id);
    for (NodeId* root : roots_of(result_)) *root = moved_[*root];
    return std::move(result_);
  }

 private:
  NodeId replacement(const Replacement& replace) {
    if (!replace.by_constant) return moved_[replace.by_node];
    return std::visit([&](auto value) { return result_.graph.constant(value); },
                      *replace.by_constant);
  }

  NodeId move(NodeId id) {
    const ir::Node& node = from_.graph[id];
    ir::Graph& graph = result_.graph;
    std::vector<NodeId> operands;
    for (NodeId operand : from_.graph.operands(id)) operands.push_back(moved_[operand]);
    switch (node.op) {
      case Op::constant:
        if (node.type == Type::boolean) return graph.constant(from_.graph.bool_value(id));
        if (node.type == Type::i32) return graph.constant(from_.graph.int_value(id));
        return graph.constant(from_.graph.float_value(id));
      case Op::variable:
        return graph.variable(static_cast<ir::Variable>(node.payload));
      case Op::param:
        return graph.param(node.payload, node.type);
      case Op::read: {
        const auto& axes = from_.tensors[node.payload].axes;
        for (std::size_t axis = 0; axis < axes.size(); ++axis)
          if (const auto only = only_index(axes[axis].kind)) operands[axis] = graph.variable(*only);
        return graph.read(node.payload, node.type, operands);
      }
      default:
        return graph.make(node.op, operands);
    }
  }

  /// What alone may stand on an axis, whatever was replaced elsewhere.
  static std::optional<ir::Variable> only_index(ir::AxisKind kind) {
    switch (kind) {
      case ir::AxisKind::batch:
        return ir::Variable::b;
      case ir::AxisKind::head:
        return ir::Variable::h;
      case ir::AxisKind::kv_head:
        return ir::Variable::g;
      case ir::AxisKind::query:
        return ir::Variable::q;
      default:
        return std::nullopt;
    }
  }

  const ir::Pattern& from_;
  ir::Pattern result_;
  std::vector<NodeId> moved_;
};

ir::Pattern copy(const ir::Pattern& pattern, ir::Simplify simplify, const Replacement& replace) {
  return Copier(pattern, simplify).run(replace);
}

/// What minimising makes less of: nodes, with constants cheapest, and statements.
std::size_t weight(const ir::Pattern& pattern) {
  const std::vector<bool> needed = reachable(pattern);
  std::size_t total = 3 * roots_of(pattern).size();
  for (NodeId id = 0; id < needed.size(); ++id)
    if (needed[id]) total += pattern.graph.is_constant(id) ? 1 : 2;
  return total;
}

std::vector<Literal> constants_of(Type type) {
  switch (type) {
    case Type::boolean:
      return {true, false};
    case Type::i32:
      return {std::int32_t{0}, std::int32_t{1}};
    case Type::f32:
      return {0.0f, 1.0f};
  }
  return {};
}

/// An alpha that is no constant, param or read of [head] is no pattern.
bool is_alpha(const ir::Pattern& pattern, NodeId id) {
  return id == pattern.weights.alpha;
}

class Minimiser {
 public:
  Minimiser(ir::Pattern pattern, const std::function<bool(const ir::Pattern&)>& still_fails)
      : best_(std::move(pattern)), still_fails_(still_fails) {}

  ir::Pattern run() {
    while (drop_statement() || replace_node()) {
    }
    return std::move(best_);
  }

 private:
  bool try_instead(ir::Pattern smaller) {
    if (weight(smaller) >= weight(best_) || !still_fails_(smaller)) return false;
    best_ = std::move(smaller);
    return true;
  }

  bool drop_statement() {
    for (std::size_t i = 0; i < best_.masks.size(); ++i) {
      ir::Pattern smaller = best_;
      smaller.masks.erase(smaller.masks.begin() + static_cast<std::ptrdiff_t>(i));
      if (try_instead(std::move(smaller))) return true;
    }
    ir::Pattern unscored = best_, unweighted = best_;
    unscored.score = no_node;
    unscored.score_where.clear();
    unweighted.weights = {};
    return try_instead(std::move(unscored)) || try_instead(std::move(unweighted));
  }

  /// From the roots down: the first cuts are the largest.
  bool replace_node() {
    const std::vector<bool> needed = reachable(best_);
    for (NodeId id = static_cast<NodeId>(needed.size()); id-- > 0;) {
      if (!needed[id] || best_.graph.is_constant(id) || is_alpha(best_, id)) continue;
      const Type type = best_.graph[id].type;
      for (const Literal& constant : constants_of(type))
        if (try_instead(copy(best_, ir::Simplify::off, {id, no_node, constant}))) return true;
      for (NodeId below : descendants(id))
        if (best_.graph[below].type == type &&
            try_instead(copy(best_, ir::Simplify::off, {id, below, {}})))
          return true;
    }
    return false;
  }

  /// The deepest first.
  std::vector<NodeId> descendants(NodeId id) const {
    std::vector<bool> below(id, false);
    for (NodeId operand : best_.graph.operands(id)) below[operand] = true;
    std::vector<NodeId> found;
    for (NodeId at = id; at-- > 0;) {
      if (!below[at]) continue;
      found.push_back(at);
      for (NodeId operand : best_.graph.operands(at)) below[operand] = true;
    }
    return {found.rbegin(), found.rend()};
  }

  ir::Pattern best_;
  const std::function<bool(const ir::Pattern&)>& still_fails_;
};

std::string text_of(const ir::Graph& graph, NodeId id) {
  const ir::Node& node = graph[id];
  switch (node.op) {
    case Op::constant:
      if (node.type == Type::f32) return fmt::format("{:a}f", graph.float_value(id));
      return fmt::format("{}", graph.int_value(id));
    case Op::variable:
      return std::string(ir::name_of(static_cast<ir::Variable>(node.payload)));
    case Op::param:
      return fmt::format("p{}", node.payload);
    default:
      break;
  }
  std::string text = node.op == Op::read ? fmt::format("(t{}", node.payload)
                                         : fmt::format("({}", ir::row(node.op).name);
  for (NodeId operand : graph.operands(id)) text += fmt::format(" {}", text_of(graph, operand));
  return fmt::format("{})", text);
}

}  // namespace

std::string describe(const ir::Pattern& pattern) {
  std::string text;
  for (const NodeId* root : roots_of(pattern))
    text += fmt::format("{}\n", text_of(pattern.graph, *root));
  return text;
}

ir::Pattern rebuild(const ir::Pattern& pattern, ir::Simplify simplify) {
  return copy(pattern, simplify, {});
}

ir::Pattern minimise(const ir::Pattern& pattern,
                     const std::function<bool(const ir::Pattern&)>& still_fails) {
  return Minimiser(pattern, still_fails).run();
}

std::size_t count_nodes(const ir::Pattern& pattern) {
  const std::vector<bool> needed = reachable(pattern);
  return static_cast<std::size_t>(std::ranges::count(needed, true));
}

}  // namespace lacuna::fuzz
