#include "compiler/plan/decided.h"

#include "compiler/ir/print.h"
#include "compiler/plan/band.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace lacuna::plan {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::Op;
using ir::Variable;

constexpr double most_reads = 64;  // templates/spans.cuh
constexpr ir::Dependence positions = ir::on(Variable::q) | ir::on(Variable::k);

/// What the span of a number is worth.
struct Worth {
  bool ends = true;   ///< both are values that occur
  bool dense = true;  ///< so is every integer between them
  double width = 1;   ///< integers in the span, about
};
/// What the span of a truth is worth: whether `none`, and `all`, are said where they hold.
struct Exact {
  bool none = true, all = true;
};

/// What is assumed of the values of tensors by row.
enum class Rows : bool { anything, together };

class Judge {
 public:
  Judge(const ir::Pattern& pattern, int granule, Rows rows)
      : pattern_(pattern), graph_(pattern.graph), granule_(granule), rows_(rows) {}

  Decision run(NodeId conjunct) {
    if (bands_of(pattern_, conjunct)) return {true, "closed form"};
    if (truth(conjunct).none) return {true, "interval analysis"};
    return {false, why_};
  }

  /// Each alone may have a live element, and none have all: of a value that has gaps.
  Decision together(std::span<const NodeId> conjuncts) {
    std::map<NodeId, int> times;
    for (const NodeId c : conjuncts)
      if (const NodeId of = about(c); of != ir::no_node && ++times[of] > 1 && !worth(of).dense)
        return {false, fmt::format("'{}' takes values with gaps between them", text(of))};
    return {true, "interval analysis"};
  }

 private:
  bool varies(NodeId node) const { return graph_.dependence(node) & positions; }
  bool is_summarised(NodeId node) const {
    return varies(node) && (graph_.dependence(node) & ir::on_tensor) &&
           (graph_.dependence(node) & positions) != positions;
  }
  bool independent(NodeId a, NodeId b) const {
    return !(graph_.dependence(a) & graph_.dependence(b) & positions);
  }
  std::string text(NodeId node) const { return ir::print(graph_, node, pattern_); }
  /// The first reason is the innermost, and is kept.
  void because(const std::string& why) {
    if (why_.empty()) why_ = why;
  }

  Worth worth(NodeId node) {
    if (const auto found = worths_.find(node); found != worths_.end()) return found->second;
    return worths_[node] = judged(node);
  }
  Worth judged(NodeId node);
  Worth pair(NodeId node);
  Worth table(NodeId node);
  double divisor(NodeId node) const;
  Exact truth(NodeId node);
  Exact comparison(NodeId node);
  Exact equality(NodeId node);
  Exact junction(NodeId node);
  NodeId about(NodeId node) const;

  const ir::Pattern& pattern_;
  const Graph& graph_;
  int granule_;
  Rows rows_;
  std::string why_;
  std::map<NodeId, Worth> worths_;
};

/// A positive constant, or 1 where it is not known.
double Judge::divisor(NodeId node) const {
  return graph_.is_constant(node) ? std::max(1.0, double(graph_.int_value(node))) : 1.0;
}

Worth Judge::table(NodeId node) {
  double count = 1;
  const auto indices = graph_.operands(node);
  bool exact = true;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const Worth index = worth(indices[i]);
    count *= index.width;
    exact &= index.ends && index.dense;
    for (std::size_t j = 0; j < i; ++j) exact &= independent(indices[i], indices[j]);
  }
  if (count > most_reads)
    because(fmt::format("'{}' may read more than {} elements in a tile", text(node), most_reads));
  if (!exact) because(fmt::format("the indices of '{}' move together", text(node)));
  return {exact && count <= most_reads, count <= 1, INFINITY};
}

Worth Judge::pair(NodeId node) {
  const NodeId a = graph_.operands(node)[0], b = graph_.operands(node)[1];
  const Worth x = worth(a), y = worth(b);
  Worth r{x.ends && y.ends && independent(a, b), false, INFINITY};
  if (!independent(a, b))
    because(fmt::format("in '{}' both operands depend on the same position", text(node)));
  const bool one = !varies(b);  // one divisor, count, mask
  switch (graph_[node].op) {
    case Op::add_i32:
    case Op::sub_i32:
    case Op::min_i32:
    case Op::max_i32:
      return {r.ends, x.dense && y.dense, x.width + y.width - 1};
    case Op::mul_i32:
      return {r.ends, false, x.width * (graph_.is_constant(b) ? divisor(b) : y.width)};
    case Op::floordiv_i32:
      return {r.ends, x.dense && one, one ? std::ceil(x.width / divisor(b)) : INFINITY};
    case Op::shr_i32:
      return {r.ends, x.dense && one,
              one && graph_.is_constant(b)
                  ? std::ceil(x.width / std::exp2(graph_.int_value(b) & 31))
                  : x.width};
    case Op::mod_i32:
      return {r.ends && x.dense && one, false,
              graph_.is_constant(b) ? std::min(x.width, divisor(b)) : x.width};
    case Op::and_i32:
    case Op::or_i32:
    case Op::xor_i32:
      return {r.ends && x.dense && y.dense, false, INFINITY};
    default:
      return r;
  }
}

Worth Judge::judged(NodeId node) {
  if (!varies(node)) return {};
  const ir::Node& n = graph_[node];
  if (n.op == Op::variable) return {true, true, double(granule_)};
  if (is_summarised(node)) {
    const bool truth = n.type == ir::Type::boolean || n.op == Op::i32_of_bool;
    return {true, truth || rows_ == Rows::together, truth ? 2.0 : INFINITY};
  }
  if (n.op == Op::read) return table(node);
  const auto operands = graph_.operands(node);
  if (n.op == Op::where_i32 || n.op == Op::where_f32) {
    const Worth x = worth(operands[1]), y = worth(operands[2]);
    if (varies(operands[0])) because(fmt::format("'{}' chooses by position", text(node)));
    return {!varies(operands[0]) && x.ends && y.ends, x.dense && y.dense,
            std::max(x.width, y.width)};
  }
  if (n.op == Op::f32_of_bool || n.op == Op::i32_of_bool) {
    const Exact e = truth(operands[0]);
    return {e.none && e.all, true, 2};
  }
  if (n.arity == 2) return pair(node);
  const Worth x = worth(operands[0]);
  if (n.op == Op::abs_i32 || n.op == Op::abs_f32) return {x.ends && x.dense, x.dense, x.width};
  if (n.op == Op::neg_i32 || n.op == Op::not_i32 || n.op == Op::neg_f32 || n.op == Op::f32_of_i32)
    return x;
  return {x.ends, false, INFINITY};
}

Exact Judge::comparison(NodeId node) {
  const NodeId a = graph_.operands(node)[0], b = graph_.operands(node)[1];
  const bool apart = independent(a, b), exact = worth(a).ends && worth(b).ends;
  if (!apart) because(fmt::format("both sides of '{}' depend on the same position", text(node)));
  return {apart && exact, apart && exact};
}

Exact Judge::equality(NodeId node) {
  const auto sides = graph_.operands(node);
  for (const int side : {0, 1}) {
    const auto of = graph_.operands(sides[side]);
    if (graph_[sides[side]].op != Op::mod_i32 || varies(sides[1 - side]) || varies(of[1])) continue;
    const Worth x = worth(of[0]);
    return {x.ends && x.dense, x.ends && x.dense};
  }
  const Exact as_order = comparison(node);
  const bool dense = worth(sides[0]).dense && worth(sides[1]).dense;
  if (!dense)
    because(fmt::format("a side of '{}' takes values with gaps between them", text(node)));
  return {as_order.none && dense, as_order.all && dense};
}

/// The value that a comparison with a uniform value, or a chain of them, is about.
NodeId Judge::about(NodeId node) const {
  const auto operands = graph_.operands(node);
  switch (graph_[node].op) {
    case Op::logical_and: {
      const NodeId a = about(operands[0]);
      return a == about(operands[1]) ? a : ir::no_node;
    }
    case Op::eq_i32:
      if (graph_[operands[0]].op == Op::mod_i32 && !varies(operands[1]) &&
          !varies(graph_.operands(operands[0])[1]))
        return graph_.operands(operands[0])[0];
      [[fallthrough]];
    case Op::le_i32:
    case Op::lt_i32:
      return !varies(operands[0]) ? operands[1] : !varies(operands[1]) ? operands[0] : ir::no_node;
    default:
      return ir::no_node;
  }
}

Exact Judge::junction(NodeId node) {
  const NodeId a = graph_.operands(node)[0], b = graph_.operands(node)[1];
  const Exact x = truth(a), y = truth(b);
  const bool apart = independent(a, b) || (about(a) == about(b) && about(a) != ir::no_node);
  if (graph_[node].op == Op::logical_or) return {x.none && y.none, x.all && y.all && apart};
  if (!apart) because(fmt::format("the parts of '{}' hold on different elements", text(node)));
  return {x.none && y.none && apart, x.all && y.all};
}

Exact Judge::truth(NodeId node) {
  if (!varies(node) || is_summarised(node)) return {};
  const auto operands = graph_.operands(node);
  switch (graph_[node].op) {
    case Op::logical_not: {
      const Exact e = truth(operands[0]);
      return {e.all, e.none};
    }
    case Op::logical_and:
    case Op::logical_or:
      return junction(node);
    case Op::where_bool: {
      const Exact x = truth(operands[1]), y = truth(operands[2]);
      const bool one = !varies(operands[0]);
      if (!one) because(fmt::format("'{}' chooses by position", text(node)));
      return {one && x.none && y.none, one && x.all && y.all};
    }
    case Op::read: {
      const bool exact = table(node).ends;
      return {exact, exact};
    }
    case Op::eq_i32:
    case Op::ne_i32:
    case Op::eq_f32:
    case Op::ne_f32:
      return equality(node);
    case Op::eq_bool:
    case Op::ne_bool: {
      const Exact x = truth(operands[0]), y = truth(operands[1]);
      const bool exact =
          x.none && x.all && y.none && y.all && independent(operands[0], operands[1]);
      if (!exact) because(fmt::format("'{}' compares truths that move together", text(node)));
      return {exact, exact};
    }
    default:
      return comparison(node);
  }
}

/// By the strict judge, and where only that one objects, of the data.
template <class Judged>
Decision strictly(const ir::Pattern& pattern, int granule, Judged judged) {
  Decision strict = judged(Judge(pattern, granule, Rows::anything));
  if (strict.decided || !judged(Judge(pattern, granule, Rows::together)).decided) return strict;
  return {false, "rows of one value need not lie together", true};
}

/// Operations that depend on a position, each once.
int operations(const ir::Graph& graph, NodeId node, std::vector<bool>& seen) {
  if (seen[node] || !(graph.dependence(node) & positions)) return 0;
  seen[node] = true;
  int count = graph[node].op != Op::variable;
  for (const NodeId operand : graph.operands(node)) count += operations(graph, operand, seen);
  return count;
}

/// Whichever schedule of the reader compiles best, what is said of its lists is the same.
int granule_of(const Plan& plan) {
  const Pass* const lists = list_reader(plan);
  const Pass& reader = lists ? *lists : plan.passes.front();
  int granule = std::max(reader.schedule.tile_q, reader.schedule.tile_k);
  for (const Schedule& s : reader.others) granule = std::max({granule, s.tile_q, s.tile_k});
  return granule;
}

}  // namespace

Decision decided_by_spans(const ir::Pattern& pattern, NodeId conjunct, int granule) {
  return strictly(pattern, granule, [&](Judge judge) { return judge.run(conjunct); });
}

Decision decided_by_spans(const ir::Pattern& pattern, std::span<const NodeId> conjuncts,
                          int granule) {
  for (const NodeId c : conjuncts)
    if (Decision one = decided_by_spans(pattern, c, granule); !one.decided) return one;
  return strictly(pattern, granule, [&](Judge judge) { return judge.together(conjuncts); });
}

Decision decided_by_spans(const Plan& plan, const Conjunct& conjunct) {
  return decided_by_spans(plan.spec.pattern.tree(), conjunct.expr, granule_of(plan));
}

TileTest tile_test(const Plan& plan) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  TileTest test{.visit = 2.0 * (plan.spec.head_dim + plan.spec.value_dim)};
  std::vector<bool> seen(pattern.graph.size(), false);
  std::vector<NodeId> conjuncts;
  for (const Conjunct& c : plan.conjuncts) {
    conjuncts.push_back(c.expr);
    test.operations += operations(pattern.graph, c.expr, seen);
    if (test.elements) continue;
    const Decision one = decided_by_spans(plan, c);
    test.elements = !one.decided;
    test.conjunct = one.decided ? "" : c.text;
    test.why = one.why;
  }
  if (test.elements) return test;
  const Decision whole = decided_by_spans(pattern, conjuncts, granule_of(plan));
  test.elements = !whole.decided;
  test.why = whole.why;
  return test;
}

}  // namespace lacuna::plan
