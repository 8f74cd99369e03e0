// Entmax of scores that have a rule: gates of f16 and bf16 pass back through those that rise with
// the product, whatever params and tensors make of them when a call runs.
#include "compiler/ir/element.h"
#include "compiler/ir/reference.h"
#include "compiler/plan/inverse.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/conformance/weights.h"

#include <cmath>
#include <limits>

namespace {

using namespace lacuna;

struct Rule {
  std::string statements;
  bool rises;                      ///< gates pass, where params and tensors allow
  std::vector<float> values = {};  ///< of its param, `x`
};

const std::vector<Rule> rules = {
    {"score softcap(score, 30.0)", true},
    {"param x: f32\nscore softcap(score, x)",
     true,
     {30.0f, 5.0f, 1.0f, 0.25f, 0.01f, 1e4f, 1e9f, -3.0f}},
    {"param x: f32\nscore score * x", true, {4.0f, 0.1f, 1e-6f, 1e-30f, 300.0f, -1.0f}},
    {"param x: f32\nscore score / x", true, {0.3f, 7.0f, 1e25f, -2.0f}},
    {"param x: f32\nscore x + score * 1.5", true, {-2.5f, 0.0f, 40.0f, -1e3f, 1e4f}},
    {"score softcap(softcap(score * 2.0, 9.0) - 0.75, 4.0) * 1.25", true},
    {"score 3.0 * tanh(score)", true},
    {"param x: f32\nscore max(min(score, x), -0.75)", true, {1.5f, 0.0f, -0.5f, -3.0f, 50.0f}},
    {"param x: f32\nscore tanh((score - x) * 6.0) * 8.0", true, {0.0f, 1.5f, -40.0f, 9.0f}},
    {"tensor gain: f32[head]\nscore softcap(score, 6.0) * gain[h]", true},
    {"tensor gain: f32[head]\ntensor cap: f32[batch, query]\nscore softcap(score, abs(cap[b, q]) * "
     "4.0) * exp(gain[h]) + cap[b, q]",
     true},
    {"tensor t: f32[_]\nscore softcap(score, 5.0) + t[h % 4] * t[abs(q) % 3]", true},
    {"score softcap(score, 5.0) - 0.01 * f32(abs(q - k))", false},
    {"score -softcap(-score, 5.0)", false},
    {"score exp(score)", false},
    {"score score + tanh(score)", false},
};

const std::vector<std::string> masks = {
    "", "mask causal", "mask causal\nmask window(60)",
    "tensor see: bool[query, key]\nmask see[q, k] or k == 3",
    "tensor dq: i32[query]\ntensor dk: i32[key]\nmask dq[q] == dk[k] or k < 2"};

struct Extent {
  std::int64_t queries, keys;
};

void give(fuzz::OwnedCall& call, float value) {
  for (NamedValue& param : call.params)
    if (param.name == "x") param.value = value;
  call.args.params = call.params;
}

std::string outcome(EngineState& engine, const Spec& spec, fuzz::OwnedCall& call,
                    std::optional<plan::Route> route) {
  try {
    return tests::run_and_compare(engine, spec, call, route);
  } catch (const Error& error) {
    return std::string(error.what()) + "\n" + error.log();
  }
}

/// Scores of a row: below a power of two of its own, most of them far; few come near the greatest.
struct Leaps {
  int most, least;
  Leaps(fuzz::Draw& draw, int highest)
      : most(draw.of({draw.between(0, highest), highest})),
        least(std::min(draw.of({-20, most / 2, most - 4}), most)) {}
  double next(fuzz::Draw& draw) const {
    const double size = std::exp2(draw.between(least, most));
    return size * (draw.chance(0.1) ? 0x1.fffffep-1 : draw.between(-1.0, 1.0));
  }
};

/// To scores [head, query, key].
void give_leaps(fuzz::Draw& draw, const TensorView& z) {
  for (std::int64_t h = 0; h < z.shape[0]; ++h)
    for (std::int64_t q = 0; q < z.shape[1]; ++q) {
      const Leaps leaps(draw, 126);  // differences are finite, too
      for (std::int64_t k = 0; k < z.shape[2]; ++k)
        ir::store_real(DType::f32, z.data, h * z.strides[0] + q * z.strides[1] + k * z.strides[2],
                       leaps.next(draw));
    }
}

/// Rows of Q or K [1, H, N, D] with one element that is not 0, value(head, row).
template <class Value>
void fill(const TensorView& view, const Value& value) {
  for (std::int64_t h = 0; h < view.shape[1]; ++h)
    for (std::int64_t row = 0; row < view.shape[2]; ++row)
      for (std::int64_t d = 0; d < view.shape[3]; ++d)
        ir::store_real(view.dtype, view.data,
                       h * view.strides[1] + row * view.strides[2] + d * view.strides[3],
                       d == 0 ? value(h, row) : 0.0);
}

}  // namespace

TEST_CASE("entmax: scores with a rule, whether gates pass through it or not") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (const Rule& rule : rules)
    for (const DType dtype : {DType::bf16, DType::f16, DType::f32}) {
      if (!tests::runs_all() && dtype == DType::f32 && draw.chance(0.7)) continue;
      const std::string weights =
          draw.of({std::string("weights entmax(1.5)"), std::string("weights sparsemax"),
                   std::string("weights entmax(1.25)"), std::string("weights entmax(1.7)")});
      const int depth = draw.of({16, 64, 128});
      Spec spec{.pattern = tests::weighed(draw.of(masks) + "\n" + rule.statements, weights),
                .dtype = dtype,
                .head_dim = depth,
                .value_dim = 16,
                .output = DType::f32,
                .statistic = true,
                .escort = draw.chance(0.3),
                .lengths = draw.of({Lengths::uniform, Lengths::padded, Lengths::packed})};
      CHECK(plan::inverts(spec) == (rule.rises && dtype != DType::f32));
      const tests::TestEngine& engine = draw.of(tests::engines());
      for (const float value : rule.values.empty() ? std::vector<float>{0} : rule.values) {
        const auto extent = draw.of({Extent{70, 150}, Extent{20, 600}, Extent{130, 517}});
        const Shape shape{.batch = draw.between(1, 2),
                          .heads = 4,
                          .kv_heads = draw.of({2, 4}),
                          .queries = extent.queries,
                          .keys = extent.keys};
        fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
        give(call, value);
        if (draw.chance(0.2)) call.args.scale = draw.of({1.0f, 0.01f, 0.0f, -0.5f});
        std::string notes;
        for (const std::string& note : call.notes) notes += note + "\n";
        INFO(engine.name << "\n"
                         << spec.pattern.text() << name_of(dtype) << " D " << depth << " batch "
                         << shape.batch << " Nq " << extent.queries << " Nk " << extent.keys
                         << " x " << value << " scale " << call.args.scale.value_or(0) << "\n"
                         << notes);
        CHECK(outcome(*engine.state, spec, call, plan::Route{}) == "");
      }
    }
}

TEST_CASE("entmax: gates through a cap that scores are far above lose no key") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (const float cap : {0.5f, 3.0f, 40.0f, 1000.0f})
    for (const char* weights : {"weights entmax(1.5)", "weights sparsemax"}) {
      const Spec spec{.pattern = tests::weighed("param x: f32\nscore softcap(score, x)", weights),
                      .dtype = DType::f16,
                      .head_dim = 16,
                      .value_dim = 16,
                      .output = DType::f32,
                      .statistic = true};
      const tests::TestEngine& engine = draw.of(tests::engines());
      const Shape shape{.batch = 1, .heads = 1, .kv_heads = 1, .queries = 40, .keys = 400};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      give(call, cap);
      call.args.scale = 1.0f;
      // Products of -6 to 6 caps, the last ones greatest, and exact.
      fill(call.args.q, [](auto, auto row) { return row % 3 == 0 ? -2.0 : 2.0; });
      fill(call.args.k, [&](auto, auto row) {
        return double{cap} * (static_cast<double>(row) / 66 + 0.1 * draw.normal() - 3);
      });
      INFO(engine.name << " cap " << cap << " " << weights);
      CHECK(outcome(*engine.state, spec, call, plan::Route{}) == "");
    }
}

TEST_CASE("entmax: scores that leap to any magnitude leave the greatest its weight") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  // Scores are exact, so that bounds are as narrow as zmax and few keys allow: a tensor's, or
  // products of the one element of q and of k that is not 0.
  const std::string given = "tensor z: f32[head, query, key]\nscore z[h, q, k]\n";
  const std::vector<std::string> masks = {"", "mask k % 37 == 3", "mask causal",
                                          "mask q % 3 != 0 or k > 60",
                                          "tensor see: bool[query, key]\nmask see[q, k] or k == 3"};
  for (const char* weights :
       {"weights sparsemax", "weights entmax(1.5)", "weights entmax(4/3)", "weights entmax(1.25)",
        "weights entmax(1.7)", "param a: f32\nweights entmax(a)"})
    for (int n = tests::runs_all() ? 10 : 2; n > 0; --n) {
      const bool products = n % 2 == 0;
      const Spec spec{.pattern = tests::weighed((products ? "" : given) + draw.of(masks), weights),
                      .dtype = draw.of({DType::bf16, DType::f16, DType::f32}),
                      .head_dim = 16,
                      .value_dim = 16,
                      .output = DType::f32,
                      .statistic = true,
                      .lengths = draw.of({Lengths::uniform, Lengths::padded, Lengths::packed})};
      const Shape shape{.batch = 1,
                        .heads = 2,
                        .kv_heads = draw.of({1, 2}),
                        .queries = draw.of({3, 33, 70}),
                        .keys = draw.of({150, 517})};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      for (NamedValue& param : call.params)
        if (param.name == "a") param.value = draw.of({1.01f, 1.2f, 1.4f, 1.9f});
      call.args.params = call.params;
      for (NamedTensor& tensor : call.tensors)
        if (tensor.name == "z") give_leaps(draw, tensor.view);
      if (products) {
        call.args.scale = draw.of({1.0f, 0.25f, -0.3f});
        fill(call.args.q, [](auto, auto) { return 1.0; });
        const Leaps leaps(draw, spec.dtype == DType::f16 ? 15 : 121);
        fill(call.args.k, [&](auto, auto) { return leaps.next(draw); });
      }
      const tests::TestEngine& engine = draw.of(tests::engines());
      INFO(engine.name << "\n" << spec.pattern.text() << name_of(spec.dtype));
      const bool routed = draw.chance(0.5);
      CHECK(outcome(*engine.state, spec, call,
                    routed ? std::optional(plan::Route{}) : std::nullopt) == "");
    }
}

TEST_CASE("entmax: params that are no factor, or no number, make of scores what they must") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  constexpr float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const char* score : {"softcap(score, x)", "score * x", "score + x", "score / x",
                            "max(score, x)", "min(score, x)"})
    for (const float value : {0.0f, -0.0f, inf, -inf, nan}) {
      const Spec spec{
          .pattern = tests::weighed(std::string("param x: f32\nmask causal\nscore ") + score,
                                    "weights entmax(1.5)"),
          .dtype = draw.of({DType::f16, DType::bf16}),
          .head_dim = 16,
          .value_dim = 16,
          .output = DType::f32,
          .statistic = true};
      const tests::TestEngine& engine = draw.of(tests::engines());
      const Shape shape{.batch = 1, .heads = 2, .kv_heads = 1, .queries = 70, .keys = 200};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      give(call, value);
      INFO(engine.name << " " << name_of(spec.dtype) << " " << score << " x " << value);
      tests::run(*engine.state, spec, call, plan::Route{});
      const ir::Reference reference = ir::forward(spec, call.args);
      int wrong = 0;
      const TensorView& o = call.args.o;
      for (std::int64_t h = 0; h < 2; ++h)
        for (std::int64_t row = 0; row < 70; ++row)
          for (std::int64_t d = 0; d < 16; ++d) {
            const double found = ir::load_real(
                DType::f32, o.data, h * o.strides[1] + row * o.strides[2] + d * o.strides[3]);
            const double expected = reference.o[static_cast<std::size_t>((h * 70 + row) * 16 + d)];
            const bool same =
                std::isnan(expected) ? std::isnan(found) : std::fabs(found - expected) <= 2e-2;
            wrong += same ? 0 : 1;
          }
      CHECK(wrong == 0);
    }
}
