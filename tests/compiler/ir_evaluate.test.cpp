#include "compiler/ir/evaluate.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <limits>

using namespace lacuna;
using ir::NodeId;
using ir::Op;
using ir::Site;
using ir::Type;
using ir::Value;
using ir::Variable;

namespace {

/// Params and tensors as functions of a seed and the indices; counts reads.
class Hashed final : public ir::Bindings {
 public:
  Hashed(const ir::Pattern& pattern, std::uint64_t seed) : pattern_(pattern), seed_(seed) {}
  Value param(std::uint32_t index) const override {
    return value(pattern_.params[index].type, seed_ + index);
  }
  Value read(std::uint32_t tensor, std::span<const std::int32_t> indices,
             const Site&) const override {
    std::uint64_t key = seed_ * 31 + tensor;
    for (std::int32_t index : indices)
      key = (key ^ static_cast<std::uint32_t>(index)) * 0x9e3779b97f4a7c15u;
    ++reads;
    return value(pattern_.tensors[tensor].type, key);
  }
  mutable int reads = 0;

 private:
  static Value value(Type type, std::uint64_t key) {
    fuzz::Random random(key);
    fuzz::Draw draw(random);
    if (type == Type::boolean) return {draw.below(2)};
    if (type == Type::i32)
      return {draw.chance(0.1) ? std::numeric_limits<std::int32_t>::min() : draw.between(-3, 40)};
    const float edge =
        draw.of({0.0f, -0.0f, std::numeric_limits<float>::infinity(), std::nanf(""), 1e-42f});
    return {0, draw.chance(0.1) ? edge : draw.normal() * 3};
  }
  const ir::Pattern& pattern_;
  std::uint64_t seed_;
};

/// The language once more, told in another way: by spelling, recursively, in wide arithmetic that
/// is cut down after each step. f32 arithmetic in f64 and rounded once is the f32 result for + - *
/// / and sqrt.
class Teller {
 public:
  Teller(const ir::Graph& graph, const Site& site, const ir::Bindings& bindings)
      : graph_(graph), site_(site), bindings_(bindings) {}

  /// A bool as 0 or 1, an i32, or an f32: each is a double exactly.
  double tell(NodeId id) const {
    const ir::Node& node = graph_[id];
    const auto operands = graph_.operands(id);
    if (node.op == Op::constant)
      return node.type == Type::f32 ? double{graph_.float_value(id)} : double(graph_.int_value(id));
    if (node.op == Op::variable)
      return tell_variable(ir::name_of(static_cast<Variable>(node.payload)));
    if (node.op == Op::param) return number(node.type, bindings_.param(node.payload));
    if (node.op == Op::read) {
      std::vector<std::int32_t> indices;
      for (NodeId operand : operands) indices.push_back(static_cast<std::int32_t>(tell(operand)));
      return number(node.type, bindings_.read(node.payload, indices, site_));
    }
    const std::string_view name = ir::row(node.op).spelling;
    if (name == "where") return tell(operands[0]) != 0 ? tell(operands[1]) : tell(operands[2]);
    if (name == "and") return tell(operands[0]) != 0 ? tell(operands[1]) : 0;
    if (name == "or") return tell(operands[0]) != 0 ? 1 : tell(operands[1]);
    const double a = tell(operands[0]), b = operands.size() > 1 ? tell(operands[1]) : 0;
    const bool unary = operands.size() == 1;
    if (ir::row(node.op).result == Type::boolean) return compare(name, a, b);
    if (ir::row(node.op).result == Type::i32) return integer(name, a, b, unary) + 0.0;  // no -0
    const double exact = real(name, a, b, unary);
    return (graph_.dependence(id) & ir::on(Variable::score)) ? exact
                                                             : double{static_cast<float>(exact)};
  }

 private:
  static double number(Type type, Value value) {
    return type == Type::f32 ? value.real : value.integer;
  }

  double tell_variable(std::string_view name) const {
    if (name == "score") return site_.score;
    const std::pair<std::string_view, std::int32_t> values[] = {{"b", site_.b},
                                                                {"h", site_.h},
                                                                {"g", site_.g},
                                                                {"q", site_.q},
                                                                {"k", site_.k},
                                                                {"q_len", site_.q_len},
                                                                {"k_len", site_.k_len},
                                                                {"batch", site_.batch},
                                                                {"heads", site_.heads},
                                                                {"kv_heads", site_.kv_heads},
                                                                {"head_dim", site_.head_dim}};
    for (const auto& [each, value] : values)
      if (each == name) return value;
    FAIL("no variable " << name);
    return 0;
  }

  static double compare(std::string_view name, double a, double b) {
    if (name == "==") return a == b;
    if (name == "!=") return a != b;
    if (name == "<") return a < b;
    if (name == "<=") return a <= b;
    if (name == "not") return a == 0;
    FAIL("no comparison " << name);
    return 0;
  }

  static double integer(std::string_view name, double a, double b, bool unary) {
    if (name == "i32") {
      if (std::isnan(a)) return 0;
      return std::clamp(std::trunc(a), -2147483648.0, 2147483647.0);
    }
    const auto x = static_cast<std::int64_t>(a), y = static_cast<std::int64_t>(b);
    const auto wrap = [](std::int64_t value) {
      return double(((value + 2147483648) & 0xffffffff) - 2147483648);
    };
    if (name == "+") return wrap(x + y);
    if (name == "-") return wrap(unary ? -x : x - y);
    if (name == "*") return wrap(x * y);
    if (name == "abs") return wrap(std::abs(x));
    if (name == "min") return double(std::min(x, y));
    if (name == "max") return double(std::max(x, y));
    if (name == "&") return double(x & y);
    if (name == "|") return double(x | y);
    if (name == "^") return double(x ^ y);
    if (name == "~") return double(-x - 1);
    if (name == "<<") return wrap(x << (y & 31));
    if (name == ">>") return std::floor(double(x) / std::ldexp(1.0, static_cast<int>(y & 31)));
    const double quotient =
        y == 0 ? 0 : std::floor(double(x) / double(y));  // 32-bit operands: exact enough in f64
    if (name == "//") return wrap(static_cast<std::int64_t>(quotient));
    if (name == "%") return wrap(x - y * static_cast<std::int64_t>(quotient));
    FAIL("no operator " << name);
    return 0;
  }

  static double real(std::string_view name, double a, double b, bool unary) {
    if (name == "f32") return a;
    if (name == "+") return a + b;
    if (name == "-") return unary ? -a : a - b;
    if (name == "*") return a * b;
    if (name == "/") return a / b;
    if (name == "abs") return std::signbit(a) ? -a : a;
    if (name == "min" || name == "max") {
      if (std::isnan(a) || std::isnan(b)) return std::isnan(a) ? b : a;
      const bool both = std::signbit(a) && std::signbit(b),
                 either = std::signbit(a) || std::signbit(b);
      if (a == 0 && b == 0) return (name == "min" ? either : both) ? -0.0 : 0.0;
      return name == "min" ? std::fmin(a, b) : std::fmax(a, b);
    }
    if (name == "floor") return std::floor(a);
    if (name == "sqrt") return std::sqrt(a);
    if (name == "exp") return std::exp(a);
    if (name == "log") return std::log(a);
    if (name == "tanh") return std::tanh(a);
    FAIL("no function " << name);
    return 0;
  }

  const ir::Graph& graph_;
  const Site& site_;
  const ir::Bindings& bindings_;
};

Site random_site(fuzz::Draw& draw) {
  Site site;
  site.b = draw.below(3);
  site.h = draw.below(4);
  site.g = site.h / 2;
  site.q = draw.between(-6, 60);
  site.k = draw.below(60);
  site.q_len = 50;
  site.k_len = 60;
  site.batch = 3;
  site.heads = 4;
  site.kv_heads = 2;
  site.head_dim = 64;
  site.score = draw.normal() * 4;
  return site;
}

bool same_bits(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

double number(Type type, Value value) {
  return type == Type::f32 ? value.real : value.integer;
}

std::vector<NodeId> roots(const ir::Pattern& pattern) {
  std::vector<NodeId> ids;
  for (const ir::Mask& mask : pattern.masks) ids.push_back(mask.expr);
  for (NodeId id : {pattern.score, pattern.weights.sink})
    if (id != ir::no_node) ids.push_back(id);
  return ids;
}

/// Whether evaluator and teller agree on all roots at a site; `why` says where not.
bool agree(const ir::Pattern& pattern, ir::Evaluator& evaluator, const Site& site,
           const Hashed& bindings) {
  const Teller teller(pattern.graph, site, bindings);
  for (NodeId root : roots(pattern)) {
    const double expected = teller.tell(root);
    if (!same_bits(number(pattern.graph[root].type, evaluator.value(root)), expected)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("the evaluator agrees with a second telling of the language, bit for bit") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int round = 0; round < 8000; ++round) {
    const auto simplify = round % 2 ? ir::Simplify::on : ir::Simplify::off;
    const ir::Pattern pattern = fuzz::random_pattern(
        random, {.max_depth = 5, .tame_score = round % 4 == 0, .simplify = simplify});
    const std::uint64_t values = random();
    const auto disagrees = [&](const ir::Pattern& smaller, const Site& site) {
      const Hashed bindings(smaller, values);
      ir::Evaluator evaluator(smaller.graph, bindings);
      evaluator.move_to(site);
      return !agree(smaller, evaluator, site, bindings);
    };
    const Hashed bindings(pattern, values);
    ir::Evaluator evaluator(pattern.graph, bindings);
    for (int at = 0; at < 6; ++at) {
      const Site site = random_site(draw);
      evaluator.move_to(site);
      for (int step = 0; step < 3; ++step) {
        Site moved = evaluator.site();
        const bool fine = agree(pattern, evaluator, moved, bindings);
        INFO("program " << round << ": " << fuzz::count_nodes(pattern) << " nodes");
        if (!fine) {
          const auto fails = [&](const ir::Pattern& smaller) { return disagrees(smaller, moved); };
          INFO("minimised to " << fuzz::describe(fuzz::minimise(pattern, fails)));
          REQUIRE(fine);
        }
        // What is kept must be forgotten as soon as it depends on what moved.
        evaluator.move_to_key(draw.below(60));
        if (step == 1) evaluator.set_score(draw.normal());
      }
    }
  }
}

TEST_CASE("a simplified program is the same program, bit for bit") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  std::size_t before = 0, after = 0;
  for (int round = 0; round < 8000; ++round) {
    const ir::Pattern raw = fuzz::random_pattern(
        random, {.max_depth = 5, .tame_score = round % 4 == 0, .simplify = ir::Simplify::off});
    const ir::Pattern simple = fuzz::rebuild(raw, ir::Simplify::on);
    before += fuzz::count_nodes(raw);
    after += fuzz::count_nodes(simple);
    const Hashed bindings(raw, random());
    const auto first = roots(raw), second = roots(simple);
    REQUIRE(first.size() == second.size());
    ir::Evaluator one(raw.graph, bindings), other(simple.graph, bindings);
    for (int at = 0; at < 8; ++at) {
      const Site site = random_site(draw);
      one.move_to(site);
      other.move_to(site);
      for (std::size_t i = 0; i < first.size(); ++i) {
        const Type type = raw.graph[first[i]].type;
        INFO("program " << round << ", root " << i);
        REQUIRE(simple.graph[second[i]].type == type);
        REQUIRE(same_bits(number(type, one.value(first[i])), number(type, other.value(second[i]))));
      }
    }
  }
  CHECK(after < before);
}

TEST_CASE("and, or and where evaluate only what they need") {
  ir::Pattern pattern{.name = "lazy"};
  pattern.tensors.push_back({"t", Type::boolean, {{ir::AxisKind::key}}});
  ir::Graph& graph = pattern.graph;
  const NodeId k = graph.variable(Variable::k);
  const NodeId inside = graph.make(Op::lt_i32, {k, graph.constant(4)});
  const NodeId read = graph.read(0, Type::boolean, std::array{k});
  const NodeId guarded[] = {
      graph.make(Op::logical_and, {inside, read}),
      graph.make(Op::logical_or, {graph.make(Op::logical_not, {inside}), read}),
      graph.make(Op::where_bool,
                 {inside, read, graph.make(Op::lt_i32, {k, graph.variable(Variable::q)})})};
  for (NodeId node : guarded)
    for (std::int32_t at : {3, 4}) {
      const Hashed bindings(pattern, 1);
      Site site;
      site.k = at;
      ir::evaluate(graph, node, site, bindings);
      CHECK(bindings.reads == (at < 4 ? 1 : 0));
    }
  pattern.masks.push_back(ir::Mask{inside});
  pattern.masks.push_back(ir::Mask{read});
  const Hashed bindings(pattern, 1);
  Site site;
  site.k = 9;
  CHECK_FALSE(ir::attends(pattern, site, bindings));
  CHECK(bindings.reads == 0);
}
