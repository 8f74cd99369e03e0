#include "tools/lacuna/bound.h"

#include "compiler/ir/half.h"
#include "tests/catch.h"
#include "tools/lacuna/compare.h"
#include "tools/lacuna/execute.h"

#include <cmath>
#include <random>

using namespace lacuna;
using namespace lacuna::tool;

namespace {

constexpr int B = 2, H = 3, Nq = 21, Nk = 34, D = 24, Dv = 8;
constexpr int offset = Nk - Nq;

/// softcap(score, 5) - 0.25 (q - k) under a causal mask, by the plainest loops in f32; `spoil` may
/// round scores.
template <class Spoil>
Results by_hand(const Inputs& inputs, DType output, Spoil spoil) {
  Results results = results_for(
      inputs, {.pattern = Pattern::parse("attention a { }"), .output = output, .statistic = true});
  for (int head = 0; head < B * H; ++head) {
    for (int i = 0; i < Nq; ++i) {
      std::vector<float> z(Nk, -INFINITY);
      float m = -INFINITY, sum = 0;
      for (int k = 0; k <= i + offset; ++k) {
        float dot = 0;
        for (int d = 0; d < D; ++d) {
          dot += static_cast<float>(inputs.q.real((head * Nq + i) * D + d)) *
                 static_cast<float>(inputs.k.real((head * Nk + k) * D + d));
        }
        float scaled = dot * (1.0f / std::sqrt(static_cast<float>(D)));
        z[k] = spoil(std::tanh(scaled / 5.0f) * 5.0f - 0.25f * static_cast<float>(i + offset - k));
        m = std::max(m, z[k]);
      }
      for (float& x : z) x = std::exp(x - m), sum += x;
      for (int d = 0; d < Dv; ++d) {
        float o = 0;
        for (int k = 0; k < Nk; ++k)
          o += z[k] * static_cast<float>(inputs.v.real((head * Nk + k) * Dv + d));
        results.o.set_real((head * Nq + i) * Dv + d, o / sum);
      }
      results.lse.set_real(head * Nq + i, m + std::log(sum));
    }
  }
  return results;
}

struct Case {
  Pattern pattern = Pattern::parse(
      "attention a {\n mask causal\n score softcap(score, 5.0)\n score score - 0.25 * (q - "
      "k)\n}\n");
  Inputs inputs;
  std::uint64_t seed = std::random_device()();
  explicit Case(DType dtype) {
    Extents extents{{B, H, H, Nq, Nk}, D, Dv, true};
    fill_random(pattern.tree(), {extents, dtype, seed, {}}, inputs);
  }
};

float as_is(float x) {
  return x;
}

}  // namespace

TEST_CASE("bound: plain f32 arithmetic stays within it, and uses some of it") {
  for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    Case one(dtype);
    INFO(name_of(dtype) << " seed " << one.seed);
    Comparison found = compare(one.inputs.spec(one.pattern, dtype, true), one.inputs,
                               by_hand(one.inputs, dtype, as_is));
    CHECK(found.within());
    CHECK(found.o.share > 0);
    CHECK(found.o.share <= 1);
    // A bound that nothing could ever fill would prove nothing.
    CHECK(found.o.share > (dtype == DType::f32 ? 0.005 : 0.25));
    CHECK(found.lse.share > 0.005);
  }
}

TEST_CASE("bound: scores rounded to bf16 are beyond it") {
  Case one(DType::f32);
  INFO("seed " << one.seed);
  auto rounded = [](float x) { return ir::float_of_bf16(ir::bf16_of_float(x)); };
  Comparison found = compare(one.inputs.spec(one.pattern, DType::f32, true), one.inputs,
                             by_hand(one.inputs, DType::f32, rounded));
  CHECK(!found.within());
  CHECK(found.o.beyond > B * H * Nq * Dv / 4);
}

TEST_CASE("bound: one element that is wrong, NaN or unwritten is found and named") {
  Case one(DType::bf16);
  INFO("seed " << one.seed);
  Spec spec = one.inputs.spec(one.pattern, DType::bf16, true);
  Results results = by_hand(one.inputs, DType::bf16, as_is);
  const std::int64_t at = ((1 * H + 2) * Nq + 3) * Dv + 4;
  for (double wrong : {results.o.real(at) + 0.1 + 0.1 * std::fabs(results.o.real(at)), double{NAN},
                       double{INFINITY}}) {
    Results spoiled = results;
    spoiled.o.set_real(at, wrong);
    Comparison found = compare(spec, one.inputs, spoiled);
    CHECK(!found.within());
    CHECK(found.o.beyond == 1);
    CHECK(found.o.worst == "[1,2,3,4]");
    CHECK(found.lse.within());
  }
}

TEST_CASE("bound: a comparison of scores that could fall either way has none, and others have") {
  Case one(DType::f32);
  one.pattern = Pattern::parse("attention a {\n score where(score < 100.0, score, 0.0)\n}\n");
  HostCall call(one.inputs, nullptr);
  Spec spec = one.inputs.spec(one.pattern, DType::f32, true);
  Bounds certain = bounds(spec, call.args(), ir::forward(spec, call.args()));
  for (double bound : certain.o) CHECK((bound > 0 && bound < 1e-4));
  // Products that cancel: every score is 0, give or take their rounding.
  for (std::int64_t i = 0; i < one.inputs.q.elements(); ++i) one.inputs.q.set_real(i, 1);
  for (std::int64_t i = 0; i < one.inputs.k.elements(); ++i)
    one.inputs.k.set_real(i, i % 2 ? 1 : -1);
  one.pattern = Pattern::parse("attention a {\n score where(score < 0.0, 1.0, 0.0)\n}\n");
  spec = one.inputs.spec(one.pattern, DType::f32, true);
  Bounds either = bounds(spec, call.args(), ir::forward(spec, call.args()));
  for (double bound : either.lse) CHECK(std::isinf(bound));
}

TEST_CASE("bound: a weight of 0 whose score hangs on the sign of a rounded sum bounds nothing") {
  // q.k of key 0 is -2^-23, less than what 8 products of 1 and -1 may be off; 1 / it is -1.8e7, and
  // might be 1.8e7.
  Spec spec{.pattern = Pattern::parse("attention a {\n score 1.0 / score\n}\n"),
            .dtype = DType::f32,
            .head_dim = 8,
            .value_dim = 8,
            .statistic = true};
  std::vector<float> q(8, 1.0f), k(16), v(16), o(8), lse(1);
  for (int d = 0; d < 8; ++d) {
    k[d] = d % 2 ? -1.0f : 1.0f;
    k[8 + d] = 1.0f;
    v[d] = 1.0f;
    v[8 + d] = 2.0f;
  }
  k[1] = -1.0f - 0x1p-23f;
  const auto view = [](std::vector<float>& x, std::int64_t rows) {
    return TensorView::contiguous(x.data(), DType::f32, {1, 1, rows, 8});
  };
  const Args args{.q = view(q, 1),
                  .k = view(k, 2),
                  .v = view(v, 2),
                  .o = view(o, 1),
                  .lse = TensorView::contiguous(lse.data(), DType::f32, {1, 1, 1})};
  const Bounds found = bounds(spec, args, ir::forward(spec, args));
  CHECK(std::isinf(found.lse[0]));
  // Whatever the weights are, O lies between the rows of V.
  CHECK(found.o[0] >= 1.0);
  CHECK(found.o[0] < 1.001);
}
