// The bounds of templates/inverse.cuh, as they are computed in f32, against the scores themselves.
#include "tests/catch.h"
#include "tests/runtime/compilers_host_ops.h"
#include "tests/runtime/random.h"

#define LACUNA_MEMBER inline

namespace lacuna {
// Approximations are off by as much as they may be on a GPU, either way.
inline float approximation_off = 0;
inline float rcp_approx(float x) {
  return 1.0f / x * (1.0f + approximation_off * 0x1p-23f);
}
inline float log2_approx(float x) {
  const float log = std::log2(x);
  return log + approximation_off * 0x1p-22f * std::max(1.0f, std::fabs(log));
}
}  // namespace lacuna

#include "templates/inverse.cuh"

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

using namespace lacuna;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

/// A step of a score, and back.
struct Step {
  std::function<float(float)> forward;
  std::function<Unscored(Unscored)> back;
};

Step step(int kind, float c) {
  switch (kind) {
    case 0:
      return {[c](float x) { return x + c; }, [c](Unscored u) { return u.plus(c); }};
    case 1:
      return {[c](float x) { return x - c; }, [c](Unscored u) { return u.minus(c); }};
    case 2:
      return {[c](float x) { return x * c; }, [c](Unscored u) { return u.times(c); }};
    case 3:
      return {[c](float x) { return x / c; }, [c](Unscored u) { return u.over(c); }};
    case 4:
      return {[c](float x) { return ir::scalar::min_number(x, c); },
              [c](Unscored u) { return u.least(c); }};
    case 5:
      return {[c](float x) { return ir::scalar::max_number(x, c); },
              [c](Unscored u) { return u.greatest(c); }};
    default:
      return {hyperbolic_tangent, [](Unscored u) { return u.tanh(); }};
  }
}

class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  double unit() { return std::uniform_real_distribution<double>()(random_); }
  int below(int n) { return static_cast<int>(unit() * n); }
  float normal() { return static_cast<float>(std::normal_distribution<double>()(random_)); }
  /// Of any size that a factor has.
  float positive() { return std::exp2(below(4) == 0 ? 40 * normal() : 2 * normal()); }

 private:
  std::mt19937 random_;
};

float score_of(const std::vector<Step>& steps, float x) {
  for (const Step& s : steps) x = s.forward(x);
  return x;
}
Unscored back(const std::vector<Step>& steps, float z) {
  Unscored u{z, 1.0f};
  for (std::size_t i = steps.size(); i-- > 0;) u = steps[i].back(u);
  return u;
}

}  // namespace

TEST_CASE(
    "no score above a bound is made of anything at, or below, what the bound is taken back to") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Draw draw(seed);
  int known = 0;
  for (int n = 0; n < 60'000; ++n) {
    std::vector<Step> steps;
    const int count = 1 + draw.below(5);
    for (int i = 0; i < count; ++i) {
      const int kind = draw.below(7);
      steps.push_back(step(kind, kind == 2 || kind == 3 ? draw.positive() : 3 * draw.normal()));
    }
    approximation_off = static_cast<float>(draw.below(3) - 1);
    // What a score is, or something near it, or anything.
    float z =
        draw.below(3) == 0 ? draw.normal() * draw.positive() : score_of(steps, 4 * draw.normal());
    for (int i = draw.below(4); i > 0; --i) z = std::nextafter(z, draw.below(2) ? inf : -inf);
    const float bound = back(steps, z).bound;
    if (!(std::fabs(bound) < inf)) continue;
    ++known;
    float x = bound;
    for (int i = 0; i < 40; ++i) {
      if (score_of(steps, x) > z) {
        INFO("z " << z << " x " << x << " score " << score_of(steps, x) << " bound " << bound);
        REQUIRE(!(score_of(steps, x) > z));
      }
      x = i < 20 ? std::nextafter(x, -inf)
                 : bound - std::fabs(draw.normal()) * draw.positive() * (1 + std::fabs(bound));
    }
  }
  CHECK(known > 20'000);
}

TEST_CASE("nor where tanh saturates, and its last bit is worth most") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Draw draw(seed);
  for (int n = 0; n < 20'000; ++n) {
    approximation_off = static_cast<float>(draw.below(3) - 1);
    const float about = static_cast<float>((draw.below(2) ? 9 : -9) * draw.unit());
    const float z = hyperbolic_tangent(about), bound = Unscored{z, 1.0f}.tanh().bound;
    if (bound == -inf) continue;
    float most = -1;
    for (float x = bound, by = 0x1p-22f; by < 4; x = bound - by, by *= 1.05f)
      most = std::max(most, hyperbolic_tangent(x));
    CHECK(most <= z);
    CHECK(bound <= about);
  }
}

TEST_CASE("bounds of a softcap are near: by little more than a gate's margin") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Draw draw(seed);
  for (int n = 0; n < 20'000; ++n) {
    const float cap = draw.below(2) ? 30.0f : 1000.0f;
    const std::vector<Step> steps = {step(3, cap), step(6, 0), step(2, cap)};
    approximation_off = static_cast<float>(draw.below(3) - 1);
    const double z = 0.98 * cap * (2 * draw.unit() - 1);
    const Unscored u = back(steps, static_cast<float>(z));
    const double exact = cap * std::atanh(z / cap), slope = 1 - z / cap * (z / cap);
    CHECK(u.bound <= exact);
    CHECK((exact - u.bound) * slope <= 0x1p-17 * std::fabs(z) + 0x1p-19 * cap);
    CHECK(std::fabs(u.slope - 1) <= 1e-6);
  }
}

TEST_CASE("what has no way back says so") {
  const Unscored one{1.0f, 1.0f};
  for (const float c : {0.0f, -0.0f, -2.0f, inf, -inf, std::numeric_limits<float>::quiet_NaN()}) {
    CHECK(std::isnan(one.times(c).bound));
    CHECK(std::isnan(one.over(c).bound));
    CHECK(std::isnan(one.times(c).tanh().plus(1.0f).greatest(0.0f).over(2.0f).bound));
  }
  CHECK(std::isnan(one.plus(std::numeric_limits<float>::quiet_NaN()).bound));
  CHECK(one.greatest(2.0f).bound == -inf);
  CHECK(one.greatest(1.0f).bound == 1.0f);
  CHECK(Unscored{-1.0f, 1.0f}.tanh().bound == -inf);
  CHECK(Unscored{-7.0f, 1.0f}.tanh().times(3.0f).plus(1.0f).bound == -inf);
  // No tanh is above 1: any bound holds, and one that is finite may carry sums.
  CHECK(Unscored{1.0f, 1.0f}.tanh().bound > 7.0f);
  CHECK(Unscored{5.0f, 1.0f}.tanh().bound < 8.0f);
}
