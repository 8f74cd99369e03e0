#include "compiler/ir/simplify.h"

#include "compiler/ir/meaning.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace lacuna::ir {
namespace {

using Operands = std::span<const NodeId>;
constexpr std::int32_t int_min = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t int_max = std::numeric_limits<std::int32_t>::max();

/// Reads over one graph, so that a rule is as short as its law.
struct Reader {
  Graph& graph;

  Op op(NodeId id) const { return graph[id].op; }
  NodeId at(NodeId id, int operand) const { return graph.operands(id)[operand]; }
  bool constant(NodeId id) const { return graph.is_constant(id); }
  bool is(NodeId id, bool value) const { return constant(id) && graph.bool_value(id) == value; }
  bool is(NodeId id, std::int32_t value) const {
    return constant(id) && graph.int_value(id) == value;
  }
  /// By bits: -0 is not +0.
  bool is(NodeId id, float value) const {
    return constant(id) && graph[id].payload == std::bit_cast<std::uint32_t>(value);
  }
  /// Whether dropping a needed operand loses nothing: no read of its can fail.
  bool droppable(NodeId id) const { return (graph.dependence(id) & on_tensor) == 0; }
  NodeId of(bool value) const { return graph.constant(value); }
  NodeId of(std::int32_t value) const { return graph.constant(value); }
};

Value constant_value(const Graph& graph, NodeId id) {
  if (graph[id].type == Type::f32) return {0, graph.float_value(id)};
  return {graph.int_value(id), 0};
}

NodeId fold(Graph& graph, Op op, Operands operands) {
  for (NodeId operand : operands)
    if (!graph.is_constant(operand)) return no_node;
  const auto fetch = [&](int index) { return constant_value(graph, operands[index]); };
  const Value value = meaning<float>(op, fetch);
  switch (row(op).result) {
    case Type::boolean:
      return graph.constant(value.integer != 0);
    case Type::i32:
      return graph.constant(value.integer);
    case Type::f32:
      return graph.constant(static_cast<float>(value.real));
  }
  return no_node;
}

bool commutes(Op op) {
  switch (op) {
    case Op::add_i32:
    case Op::mul_i32:
    case Op::min_i32:
    case Op::max_i32:
    case Op::and_i32:
    case Op::or_i32:
    case Op::xor_i32:
    case Op::add_f32:
    case Op::mul_f32:  // not min_f32, max_f32: a tie's derivative goes to the first
    case Op::eq_bool:
    case Op::ne_bool:
    case Op::eq_i32:
    case Op::ne_i32:
    case Op::eq_f32:
    case Op::ne_f32:
      return true;
    default:
      return false;
  }
}

/// Variables in their order, then params, reads, compound expressions, and constants last.
int rank(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  switch (node.op) {
    case Op::variable:
      return static_cast<int>(node.payload);
    case Op::param:
      return 100 + static_cast<int>(node.payload);
    case Op::read:
      return 1000 + static_cast<int>(node.payload);
    case Op::constant:
      return 1'000'000;
    default:
      return 100'000;
  }
}

/// Whether a may stand before b: by structure alone, so that the order in which a graph was built
/// leaves no trace.
bool ordered(const Graph& graph, NodeId a, NodeId b) {
  while (a != b) {
    const int left = rank(graph, a), right = rank(graph, b);
    if (left != right) return left < right;
    if (graph[a].op != graph[b].op) return graph[a].op < graph[b].op;
    if (graph[a].payload != graph[b].payload) return graph[a].payload < graph[b].payload;
    const Operands x = graph.operands(a), y = graph.operands(b);
    const auto differ = std::ranges::mismatch(x, y);
    if (differ.in1 == x.end() || differ.in2 == y.end()) return x.size() <= y.size();
    a = *differ.in1;
    b = *differ.in2;
  }
  return true;
}

/// x + c or x - c: sums with constants run together, and the constant added or subtracted is
/// positive (or INT_MIN, its own negative). Exact because i32 wraps.
NodeId sum_with_constant(const Reader& r, Op op, NodeId x, std::int32_t c) {
  std::int32_t total = op == Op::add_i32 ? c : scalar::wrap_sub(0, c);
  NodeId base = x;
  while ((r.op(base) == Op::add_i32 || r.op(base) == Op::sub_i32) && r.constant(r.at(base, 1))) {
    const std::int32_t inner = r.graph.int_value(r.at(base, 1));
    total =
        r.op(base) == Op::add_i32 ? scalar::wrap_add(total, inner) : scalar::wrap_sub(total, inner);
    base = r.at(base, 0);
  }
  if (r.op(base) == Op::sub_i32 && r.constant(r.at(base, 0))) {
    const std::int32_t from = scalar::wrap_add(r.graph.int_value(r.at(base, 0)), total);
    return r.graph.make(Op::sub_i32, {r.of(from), r.at(base, 1)});
  }
  if (total == 0) return base;
  const bool subtract = total < 0 && total != int_min;
  const Op wanted = subtract ? Op::sub_i32 : Op::add_i32;
  if (base == x && wanted == op) return no_node;
  return r.graph.make(wanted, {base, r.of(subtract ? -total : total)});
}

NodeId simplify_sum(const Reader& r, Op op, Operands x) {
  const bool add = op == Op::add_i32;
  if (r.constant(x[1])) return sum_with_constant(r, op, x[0], r.graph.int_value(x[1]));
  if (r.op(x[1]) == Op::neg_i32)
    return r.graph.make(add ? Op::sub_i32 : Op::add_i32, {x[0], r.at(x[1], 0)});
  if (add && r.op(x[0]) == Op::neg_i32) return r.graph.make(Op::sub_i32, {x[1], r.at(x[0], 0)});
  if (!add && r.is(x[0], 0)) return r.graph.make(Op::neg_i32, {x[1]});
  if (!add && x[0] == x[1] && r.droppable(x[0])) return r.of(0);
  return no_node;
}

NodeId simplify_product(const Reader& r, Op op, Operands x) {
  if (op == Op::mul_i32) {
    if (r.is(x[1], 1)) return x[0];
    if (r.is(x[1], -1)) return r.graph.make(Op::neg_i32, {x[0]});
    if (r.is(x[1], 0) && r.droppable(x[0])) return x[1];
    return no_node;
  }
  const bool quotient = op == Op::floordiv_i32;
  const bool divides_all = r.is(x[1], 1) || r.is(x[1], -1);
  if (quotient && r.is(x[1], 1)) return x[0];
  if (quotient && r.is(x[1], -1)) return r.graph.make(Op::neg_i32, {x[0]});
  if (!quotient && r.is(x[1], 0)) return x[0];
  if (!quotient && divides_all && r.droppable(x[0])) return r.of(0);
  if (quotient && r.is(x[1], 0) && r.droppable(x[0])) return x[1];
  if (r.is(x[0], 0) && r.droppable(x[1])) return x[0];
  return no_node;
}

NodeId simplify_bits(const Reader& r, Op op, Operands x) {
  if (x[0] == x[1] && op != Op::xor_i32) return x[0];
  if (x[0] == x[1] && r.droppable(x[0])) return r.of(0);
  const bool zeros = r.is(x[1], 0), ones = r.is(x[1], -1);
  if (zeros && op != Op::and_i32) return x[0];
  if (ones && op == Op::and_i32) return x[0];
  if (zeros && r.droppable(x[0])) return x[1];
  if (ones && op == Op::or_i32 && r.droppable(x[0])) return x[1];
  if (ones && op == Op::xor_i32) return r.graph.make(Op::not_i32, {x[0]});
  return no_node;
}

NodeId simplify_extremum(const Reader& r, Op op, Operands x) {
  if (x[0] == x[1]) return x[0];
  const std::int32_t neutral = op == Op::min_i32 ? int_max : int_min;
  if (r.is(x[1], neutral)) return x[0];
  if (r.is(x[1], neutral == int_max ? int_min : int_max) && r.droppable(x[0])) return x[1];
  return no_node;
}

NodeId simplify_unary(const Reader& r, Op op, NodeId x) {
  const bool integer = row(op).result == Type::i32;
  const Op negate = integer ? Op::neg_i32 : Op::neg_f32;
  if (op == Op::abs_i32 || op == Op::abs_f32) {
    if (r.op(x) == negate) return r.graph.make(op, {r.at(x, 0)});
    return r.op(x) == op ? x : no_node;
  }
  if (op == Op::floor_f32)
    return r.op(x) == op || r.op(x) == Op::f32_of_i32 || r.op(x) == Op::f32_of_bool ? x : no_node;
  if (op == Op::neg_i32 && r.op(x) == Op::sub_i32)
    return r.graph.make(Op::sub_i32, {r.at(x, 1), r.at(x, 0)});
  const bool involution = op == Op::neg_i32 || op == Op::neg_f32 || op == Op::not_i32;
  return involution && r.op(x) == op ? r.at(x, 0) : no_node;
}

/// Whether 1/c is exact: c is a power of two whose inverse is a normal number.
bool exact_inverse(float c) {
  int exponent = 0;
  return std::fabs(std::frexp(c, &exponent)) == 0.5f && exponent > -120 && exponent < 120;
}

NodeId simplify_real(const Reader& r, Op op, Operands x) {
  const bool negated = r.op(x[1]) == Op::neg_f32;
  switch (op) {
    case Op::add_f32:
      if (r.is(x[1], -0.0f)) return x[0];
      if (negated) return r.graph.make(Op::sub_f32, {x[0], r.at(x[1], 0)});
      if (r.op(x[0]) == Op::neg_f32) return r.graph.make(Op::sub_f32, {x[1], r.at(x[0], 0)});
      return no_node;
    case Op::sub_f32:
      if (r.is(x[1], 0.0f)) return x[0];
      return negated ? r.graph.make(Op::add_f32, {x[0], r.at(x[1], 0)}) : no_node;
    case Op::mul_f32:
    case Op::div_f32:
      if (r.is(x[1], 1.0f)) return x[0];
      if (r.is(x[1], -1.0f)) return r.graph.make(Op::neg_f32, {x[0]});
      if (op == Op::div_f32 && r.constant(x[1]) && exact_inverse(r.graph.float_value(x[1])))
        return r.graph.make(Op::mul_f32, {x[0], r.graph.constant(1 / r.graph.float_value(x[1]))});
      return no_node;
    default:
      return x[0] == x[1] ? x[0] : no_node;  // min_f32, max_f32
  }
}

NodeId simplify_comparison(const Reader& r, Op op, Operands x) {
  const bool equality = op == Op::eq_i32 || op == Op::eq_bool;
  const bool inequality = op == Op::ne_i32 || op == Op::ne_bool;
  if ((op == Op::eq_bool || op == Op::ne_bool) && r.constant(x[1])) {
    const bool same = r.graph.bool_value(x[1]) == equality;
    return same ? x[0] : r.graph.make(Op::logical_not, {x[0]});
  }
  if (x[0] == x[1] && r.droppable(x[0])) {
    if (equality || op == Op::le_i32) return r.of(true);
    if (inequality || op == Op::lt_i32 || op == Op::lt_f32) return r.of(false);
  }
  if (op == Op::lt_i32 &&
      ((r.is(x[1], int_min) && r.droppable(x[0])) || (r.is(x[0], int_max) && r.droppable(x[1]))))
    return r.of(false);
  if (op == Op::le_i32 &&
      ((r.is(x[1], int_max) && r.droppable(x[0])) || (r.is(x[0], int_min) && r.droppable(x[1]))))
    return r.of(true);
  return no_node;
}

NodeId simplify_not(const Reader& r, NodeId x) {
  const auto as = [&](Op op, int a, int b) { return r.graph.make(op, {r.at(x, a), r.at(x, b)}); };
  switch (r.op(x)) {
    case Op::logical_not:
      return r.at(x, 0);
    case Op::lt_i32:
      return as(Op::le_i32, 1, 0);
    case Op::le_i32:
      return as(Op::lt_i32, 1, 0);
    case Op::eq_i32:
      return as(Op::ne_i32, 0, 1);
    case Op::ne_i32:
      return as(Op::eq_i32, 0, 1);
    case Op::eq_bool:
      return as(Op::ne_bool, 0, 1);
    case Op::ne_bool:
      return as(Op::eq_bool, 0, 1);
    case Op::eq_f32:
      return as(Op::ne_f32, 0, 1);
    case Op::ne_f32:
      return as(Op::eq_f32, 0, 1);
    default:
      return no_node;  // lt_f32, le_f32: both are false on NaN
  }
}

NodeId simplify_connective(const Reader& r, Op op, Operands x) {
  const bool neutral = op == Op::logical_and;
  if (r.constant(x[0])) return r.is(x[0], neutral) ? x[1] : x[0];
  if (r.is(x[1], neutral) || x[0] == x[1]) return x[0];
  if (r.is(x[1], !neutral) && r.droppable(x[0])) return x[1];
  return no_node;
}

NodeId simplify_where(const Reader& r, Op op, Operands x) {
  if (r.constant(x[0])) return r.is(x[0], true) ? x[1] : x[2];
  if (x[1] == x[2] && r.droppable(x[0])) return x[1];
  if (r.op(x[0]) == Op::logical_not) return r.graph.make(op, {r.at(x[0], 0), x[2], x[1]});
  if (op != Op::where_bool) return no_node;
  if (r.is(x[2], false)) return r.graph.make(Op::logical_and, {x[0], x[1]});
  if (r.is(x[1], true)) return r.graph.make(Op::logical_or, {x[0], x[2]});
  if (r.is(x[1], false) && r.is(x[2], true)) return r.graph.make(Op::logical_not, {x[0]});
  return no_node;
}

NodeId simplify_shift(const Reader& r, Operands x) {
  const bool by_none = r.constant(x[1]) && (r.graph.int_value(x[1]) & 31) == 0;
  if (by_none) return x[0];
  return r.is(x[0], 0) && r.droppable(x[1]) ? x[0] : no_node;
}

NodeId apply_rules(const Reader& r, Op op, Operands x) {
  switch (op) {
    case Op::add_i32:
    case Op::sub_i32:
      return simplify_sum(r, op, x);
    case Op::mul_i32:
    case Op::floordiv_i32:
    case Op::mod_i32:
      return simplify_product(r, op, x);
    case Op::and_i32:
    case Op::or_i32:
    case Op::xor_i32:
      return simplify_bits(r, op, x);
    case Op::min_i32:
    case Op::max_i32:
      return simplify_extremum(r, op, x);
    case Op::shl_i32:
    case Op::shr_i32:
      return simplify_shift(r, x);
    case Op::neg_i32:
    case Op::abs_i32:
    case Op::not_i32:
    case Op::neg_f32:
    case Op::abs_f32:
    case Op::floor_f32:
      return simplify_unary(r, op, x[0]);
    case Op::add_f32:
    case Op::sub_f32:
    case Op::mul_f32:
    case Op::div_f32:
    case Op::min_f32:
    case Op::max_f32:
      return simplify_real(r, op, x);
    case Op::eq_bool:
    case Op::ne_bool:
    case Op::eq_i32:
    case Op::ne_i32:
    case Op::lt_i32:
    case Op::le_i32:
    case Op::lt_f32:
      return simplify_comparison(r, op, x);
    case Op::logical_not:
      return simplify_not(r, x[0]);
    case Op::logical_and:
    case Op::logical_or:
      return simplify_connective(r, op, x);
    case Op::where_bool:
    case Op::where_i32:
    case Op::where_f32:
      return simplify_where(r, op, x);
    default:
      return no_node;
  }
}

}  // namespace

NodeId simplify(Graph& graph, Op op, Operands operands) {
  if (NodeId folded = fold(graph, op, operands); folded != no_node) return folded;
  if (commutes(op) && !ordered(graph, operands[0], operands[1]))
    return graph.make(op, {operands[1], operands[0]});
  return apply_rules(Reader{graph}, op, operands);
}

}  // namespace lacuna::ir
