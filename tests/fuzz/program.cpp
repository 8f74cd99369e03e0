#include "tests/fuzz/program.h"

#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <cstdlib>
#include <limits>
#include <map>
#include <string>

namespace lacuna::fuzz {
namespace {

using ir::AxisKind;
using ir::NodeId;
using ir::Op;
using ir::Type;
using ir::Variable;

/// What an f32 expression may hold: what stands below a comparison or i32() must be exact.
enum class Reals { exact, transcendental, score };

bool is_transcendental(Op op) {
  return op == Op::exp_f32 || op == Op::log_f32 || op == Op::tanh_f32;
}

class Generator {
 public:
  Generator(Random& random, const Options& options)
      : draw_(random),
        options_(options),
        pattern_{.name = "random", .graph = ir::Graph(options.simplify)} {}

  ir::Pattern pattern() {
    declare_params();
    declare_tensors();
    for (int left = draw_.below(options_.max_masks + 1); left > 0; --left) add_mask();
    if (options_.score && draw_.chance(0.7)) {
      pattern_.score = options_.tame_score
                           ? tame_score()
                           : expression(Type::f32, options_.max_depth, Reals::score);
      pattern_.score_where.push_back({"random.lac", 50, 1});
    }
    if (options_.weights) add_weights();
    return std::move(pattern_);
  }

 private:
  ir::Graph& graph() { return pattern_.graph; }
  NodeId v(Variable variable) { return graph().variable(variable); }
  NodeId i(std::int32_t value) { return graph().constant(value); }
  NodeId f(double value) { return graph().constant(static_cast<float>(value)); }
  NodeId make(Op op, NodeId a) { return graph().make(op, {a}); }
  NodeId make(Op op, NodeId a, NodeId b) { return graph().make(op, {a, b}); }
  NodeId make(Op op, NodeId a, NodeId b, NodeId c) { return graph().make(op, {a, b, c}); }

  void declare_params();
  void declare_tensors();
  void add_mask();
  void add_weights();

  NodeId expression(Type type, int depth, Reals reals);
  NodeId row(Type type, int depth, Reals reals);
  NodeId leaf(Type type, Reals reals);
  NodeId idiom(int depth);
  NodeId guarded_read(int depth);
  NodeId constant(Type type);
  NodeId tensor(Type type, int depth);
  NodeId read(std::uint32_t tensor, std::span<const NodeId> free_indices);
  NodeId index(const ir::Axis& axis, int depth);
  NodeId tame_score();
  NodeId tame(int depth);
  NodeId clamped(NodeId real, double low, double high) {
    return make(Op::max_f32, make(Op::min_f32, real, f(high)), f(low));
  }

  Draw draw_;
  Options options_;
  ir::Pattern pattern_;
  std::vector<NodeId> made_[3];  ///< exact expressions by type, to be used again
};

void Generator::declare_params() {
  for (int left = draw_.below(4); left > 0; --left) {
    const auto type = draw_.of({Type::boolean, Type::i32, Type::i32, Type::f32});
    ir::Param param{fmt::format("p{}", pattern_.params.size()), type, {}};
    if (draw_.chance(0.5)) {
      if (type == Type::boolean) param.initial = draw_.chance(0.5);
      if (type == Type::i32) param.initial = std::int32_t{draw_.between(-5, 40)};
      if (type == Type::f32) param.initial = static_cast<float>(draw_.between(-2.0, 2.0));
    }
    pattern_.params.push_back(std::move(param));
  }
}

void Generator::declare_tensors() {
  const std::vector<std::vector<ir::Axis>> shapes = {
      {{AxisKind::batch}, {AxisKind::key}},
      {{AxisKind::batch}, {AxisKind::query}},
      {{AxisKind::head}},
      {{AxisKind::key}},
      {{AxisKind::query}, {AxisKind::key}},
      {{AxisKind::batch}, {AxisKind::kv_head}, {AxisKind::key}},
      {{AxisKind::batch}, {AxisKind::head}, {AxisKind::query}},
      {{AxisKind::fixed, 7}},
      {{AxisKind::head}, {AxisKind::fixed, 5}, {AxisKind::any}},
      {{AxisKind::any}},
      {}};
  for (int left = options_.tensors ? draw_.below(5) : 0; left > 0; --left) {
    const auto type = draw_.of({Type::boolean, Type::i32, Type::f32});
    pattern_.tensors.push_back(
        {fmt::format("t{}", pattern_.tensors.size()), type, draw_.of(shapes)});
  }
}

void Generator::add_mask() {
  NodeId expr = expression(Type::boolean, options_.max_depth, Reals::exact);
  // A mask that leaves nothing alive tests little: most of them let a band through.
  if (draw_.chance(0.6))
    expr = make(draw_.of({Op::logical_or, Op::logical_or, Op::logical_and}), idiom(1), expr);
  const int line = static_cast<int>(pattern_.masks.size()) + 2;
  ir::Mask mask{expr};
  mask.where = {"random.lac", line, 3};
  mask.text = fmt::format("random {}", line);
  pattern_.masks.push_back(std::move(mask));
}

void Generator::add_weights() {
  ir::Weights& weights = pattern_.weights;
  weights.where = {"random.lac", 60, 1};
  if (options_.entmax && draw_.chance(0.5)) {
    weights.kind = ir::WeightsKind::entmax;
    weights.alpha = f(draw_.of({1.0, 1.25, 1.5, 2.0}));
  } else if (draw_.chance(0.3)) {
    const NodeId position =
        make(Op::f32_of_i32, v(draw_.of({Variable::q, Variable::h, Variable::b})));
    weights.sink = clamped(make(Op::mul_f32, position, f(0.125)), -3, 3);
  }
}

NodeId Generator::expression(Type type, int depth, Reals reals) {
  auto& made = made_[static_cast<int>(type)];
  if (!made.empty() && draw_.chance(0.12)) return draw_.of(made);
  NodeId id;
  if (depth <= 0 || draw_.chance(0.1))
    id = leaf(type, reals);
  else if (draw_.chance(0.15))
    id = tensor(type, depth - 1);
  else if (type == Type::boolean && draw_.chance(0.35))
    id = idiom(depth - 1);
  else
    id = row(type, depth, reals);
  if (reals == Reals::exact) made.push_back(id);
  return id;
}

/// Any row of ops.def with this result.
NodeId Generator::row(Type type, int depth, Reals reals) {
  std::vector<Op> rows;
  for (Op op : ir::operators())
    if (ir::row(op).result == type && (reals != Reals::exact || !is_transcendental(op)))
      rows.push_back(op);
  const Op op = draw_.of(rows);
  std::vector<NodeId> operands;
  for (int at = 0; at < ir::row(op).arity; ++at) {
    const Type wanted = ir::row(op).operands[static_cast<std::size_t>(at)];
    const bool inherits = type == Type::f32 && wanted == Type::f32;
    operands.push_back(expression(wanted, depth - 1, inherits ? reals : Reals::exact));
  }
  return graph().make(op, operands);
}

NodeId Generator::leaf(Type type, Reals reals) {
  std::vector<std::uint32_t> params;
  for (std::uint32_t at = 0; at < pattern_.params.size(); ++at)
    if (pattern_.params[at].type == type) params.push_back(at);
  if (!params.empty() && draw_.chance(0.25)) return graph().param(draw_.of(params), type);
  if (type == Type::f32 && reals == Reals::score && draw_.chance(0.5)) return v(Variable::score);
  if (type == Type::f32 && draw_.chance(0.3))
    return make(Op::f32_of_i32, leaf(Type::i32, Reals::exact));
  if (type == Type::boolean && draw_.chance(0.7)) return idiom(0);
  if (type != Type::i32 || draw_.chance(0.35)) return constant(type);
  if (draw_.chance(0.75)) return v(draw_.of({Variable::q, Variable::k}));
  return v(static_cast<Variable>(draw_.below(static_cast<int>(Variable::score))));
}

NodeId Generator::constant(Type type) {
  constexpr auto lowest = std::numeric_limits<std::int32_t>::min();
  constexpr auto highest = std::numeric_limits<std::int32_t>::max();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const bool edge = draw_.chance(0.15);
  switch (type) {
    case Type::boolean:
      return graph().constant(draw_.chance(0.5));
    case Type::i32:
      return i(edge ? draw_.of({lowest, highest, -1, 0, 1, 31, 32, 65536}) : draw_.between(-3, 40));
    case Type::f32:
      break;
  }
  if (edge)
    return graph().constant(
        draw_.of({0.0f, -0.0f, 1.0f, -1.0f, infinity, -infinity, 1e-40f, 3e38f}));
  return f(draw_.chance(0.5) ? draw_.between(-8, 8) * 0.5 : draw_.between(-4.0, 4.0));
}

/// What masks are made of in life.
NodeId Generator::idiom(int depth) {
  const NodeId q = v(Variable::q), k = v(Variable::k);
  switch (draw_.below(8)) {
    case 0:
      return make(Op::le_i32, k, q);
    case 1:
      return make(Op::lt_i32, make(Op::sub_i32, q, k), i(draw_.between(1, 40)));
    case 2:
      return make(Op::lt_i32, k, i(draw_.between(1, 40)));
    case 3: {
      const NodeId chunk = i(draw_.between(1, 24));
      return make(Op::eq_i32, make(Op::floordiv_i32, q, chunk), make(Op::floordiv_i32, k, chunk));
    }
    case 4: {
      const NodeId distance = make(Op::sub_i32, q, k);
      return make(Op::logical_and, make(Op::le_i32, i(draw_.between(-9, 0)), distance),
                  make(Op::le_i32, distance, i(draw_.between(0, 30))));
    }
    case 5:
      return make(Op::eq_i32, make(Op::mod_i32, make(Op::sub_i32, q, k), i(draw_.between(1, 5))),
                  i(0));
    case 6:
      return guarded_read(depth);
    default:
      return make(Op::logical_not, make(Op::lt_i32, expression(Type::i32, depth, Reals::exact), k));
  }
}

/// `0 <= e and e < n and t[e]`: the read is needed only where it is inside.
NodeId Generator::guarded_read(int depth) {
  for (std::uint32_t at = 0; at < pattern_.tensors.size(); ++at) {
    const ir::Tensor& tensor = pattern_.tensors[at];
    const bool by_key = tensor.axes.size() == 2 && tensor.axes[1].kind == AxisKind::key &&
                        tensor.axes[0].kind == AxisKind::batch;
    const bool fixed = tensor.axes.size() == 1 && tensor.axes[0].kind == AxisKind::fixed;
    if (!by_key && !fixed) continue;
    const NodeId e = expression(Type::i32, depth, Reals::exact);
    const NodeId extent =
        by_key ? v(Variable::k_len) : i(static_cast<std::int32_t>(tensor.axes[0].extent));
    NodeId value = by_key ? graph().read(at, tensor.type, std::array{v(Variable::b), e})
                          : graph().read(at, tensor.type, std::array{e});
    if (tensor.type == Type::i32) value = make(Op::lt_i32, i(0), value);
    if (tensor.type == Type::f32) value = make(Op::lt_f32, f(0), value);
    const NodeId inside =
        make(Op::logical_and, make(Op::le_i32, i(0), e), make(Op::lt_i32, e, extent));
    if (draw_.chance(0.3))
      return make(Op::where_bool, inside, value, graph().constant(draw_.chance(0.5)));
    if (draw_.chance(0.3)) return make(Op::logical_or, make(Op::logical_not, inside), value);
    return make(Op::logical_and, inside, value);
  }
  return make(Op::le_i32, v(Variable::k), v(Variable::q));
}

NodeId Generator::tensor(Type type, int depth) {
  std::vector<std::uint32_t> tensors;
  for (std::uint32_t at = 0; at < pattern_.tensors.size(); ++at)
    if (pattern_.tensors[at].type == type) tensors.push_back(at);
  if (tensors.empty()) return leaf(type, Reals::exact);
  const std::uint32_t chosen = draw_.of(tensors);
  std::vector<NodeId> indices;
  for (const ir::Axis& axis : pattern_.tensors[chosen].axes) indices.push_back(index(axis, depth));
  return graph().read(chosen, type, indices);
}

/// An index that is inside for every call.
NodeId Generator::index(const ir::Axis& axis, int depth) {
  const auto wild = [&] { return expression(Type::i32, depth - 1, Reals::exact); };
  const auto within = [&](NodeId e, NodeId last) {
    return make(Op::min_i32, make(Op::max_i32, e, i(0)), last);
  };
  switch (axis.kind) {
    case AxisKind::batch:
      return v(Variable::b);
    case AxisKind::head:
      return v(Variable::h);
    case AxisKind::kv_head:
      return v(Variable::g);
    case AxisKind::query:
      return v(Variable::q);
    case AxisKind::key: {
      if (draw_.chance(0.5)) return v(Variable::k);
      const NodeId last = make(Op::sub_i32, v(Variable::k_len), i(1));
      const NodeId affine =
          make(Op::add_i32, v(draw_.of({Variable::k, Variable::q})), i(draw_.between(-3, 3)));
      return within(draw_.chance(0.5) ? affine : wild(), last);
    }
    default:
      break;
  }
  const auto extent =
      axis.kind == AxisKind::fixed ? static_cast<std::int32_t>(axis.extent) : least_any_extent;
  if (draw_.chance(0.5)) return make(Op::mod_i32, wild(), i(extent));
  return within(wild(), i(extent - 1));
}

/// -inf stands outermost only: a function of it may be +inf, which makes its row NaN.
NodeId Generator::tame_score() {
  const NodeId score = tame(options_.max_depth);
  if (draw_.chance(0.7)) return score;
  const NodeId kept = expression(Type::boolean, options_.max_depth - 1, Reals::exact);
  return make(Op::where_f32, kept, score, f(-std::numeric_limits<double>::infinity()));
}

NodeId Generator::tame(int depth) {
  const NodeId score = v(Variable::score);
  if (depth <= 0) return score;
  const auto bias = [&] { return clamped(expression(Type::f32, depth - 1, Reals::exact), -6, 6); };
  const NodeId inner = tame(depth - 1);
  switch (draw_.below(13)) {
    case 0: {
      const NodeId cap = f(draw_.between(1, 30));
      return make(Op::mul_f32, cap, make(Op::tanh_f32, make(Op::div_f32, inner, cap)));
    }
    case 1:
      return make(Op::add_f32, inner, bias());
    case 2:
      return make(Op::sub_f32, inner, bias());
    case 3:
      return make(Op::mul_f32, inner,
                  clamped(expression(Type::f32, depth - 1, Reals::exact), 0.25, 1.5));
    case 4:
      return make(Op::where_f32, expression(Type::boolean, depth - 1, Reals::exact), inner, bias());
    case 5:
      return make(Op::min_f32, inner, bias());
    case 6:
      return make(Op::max_f32, inner, bias());
    case 7:
      return make(Op::neg_f32, inner);
    case 8:
      return make(Op::exp_f32, make(Op::min_f32, inner, f(2)));
    case 9:
      return make(Op::log_f32, make(Op::add_f32, make(Op::abs_f32, inner), f(1)));
    case 10:
      return make(Op::sqrt_f32, make(Op::add_f32, make(Op::abs_f32, inner), f(0.5)));
    case 11:
      return make(Op::div_f32, inner, f(draw_.between(1, 5)));
    default:
      return make(Op::add_f32, inner, make(Op::exp_f32, make(Op::min_f32, bias(), f(2))));
  }
}

}  // namespace

std::uint64_t fresh_seed() {
  if (const char* seed = std::getenv("LACUNA_SEED")) return std::strtoull(seed, nullptr, 10);
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

ir::Pattern random_pattern(Random& random, const Options& options) {
  return Generator(random, options).pattern();
}

}  // namespace lacuna::fuzz
