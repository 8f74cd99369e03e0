#include "tools/lacuna/bound_entmax.h"

#include "compiler/ir/half.h"
#include "tests/catch.h"
#include "tools/lacuna/bound.h"
#include "tools/lacuna/compare.h"
#include "tools/lacuna/execute.h"

#include <cmath>
#include <functional>
#include <random>

using namespace lacuna;
using namespace lacuna::tool;

namespace {

constexpr int H = 2, Nq = 33, Nk = 70, D = 24, Dv = 8;

/// What a kernel may do and what it may not.
struct Kernel {
  std::function<float(float)> spoil = [](float z) { return z; };
  double gap = 1;             ///< of the exact one of its scores
  bool rounds = false;        ///< weights to bf16
  bool sums_rounded = false;  ///< and divides by the sum of those
  bool drops = false;         ///< the smallest weight above 1e-3
};

/// The gap that solves [c (z - zmax) + t]₊^β = 1 over f32 scores.
double gap_of(const std::vector<float>& z, float zmax, double c) {
  double low = 0, high = 1;
  for (int step = 0; step < 100; ++step) {
    const double t = (low + high) / 2;
    double sum = 0;
    for (float x : z) sum += std::pow(std::max(0.0, c * (double{x} - zmax) + t), 1 / c);
    (sum < 1 ? low : high) = t;
  }
  return high;
}

struct Case {
  float alpha;
  DType dtype;
  std::uint64_t seed = std::random_device()();
  Pattern pattern = Pattern::parse(
      "attention a {\n param al: f32\n mask causal\n score 3.0 * score - 0.05 * (q - k)\n weights "
      "entmax(al)\n}\n");
  Inputs inputs;

  Case(float with_alpha, DType type) : alpha(with_alpha), dtype(type) {
    fill_random(pattern.tree(), {{{1, H, H, Nq, Nk}, D, Dv, true}, dtype, seed, {}}, inputs);
    inputs.params = {{"al", alpha}};
  }
  Spec spec() const { return inputs.spec(pattern, dtype, true); }

  /// By the plainest loops in f32.
  Results by_hand(const Kernel& kernel) const {
    Results results = results_for(inputs, spec());
    for (int head = 0; head < H; ++head)
      for (int i = 0; i < Nq; ++i) row(kernel, head, i, results);
    return results;
  }

 private:
  void row(const Kernel& kernel, int head, int i, Results& results) const {
    std::vector<float> z;
    float zmax = -INFINITY;
    for (int k = 0; k <= i + Nk - Nq; ++k) {
      float dot = 0;
      for (int d = 0; d < D; ++d)
        dot += static_cast<float>(inputs.q.real((head * Nq + i) * D + d)) *
               static_cast<float>(inputs.k.real((head * Nk + k) * D + d));
      const float scaled = dot * (1.0f / std::sqrt(static_cast<float>(D)));
      z.push_back(kernel.spoil(3.0f * scaled - 0.05f * static_cast<float>(i + Nk - Nq - k)));
      zmax = std::max(zmax, z.back());
    }
    const float c = alpha - 1;
    const auto t = static_cast<float>(gap_of(z, zmax, c) * kernel.gap);
    float sum = 0;
    std::vector<float> p;
    for (float x : z) {
      const float reach = std::clamp(std::fma(x - zmax, c / t, 1.0f), 0.0f, 1.0f);
      p.push_back(std::exp2(1 / c * std::log2(reach)));
    }
    if (kernel.drops) drop(p, t, c);
    for (float& w : p) {
      if (!kernel.sums_rounded) sum += w;
      if (kernel.rounds) w = ir::float_of_bf16(ir::bf16_of_float(w));
      if (kernel.sums_rounded) sum += w;
    }
    for (int d = 0; d < Dv; ++d) {
      float o = 0;
      for (std::size_t k = 0; k < p.size(); ++k)
        o += p[k] *
             static_cast<float>(inputs.v.real((head * Nk + static_cast<std::int64_t>(k)) * Dv + d));
      results.o.set_real((head * Nq + i) * Dv + d, o / sum);
    }
    results.zmax.set_real(head * Nq + i, zmax);
    results.gap.set_real(head * Nq + i, t);
  }

  static void drop(std::vector<float>& p, float t, float c) {
    const float least = 1e-3f / std::pow(t, 1 / c);
    float* smallest = nullptr;
    for (float& w : p)
      if (w > least && w < 1 && (!smallest || w < *smallest)) smallest = &w;
    if (smallest) *smallest = 0;
  }
};

constexpr float alphas[] = {1.05f, 1.25f, 4.0f / 3, 1.5f, 1.7f, 2.0f};

}  // namespace

TEST_CASE("bound of entmax: plain f32 arithmetic stays within it, and uses some of it") {
  for (float alpha : alphas)
    for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      Case one(alpha, dtype);
      INFO("alpha " << alpha << " " << name_of(dtype) << " seed " << one.seed);
      const bool half = dtype == DType::bf16;
      Comparison found = compare(one.spec(), one.inputs, one.by_hand({.rounds = half}));
      CHECK(found.o.within());
      CHECK(found.zmax.within());
      CHECK(found.gap.within());
      CHECK(found.zmax.share > 0.005);
      // A bound that nothing could ever fill would prove nothing.
      // Whatever the gap's tolerance allows is raised to 1/c, and this kernel takes none of it.
      CHECK(found.o.share > (half ? 0.1 : 0.002) * (alpha - 1));
      CHECK(found.o.unproved + found.gap.unproved == 0);
      CHECK(found.gap.elements == H * Nq);
      if (half)
        CHECK(compare(one.spec(), one.inputs, one.by_hand({.rounds = true, .sums_rounded = true}))
                  .within());
    }
}

TEST_CASE("bound of entmax: a gap within its tolerance is within it, and one beyond is not") {
  for (float alpha : alphas)
    for (auto [dtype, tolerance] :
         {std::pair{DType::f32, 0x1p-20}, {DType::f16, 0x1p-12}, {DType::bf16, 0x1p-8}})
      for (int sign : {-1, 1}) {
        Case one(alpha, dtype);
        INFO("alpha " << alpha << " " << name_of(dtype) << " seed " << one.seed);
        Comparison near =
            compare(one.spec(), one.inputs, one.by_hand({.gap = 1 + 0.99 * sign * tolerance}));
        CHECK(near.within());
        Comparison far = compare(one.spec(), one.inputs,
                                 one.by_hand({.gap = 1 + sign * (64 * 0x1p-20 + 2 * tolerance)}));
        CHECK(far.gap.beyond > H * Nq / 2);
      }
}

TEST_CASE("bound of entmax: spoiled scores, a dropped key and a forgotten gap are beyond it") {
  for (float alpha : {1.25f, 1.5f, 2.0f}) {
    Case one(alpha, DType::f32);
    INFO("alpha " << alpha << " seed " << one.seed);
    Comparison spoiled =
        compare(one.spec(), one.inputs,
                one.by_hand({.spoil = [](float z) { return std::nearbyint(256 * z) / 256; }}));
    CHECK(spoiled.o.beyond > H * Nq * Dv / 4);
    CHECK(spoiled.zmax.beyond > H * Nq / 4);
    CHECK(spoiled.gap.beyond > H * Nq / 4);
    Comparison dropped = compare(one.spec(), one.inputs, one.by_hand({.drops = true}));
    CHECK(dropped.o.beyond > H * Nq);
    CHECK(dropped.gap.within());
    Results results = one.by_hand({});
    results.gap.set_real(H * Nq - 1, NAN);
    CHECK(compare(one.spec(), one.inputs, results).gap.beyond == 1);
  }
}

TEST_CASE("bound of entmax: where alpha is 1 rows are softmax, with lse as zmax and a gap of 0") {
  Case one(1.0f, DType::f32);
  INFO("seed " << one.seed);
  const Pattern soft =
      Pattern::parse("attention a {\n mask causal\n score 3.0 * score - 0.05 * (q - k)\n}\n");
  Inputs inputs = one.inputs;
  inputs.params.clear();
  HostCall call(inputs, nullptr), same(one.inputs, nullptr);
  const ir::Reference reference = ir::forward(inputs.spec(soft, DType::f32, true), call.args());
  const ir::Reference entmax = ir::forward(one.spec(), same.args());
  CHECK(entmax.zmax == reference.lse);
  CHECK(entmax.o == reference.o);
  const Bounds mine = bounds(one.spec(), same.args(), entmax);
  const Bounds softmax = bounds(inputs.spec(soft, DType::f32, true), call.args(), reference);
  CHECK(mine.o == softmax.o);
  CHECK(mine.zmax == softmax.lse);
  for (double gap : mine.gap) CHECK(gap == 0);
}

TEST_CASE("bound of entmax: a score that may be anything leaves O between the rows of V") {
  Pair pairs[] = {{.key = 0, .score = 1, .error = 1e-7},
                  {.key = 1, .score = 0.9, .error = INFINITY},
                  {.key = 2, .score = -40, .error = 1e-5}};
  const EntmaxRow row = weigh_entmax(pairs, {1.5, 1, 0.73, true, DType::f32, 0});
  CHECK(std::isinf(row.zmax));
  CHECK(std::isinf(row.gap));
  for (const Pair& pair : pairs) {
    CHECK(pair.counts);
    CHECK(pair.change <= 1);
    CHECK(pair.change >= pair.weight);
  }
}
