#include "compiler/ir/call.h"
#include "compiler/ir/reference.h"
#include "tests/catch.h"
#include "tests/compiler/ir_oracle.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <cmath>
#include <functional>

using namespace lacuna;
using ir::AxisKind;
using ir::NodeId;
using ir::Op;
using ir::Type;
using ir::Variable;
using oracle::infinity;
using oracle::Row;

namespace {

enum class Weigh { softmax, sink, entmax15, sparsemax, alpha_param, alpha_tensor };

/// masks: k <= q; q - k < reach; seen[b, q] <= doc[b, k]; keep[g, k] or k == 0
/// score: score * 0.5 + slope[h] * f32(q - k) + table[(q - k) % 5]
ir::Pattern pattern_of(Weigh weigh) {
  ir::Pattern pattern{.name = "rich"};
  ir::Graph& g = pattern.graph;
  pattern.params = {{"reach", Type::i32, {}}, {"alpha", Type::f32, 1.5f}};
  pattern.tensors = {{"doc", Type::i32, {{AxisKind::batch}, {AxisKind::key}}},
                     {"seen", Type::i32, {{AxisKind::batch}, {AxisKind::query}}},
                     {"keep", Type::boolean, {{AxisKind::kv_head}, {AxisKind::key}}},
                     {"slope", Type::f32, {{AxisKind::head}}},
                     {"table", Type::f32, {{AxisKind::fixed, 5}}}};
  const auto v = [&](Variable variable) { return g.variable(variable); };
  const NodeId b = v(Variable::b), h = v(Variable::h), q = v(Variable::q), k = v(Variable::k);
  const NodeId distance = g.make(Op::sub_i32, {q, k});
  const NodeId keep = g.read(2, Type::boolean, std::array{v(Variable::g), k});
  pattern.masks = {{g.make(Op::le_i32, {k, q})},
                   {g.make(Op::lt_i32, {distance, g.param(0, Type::i32)})},
                   {g.make(Op::le_i32, {g.read(1, Type::i32, std::array{b, q}),
                                        g.read(0, Type::i32, std::array{b, k})})},
                   {g.make(Op::logical_or, {keep, g.make(Op::eq_i32, {k, g.constant(0)})})}};
  const NodeId slope = g.read(3, Type::f32, std::array{h});
  const NodeId entry =
      g.read(4, Type::f32, std::array{g.make(Op::mod_i32, {distance, g.constant(5)})});
  const NodeId half = g.make(Op::mul_f32, {v(Variable::score), g.constant(0.5f)});
  const NodeId bias = g.make(Op::mul_f32, {slope, g.make(Op::f32_of_i32, {distance})});
  pattern.score = g.make(Op::add_f32, {g.make(Op::add_f32, {half, bias}), entry});
  ir::Weights& weights = pattern.weights;
  if (weigh == Weigh::sink)
    weights.sink = g.make(Op::mul_f32, {g.make(Op::f32_of_i32, {h}), g.constant(0.25f)});
  if (weigh >= Weigh::entmax15) weights.kind = ir::WeightsKind::entmax;
  if (weigh == Weigh::entmax15) weights.alpha = g.constant(1.5f);
  if (weigh == Weigh::sparsemax) weights.alpha = g.constant(2.0f);
  if (weigh == Weigh::alpha_param) weights.alpha = g.param(1, Type::f32);
  if (weigh == Weigh::alpha_tensor) {
    pattern.tensors.push_back({"alphas", Type::f32, {{AxisKind::head}}});
    weights.alpha = g.read(5, Type::f32, std::array{h});
  }
  return pattern;
}

double scalar(const Args& args, std::string_view name, double otherwise) {
  for (const NamedValue& param : args.params)
    if (param.name == name)
      return std::visit([](auto value) { return static_cast<double>(value); }, param.value);
  return otherwise;
}

/// Attention by loops, for the pattern above.
struct Brute {
  const Spec& spec;
  const Args& args;
  const Shape& shape;
  Weigh weigh;
  Row o = {}, lse = {}, gap = {};  ///< lse is zmax where there is a gap
  std::int64_t live = 0;
  std::vector<std::vector<std::uint8_t>> masks = {};  ///< of each (b, h)

  const TensorView& tensor(std::string_view name) const {
    for (const NamedTensor& each : args.tensors)
      if (each.name == name) return each.view;
    throw std::out_of_range("no tensor");
  }

  void run() {
    const bool packed = spec.lengths == Lengths::packed;
    const std::int64_t rows = (packed ? 1 : shape.batch) * shape.heads * shape.queries;
    o.assign(static_cast<std::size_t>(rows * spec.value_dim), 0);
    lse.assign(static_cast<std::size_t>(rows), -infinity);
    gap.assign(static_cast<std::size_t>(rows), 1);
    for (std::int64_t b = 0; b < shape.batch; ++b)
      for (std::int64_t h = 0; h < shape.heads; ++h) run_head(b, h, packed);
  }

  void run_head(std::int64_t b, std::int64_t h, bool packed) {
    const auto length = [&](const TensorView& lens, const TensorView& starts, std::int64_t all) {
      if (packed)
        return static_cast<std::int64_t>(oracle::at(starts, {b + 1}) - oracle::at(starts, {b}));
      return lens.present() ? static_cast<std::int64_t>(oracle::at(lens, {b})) : all;
    };
    const std::int64_t q_len = length(args.q_lens, args.cu_seqlens_q, shape.queries);
    const std::int64_t k_len = length(args.k_lens, args.cu_seqlens_k, shape.keys);
    const auto q0 = packed ? static_cast<std::int64_t>(oracle::at(args.cu_seqlens_q, {b})) : 0;
    const auto k0 = packed ? static_cast<std::int64_t>(oracle::at(args.cu_seqlens_k, {b})) : 0;
    std::int64_t offset = args.offset.value_or(static_cast<std::int32_t>(k_len - q_len));
    if (args.offsets.present()) offset = static_cast<std::int64_t>(oracle::at(args.offsets, {b}));
    const std::int64_t width = packed ? k_len : shape.keys, height = packed ? q_len : shape.queries;
    masks.emplace_back(static_cast<std::size_t>(width * height), 0);
    for (std::int64_t i = 0; i < q_len; ++i) {
      std::vector<std::int64_t> keys;
      Row z;
      for (std::int64_t k = 0; k < k_len; ++k) {
        if (!attends(b, h, i + offset, q0 + i, k, k0)) continue;
        masks.back()[static_cast<std::size_t>(i * width + k)] = 1;
        keys.push_back(k);
        z.push_back(score(packed ? 0 : b, h, i + offset, q0 + i, k, k0));
      }
      live += static_cast<std::int64_t>(keys.size());
      if (!keys.empty())
        finish(packed ? 0 : b, h, q0 + i, k0, keys, z);
      else if (alpha_of(h) == 1)
        gap[row_of(packed ? 0 : b, h, q0 + i)] = 0;
    }
  }

  bool attends(std::int64_t b, std::int64_t h, std::int64_t q, std::int64_t row, std::int64_t k,
               std::int64_t k0) const {
    const std::int64_t g = h / (shape.heads / shape.kv_heads);
    if (k > q || !(q - k < scalar(args, "reach", 0))) return false;
    if (oracle::at(tensor("seen"), {b, row}) > oracle::at(tensor("doc"), {b, k0 + k})) return false;
    return k == 0 || oracle::at(tensor("keep"), {g, k0 + k}) != 0;
  }

  double score(std::int64_t batch, std::int64_t h, std::int64_t q, std::int64_t row, std::int64_t k,
               std::int64_t k0) const {
    const std::int64_t g = h / (shape.heads / shape.kv_heads);
    double dot = 0;
    for (int d = 0; d < spec.head_dim; ++d)
      dot += oracle::at(args.q, {batch, h, row, d}) * oracle::at(args.k, {batch, g, k0 + k, d});
    const float scale =
        args.scale.value_or(static_cast<float>(1 / std::sqrt(double(spec.head_dim))));
    const auto slope = static_cast<float>(oracle::at(tensor("slope"), {h}));
    const float bias = slope * static_cast<float>(q - k);  // does not depend on score: f32
    const std::int64_t entry = ((q - k) % 5 + 5) % 5;
    return scale * dot * 0.5 + bias + oracle::at(tensor("table"), {entry});
  }

  double alpha_of(std::int64_t h) const {
    if (weigh == Weigh::alpha_param) return scalar(args, "alpha", 1.5);
    if (weigh == Weigh::alpha_tensor) return oracle::at(tensor("alphas"), {h});
    return weigh == Weigh::entmax15 ? 1.5 : weigh == Weigh::sparsemax ? 2 : 1;
  }
  std::size_t row_of(std::int64_t batch, std::int64_t h, std::int64_t row) const {
    return static_cast<std::size_t>((batch * shape.heads + h) * shape.queries + row);
  }

  void finish(std::int64_t batch, std::int64_t h, std::int64_t row, std::int64_t k0,
              const std::vector<std::int64_t>& keys, const Row& z) {
    const std::int64_t g = h / (shape.heads / shape.kv_heads);
    const double alpha = alpha_of(h);
    const double sink = weigh == Weigh::sink ? 0.25 * static_cast<double>(h) : -infinity;
    const Row p = alpha == 1.5 ? oracle::entmax15(z)
                  : alpha == 2 ? oracle::sparsemax(z)
                               : oracle::softmax(z, sink);
    const std::size_t at = row_of(batch, h, row);
    const double zmax = *std::max_element(z.begin(), z.end());
    lse[at] = alpha == 1 ? oracle::log_sum_exp(z, sink) : zmax;
    gap[at] = alpha == 1 ? 0 : std::pow(*std::max_element(p.begin(), p.end()), alpha - 1);
    for (int d = 0; d < spec.value_dim; ++d)
      for (std::size_t j = 0; j < keys.size(); ++j)
        o[at * static_cast<std::size_t>(spec.value_dim) + static_cast<std::size_t>(d)] +=
            p[j] * oracle::at(args.v, {batch, g, k0 + keys[j], d});
  }
};

bool near(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b)) ||
         std::fabs(a - b) < 1e-11 * (1 + std::fabs(b));
}

/// Sets the values that this pattern's oracle has closed forms for.
void set_alphas(fuzz::Draw& draw, fuzz::OwnedCall& call, Weigh weigh) {
  if (weigh == Weigh::alpha_param) {
    std::erase_if(call.params, [](const NamedValue& param) { return param.name == "alpha"; });
    call.params.push_back({"alpha", draw.of({1.0f, 1.5f, 2.0f})});
    call.args.params = call.params;
  }
  if (weigh != Weigh::alpha_tensor) return;
  TensorView& alphas = call.tensors.back().view;
  alphas.dtype = DType::f32;
  for (std::int64_t h = 0; h < alphas.shape[0]; ++h)
    static_cast<float*>(alphas.data)[h * alphas.strides[0]] = draw.of({1.0f, 1.5f, 2.0f});
}

}  // namespace

TEST_CASE("the reference is the formulas, at every kind of lengths, offset, layout and storage") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  std::int64_t live = 0;
  for (int round = 0; round < 240; ++round) {
    const auto weigh = static_cast<Weigh>(round % 6);
    ir::Pattern pattern = pattern_of(weigh);
    Spec spec{.pattern = fuzz::published(pattern),
              .dtype = draw.of({DType::f32, DType::f16, DType::bf16}),
              .head_dim = 8 * draw.between(1, 4),
              .value_dim = 8 * draw.between(1, 4),
              .lengths = static_cast<Lengths>(round / 6 % 3),
              .storage = fuzz::random_storage(random, pattern)};
    spec.storage.erase("alphas");
    const std::int64_t kv_heads = draw.between(1, 2);
    const Shape shape{draw.between(1, 3), kv_heads * draw.between(1, 3), kv_heads,
                      draw.of({0, 1, 7, 33}), draw.of({0, 1, 9, 40})};
    fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
    set_alphas(draw, call, weigh);
    for (const std::string& note : call.notes) UNSCOPED_INFO(note);
    INFO("round " << round << ", weights " << static_cast<int>(weigh) << ", Nq " << shape.queries
                  << ", Nk " << shape.keys);

    Brute brute{spec, call.args, shape, weigh};
    brute.run();
    const ir::Reference result = ir::forward(spec, call.args);
    live += result.live;
    REQUIRE(result.live == brute.live);
    REQUIRE(result.o.size() == brute.o.size());
    const bool entmax = weigh >= Weigh::entmax15;
    const Row& statistic = entmax ? result.zmax : result.lse;
    REQUIRE(statistic.size() == brute.lse.size());
    REQUIRE(result.gap.size() == (entmax ? brute.gap.size() : 0));
    REQUIRE((entmax ? result.lse : result.zmax).empty());
    for (std::size_t i = 0; i < brute.o.size(); ++i)
      if (!near(result.o[i], brute.o[i])) REQUIRE(result.o[i] == brute.o[i]);
    for (std::size_t i = 0; i < brute.lse.size(); ++i)
      if (!near(statistic[i], brute.lse[i])) REQUIRE(statistic[i] == brute.lse[i]);
    for (std::size_t i = 0; i < result.gap.size(); ++i)
      if (!near(result.gap[i], brute.gap[i])) REQUIRE(result.gap[i] == brute.gap[i]);
    for (std::int64_t b = 0; b < shape.batch; ++b)
      for (std::int64_t h = 0; h < shape.heads; ++h)
        REQUIRE(ir::live(spec, call.args, b, h) ==
                brute.masks[static_cast<std::size_t>(b * shape.heads + h)]);
  }
  CHECK(live > 1000);
}

TEST_CASE("random programs never read outside their tensors") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  std::int64_t live = 0, pairs = 0;
  for (int round = 0; round < 600; ++round) {
    const ir::Pattern pattern = fuzz::random_pattern(random, {.entmax = true});
    Spec spec{.pattern = fuzz::published(pattern),
              .dtype = DType::bf16,
              .head_dim = 8,
              .value_dim = 8,
              .statistic = draw.chance(0.5),
              .lengths = static_cast<Lengths>(draw.below(3)),
              .storage = fuzz::random_storage(random, pattern)};
    const Shape shape{draw.between(1, 2), 2, draw.of({1, 2}), draw.of({0, 1, 6, 20}),
                      draw.of({0, 1, 5, 30})};
    const fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
    INFO("program " << round << "\n" << fuzz::describe(pattern));
    const ir::Call bound = ir::bind(spec, call.args);
    REQUIRE_NOTHROW(ir::validate_values(spec, call.args, bound));
    ir::Reference result;
    REQUIRE_NOTHROW(result = ir::forward(spec, call.args));
    for (double o : result.o) REQUIRE(std::isfinite(o));
    live += result.live;
    pairs += shape.batch * shape.heads * shape.queries * shape.keys;
  }
  INFO(live << " of " << pairs << " pairs live");
  CHECK(live * 20 > pairs);
  CHECK(live * 20 < pairs * 19);
}

namespace {

/// One head, 8 wide, with masks and score of a test's making.
struct Small {
  explicit Small(std::function<void(ir::Pattern&)> make, std::int64_t queries, std::int64_t keys)
      : spec{.pattern = fuzz::published([&] {
               ir::Pattern pattern{.name = "small"};
               make(pattern);
               return pattern;
             }()),
             .dtype = DType::f32,
             .head_dim = 8,
             .value_dim = 8},
        q(static_cast<std::size_t>(queries * 8), 0.5f),
        k(static_cast<std::size_t>(keys * 8), 0.25f),
        v(static_cast<std::size_t>(keys * 8), 1.0f) {
    args.q = TensorView::contiguous(q.data(), DType::f32, {1, 1, queries, 8});
    args.k = TensorView::contiguous(k.data(), DType::f32, {1, 1, keys, 8});
    args.v = TensorView::contiguous(v.data(), DType::f32, {1, 1, keys, 8});
  }
  Spec spec;
  std::vector<float> q, k, v;
  Args args;
};

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::argument);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a needed read outside its tensor names tensor, axis, index and site") {
  float values[4] = {1, 1, 1, 1};
  const auto reading = [](int past, bool guarded) {
    return [=](ir::Pattern& pattern) {
      ir::Graph& g = pattern.graph;
      pattern.tensors.push_back({"bias", Type::f32, {{AxisKind::any}}});
      const NodeId k = g.variable(Variable::k), index = g.make(Op::add_i32, {k, g.constant(past)});
      const NodeId read =
          g.make(Op::lt_f32, {g.constant(0.0f), g.read(0, Type::f32, std::array{index})});
      const NodeId inside = g.make(Op::lt_i32, {index, g.constant(4)});
      pattern.masks = {{guarded ? g.make(Op::logical_and, {inside, read}) : read}};
    };
  };
  const NamedTensor bias[] = {{"bias", TensorView::contiguous(values, DType::f32, {4})}};
  for (int round = 0; round < 20; ++round) {
    Small outside(reading(1, false), 200, 4), below(reading(-1, false), 3, 4),
        guarded(reading(1, true), 3, 4);
    outside.args.tensors = below.args.tensors = guarded.args.tensors = bias;
    CHECK(message_of([&] { ir::forward(outside.spec, outside.args); }) ==
          "tensor 'bias' is read outside: axis 0 (_) has extent 4, index 4 at b=0 h=0 q=-196 k=3");
    CHECK(message_of([&] { ir::live(below.spec, below.args, 0, 0); }) ==
          "tensor 'bias' is read outside: axis 0 (_) has extent 4, index -1 at b=0 h=0 q=1 k=0");
    CHECK(message_of([&] { ir::forward(guarded.spec, guarded.args); }) == "no error");
  }
}

TEST_CASE(
    "-inf is a masked pair, NaN and +inf go through, and masked rows of K and V are not read") {
  const auto scoring = [](float at_two) {
    return [=](ir::Pattern& pattern) {
      ir::Graph& g = pattern.graph;
      const NodeId k = g.variable(Variable::k);
      pattern.masks = {{g.make(Op::le_i32, {g.constant(1), k})}};
      pattern.score = g.make(Op::where_f32, {g.make(Op::eq_i32, {k, g.constant(2)}),
                                             g.constant(at_two), g.variable(Variable::score)});
    };
  };
  Small masked(scoring(-static_cast<float>(infinity)), 2, 4);
  for (int d = 0; d < 8; ++d) {
    masked.k[static_cast<std::size_t>(d)] = masked.v[static_cast<std::size_t>(d)] =
        std::nanf("");                                           // key 0
    masked.v[static_cast<std::size_t>(16 + d)] = std::nanf("");  // key 2
  }
  const ir::Reference result = ir::forward(masked.spec, masked.args);
  CHECK(result.live == 4);
  for (double o : result.o) CHECK(o == 1.0);
  const double z = 8 * 0.5 * 0.25 * double{static_cast<float>(1 / std::sqrt(8.0))};
  for (double lse : result.lse) CHECK(std::fabs(lse - (z + std::log(2.0))) < 1e-12);
  for (float bad : {std::nanf(""), static_cast<float>(infinity)}) {
    Small poisoned(scoring(bad), 2, 4);
    for (double o : ir::forward(poisoned.spec, poisoned.args).o) CHECK(std::isnan(o));
  }
}

TEST_CASE(
    "rows that nothing answers are 0 with lse -inf, a sink or not; an alpha outside makes NaN "
    "rows") {
  const auto nothing = [](ir::Pattern& pattern) {
    pattern.masks = {{pattern.graph.make(
        Op::lt_i32, {pattern.graph.variable(Variable::k), pattern.graph.variable(Variable::q)})}};
    pattern.weights.sink = pattern.graph.constant(2.0f);
  };
  Small first(nothing, 3, 3);
  const ir::Reference result = ir::forward(first.spec, first.args);
  CHECK(result.lse[0] == -infinity);
  for (int d = 0; d < 8; ++d) CHECK(result.o[static_cast<std::size_t>(d)] == 0.0);
  CHECK(result.lse[1] > 2);
  CHECK(result.o[8] < 1);

  float alpha = 1.005f;
  const NamedTensor alphas[] = {{"alpha", TensorView::contiguous(&alpha, DType::f32, {1})}};
  Small learned(
      [](ir::Pattern& pattern) {
        pattern.tensors.push_back({"alpha", Type::f32, {{AxisKind::head}}});
        pattern.weights.kind = ir::WeightsKind::entmax;
        pattern.weights.alpha =
            pattern.graph.read(0, Type::f32, std::array{pattern.graph.variable(Variable::h)});
      },
      2, 2);
  learned.args.tensors = alphas;
  const ir::Reference outside = ir::forward(learned.spec, learned.args);
  for (const Row* row : {&outside.o, &outside.zmax, &outside.gap})
    for (double x : *row) CHECK(std::isnan(x));
  alpha = 1.5f;
  for (double o : ir::forward(learned.spec, learned.args).o) CHECK(o == 1.0);
}
