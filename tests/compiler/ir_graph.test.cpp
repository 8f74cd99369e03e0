#include "compiler/ir/evaluate.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <limits>
#include <set>
#include <tuple>

using namespace lacuna;
using ir::Graph;
using ir::NodeId;
using ir::Op;
using ir::Type;
using ir::Variable;

namespace {

constexpr std::int32_t int_min = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t int_max = std::numeric_limits<std::int32_t>::max();

/// Short names over one graph.
struct Builder {
  Graph graph;
  NodeId q = graph.variable(Variable::q), k = graph.variable(Variable::k),
         b = graph.variable(Variable::b);
  NodeId score = graph.variable(Variable::score);
  NodeId on = graph.constant(true), off = graph.constant(false);
  NodeId p = graph.param(0, Type::boolean), x = graph.param(1, Type::f32),
         y = graph.param(2, Type::f32);
  NodeId read = graph.read(0, Type::i32, std::array{k}),
         flag = graph.read(1, Type::boolean, std::array{k});

  NodeId i(std::int32_t value) { return graph.constant(value); }
  NodeId f(float value) { return graph.constant(value); }
  template <class... Operand>
  NodeId operator()(Op op, Operand... operands) {
    return graph.make(op, {operands...});
  }
};

}  // namespace

TEST_CASE("equal expressions are one node, and operands come before their users") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (int round = 0; round < 500; ++round) {
    const auto simplify = round % 2 ? ir::Simplify::on : ir::Simplify::off;
    const ir::Pattern pattern =
        fuzz::random_pattern(random, {.tame_score = false, .simplify = simplify});
    const Graph& graph = pattern.graph;
    std::set<std::tuple<Op, Type, std::uint32_t, std::vector<NodeId>>> seen;
    for (NodeId id = 0; id < graph.size(); ++id) {
      const auto operands = graph.operands(id);
      const std::vector<NodeId> list(operands.begin(), operands.end());
      REQUIRE(seen.emplace(graph[id].op, graph[id].type, graph[id].payload, list).second);
      ir::Dependence depends = 0;
      for (NodeId operand : list) {
        REQUIRE(operand < id);
        depends |= graph.dependence(operand);
      }
      if (!list.empty() && graph[id].op != Op::read) REQUIRE(graph.dependence(id) == depends);
      if (graph[id].op == Op::read) REQUIRE(graph.dependence(id) == (depends | ir::on_tensor));
    }
  }
}

TEST_CASE("the table of operators is consistent") {
  REQUIRE(ir::operators().size() > 40);
  for (Op op : ir::operators()) {
    const ir::OpRow& row = ir::row(op);
    INFO(row.name);
    CHECK(row.arity >= 1);
    CHECK(row.arity <= 3);
    CHECK_FALSE(row.spelling.empty());
    for (int operand = 0; operand < 3; ++operand) {
      const bool used = row.emit.find(fmt::format("{{{}}}", operand)) != std::string_view::npos;
      CHECK(used == (operand < row.arity));
    }
  }
  CHECK(ir::row(Op::constant).arity == 0);
}

TEST_CASE("spelling and order of building leave no trace in a commutative expression") {
  Builder one;
  Graph other;
  const NodeId k = other.variable(Variable::k), q = other.variable(Variable::q);
  const NodeId kk = other.make(Op::mul_i32, {k, k});
  const NodeId sum = other.make(Op::add_i32, {kk, other.make(Op::and_i32, {other.constant(3), q})});
  const NodeId same =
      one(Op::add_i32, one(Op::and_i32, one.q, one.i(3)), one(Op::mul_i32, one.k, one.k));
  const auto shape = [](const Graph& graph, NodeId id, auto&& self) -> std::string {
    std::string text = fmt::format("{}:{}", ir::row(graph[id].op).name, graph[id].payload);
    for (NodeId operand : graph.operands(id))
      text += fmt::format("({})", self(graph, operand, self));
    return text;
  };
  CHECK(shape(one.graph, same, shape) == shape(other, sum, shape));
  CHECK(one(Op::eq_i32, one.q, one.k) == one(Op::eq_i32, one.k, one.q));
  CHECK(one(Op::eq_i32, one.read, one.k) == one(Op::eq_i32, one.k, one.read));
  // A tie's derivative goes to the first operand.
  CHECK(one(Op::min_f32, one.x, one.y) != one(Op::min_f32, one.y, one.x));
}

TEST_CASE("constants fold to what the operators mean") {
  Builder n;
  CHECK(n(Op::add_i32, n.i(int_max), n.i(1)) == n.i(int_min));
  CHECK(n(Op::mul_i32, n.i(65536), n.i(65536)) == n.i(0));
  CHECK(n(Op::floordiv_i32, n.i(-7), n.i(2)) == n.i(-4));
  CHECK(n(Op::floordiv_i32, n.i(7), n.i(-2)) == n.i(-4));
  CHECK(n(Op::floordiv_i32, n.i(5), n.i(0)) == n.i(0));
  CHECK(n(Op::floordiv_i32, n.i(int_min), n.i(-1)) == n.i(int_min));
  CHECK(n(Op::mod_i32, n.i(-7), n.i(3)) == n.i(2));
  CHECK(n(Op::mod_i32, n.i(7), n.i(-3)) == n.i(-2));
  CHECK(n(Op::mod_i32, n.i(5), n.i(0)) == n.i(5));
  CHECK(n(Op::mod_i32, n.i(int_min), n.i(-1)) == n.i(0));
  CHECK(n(Op::abs_i32, n.i(int_min)) == n.i(int_min));
  CHECK(n(Op::shl_i32, n.i(1), n.i(33)) == n.i(2));
  CHECK(n(Op::shr_i32, n.i(-8), n.i(1)) == n.i(-4));
  CHECK(n(Op::shr_i32, n.i(-8), n.i(-31)) == n.i(-4));
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              inf = std::numeric_limits<float>::infinity();
  CHECK(n(Op::min_f32, n.f(nan), n.f(2)) == n.f(2));
  CHECK(n(Op::max_f32, n.f(2), n.f(nan)) == n.f(2));
  CHECK(n(Op::lt_f32, n.f(nan), n.f(2)) == n.off);
  CHECK(n(Op::ne_f32, n.f(nan), n.f(nan)) == n.on);
  CHECK(n(Op::sub_f32, n.f(inf), n.f(inf)) == n.f(-nan));
  CHECK(n(Op::i32_of_f32, n.f(nan)) == n.i(0));
  CHECK(n(Op::i32_of_f32, n.f(-2.9f)) == n.i(-2));
  CHECK(n(Op::i32_of_f32, n.f(3e9f)) == n.i(int_max));
  CHECK(n(Op::i32_of_f32, n.f(-inf)) == n.i(int_min));
  CHECK(n(Op::f32_of_i32, n.i(16777217)) == n.f(16777216));
  CHECK(n(Op::add_f32, n.f(16777216), n.f(1)) == n.f(16777216));
  CHECK(n(Op::neg_f32, n.f(0)) == n.f(-0.0f));
  CHECK(n.f(0) != n.f(-0.0f));
}

TEST_CASE("identities hold where they are exact") {
  Builder n;
  CHECK(n(Op::add_i32, n.q, n.i(0)) == n.q);
  CHECK(n(Op::sub_i32, n(Op::add_i32, n.q, n.i(3)), n.i(3)) == n.q);
  CHECK(n(Op::add_i32, n(Op::sub_i32, n.q, n.i(3)), n.i(1)) == n(Op::sub_i32, n.q, n.i(2)));
  CHECK(n(Op::add_i32, n.q, n.i(-1)) == n(Op::sub_i32, n.q, n.i(1)));
  CHECK(n(Op::sub_i32, n.q, n.i(int_min)) == n(Op::add_i32, n.q, n.i(int_min)));
  CHECK(n(Op::sub_i32, n.q, n.q) == n.i(0));
  CHECK(n(Op::neg_i32, n(Op::sub_i32, n.q, n.k)) == n(Op::sub_i32, n.k, n.q));
  CHECK(n(Op::floordiv_i32, n.q, n.i(0)) == n.i(0));
  CHECK(n(Op::mod_i32, n.q, n.i(0)) == n.q);
  CHECK(n(Op::mod_i32, n.q, n.i(1)) == n.i(0));
  CHECK(n(Op::shl_i32, n.q, n.i(32)) == n.q);
  CHECK(n(Op::logical_not, n(Op::lt_i32, n.q, n.k)) == n(Op::le_i32, n.k, n.q));
  CHECK(n(Op::logical_not, n(Op::logical_not, n.p)) == n.p);
  CHECK(n(Op::where_i32, n(Op::logical_not, n.p), n.q, n.k) == n(Op::where_i32, n.p, n.k, n.q));
  CHECK(n(Op::where_bool, n.p, n.flag, n.off) == n(Op::logical_and, n.p, n.flag));
  CHECK(n(Op::div_f32, n.x, n.f(4)) == n(Op::mul_f32, n.x, n.f(0.25f)));
  CHECK(n(Op::add_f32, n.x, n.f(-0.0f)) == n.x);
  CHECK(n(Op::sub_f32, n.x, n.f(0)) == n.x);
  CHECK(n(Op::mul_f32, n.x, n.f(-1)) == n(Op::neg_f32, n.x));
}

TEST_CASE("what is not exact stays") {
  Builder n;
  const auto is = [&](Op op, NodeId a, NodeId b) { return n.graph[n(op, a, b)].op == op; };
  CHECK(is(Op::add_f32, n.x, n.f(0)));      // -0 + 0 is +0
  CHECK(is(Op::sub_f32, n.x, n.f(-0.0f)));  // the same
  CHECK(is(Op::mul_f32, n.x, n.f(0)));      // NaN, infinities, signs
  CHECK(is(Op::sub_f32, n.x, n.x));         // inf - inf
  CHECK(is(Op::eq_f32, n.x, n.x));          // NaN
  CHECK(is(Op::div_f32, n.x, n.f(3)));
  CHECK(is(Op::div_f32, n.x, n.f(1e-44f)));  // 1/c overflows
  const NodeId less = n(Op::lt_f32, n.x, n.y);
  CHECK(n.graph[n(Op::logical_not, less)].op == Op::logical_not);
  CHECK(is(Op::floordiv_i32, n.q, n.q));  // 0 // 0 is 0
}

TEST_CASE("a read that is needed is not dropped, one that is not is") {
  Builder n;
  CHECK(n.graph[n(Op::logical_and, n.flag, n.off)].op == Op::logical_and);
  CHECK(n(Op::logical_and, n.off, n.flag) == n.off);
  CHECK(n(Op::logical_or, n.on, n.flag) == n.on);
  CHECK(n.graph[n(Op::mul_i32, n.read, n.i(0))].op == Op::mul_i32);
  CHECK(n(Op::mul_i32, n.q, n.i(0)) == n.i(0));
  CHECK(n(Op::where_i32, n.on, n.q, n.read) == n.q);
  CHECK(n.graph[n(Op::where_i32, n.flag, n.q, n.q)].op == Op::where_i32);
  CHECK(n.graph[n(Op::eq_i32, n.read, n.read)].op == Op::eq_i32);
}

TEST_CASE("what depends on score as written stays f64") {
  Builder n;
  const NodeId kept = n(Op::where_f32, n.on, n.x, n.score);
  CHECK((n.graph.dependence(kept) & ir::on(Variable::score)) != 0);
  CHECK(n(Op::where_f32, n.on, n.score, n.x) == n.score);
}

TEST_CASE("a graph ends at its limit with a sentence") {
  Graph graph;
  try {
    for (std::int32_t value = 0;; ++value) {
      REQUIRE(value <= static_cast<std::int32_t>(Graph::max_nodes));
      graph.constant(value);
    }
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::pattern);
    CHECK(std::string(error.what()).find("10000 nodes") != std::string::npos);
    CHECK(graph.size() == Graph::max_nodes);
  }
}

TEST_CASE("minimising keeps what fails and little else") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const auto uses_shift = [](const ir::Pattern& pattern) {
    const ir::Pattern reached = fuzz::rebuild(pattern, ir::Simplify::off);
    for (NodeId id = 0; id < reached.graph.size(); ++id)
      if (reached.graph[id].op == Op::shl_i32) return true;
    return false;
  };
  int minimised = 0;
  for (int round = 0; round < 300; ++round) {
    const ir::Pattern pattern = fuzz::random_pattern(random, {.simplify = ir::Simplify::off});
    if (!uses_shift(pattern)) continue;
    const ir::Pattern small = fuzz::minimise(pattern, uses_shift);
    ++minimised;
    REQUIRE(uses_shift(small));
    REQUIRE(fuzz::count_nodes(small) <= 8);
    REQUIRE(small.masks.size() + (small.score != ir::no_node) +
                (small.weights.sink != ir::no_node) ==
            1);
  }
  CHECK(minimised > 0);
}
