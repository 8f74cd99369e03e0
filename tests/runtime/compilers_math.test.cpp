#include "tests/catch.h"
#include "tests/runtime/compilers_host_ops.h"
#include "tests/runtime/random.h"

#include <algorithm>
#include <cfloat>
#include <random>

using namespace lacuna;

namespace {

/// The distance of `got` from the true value in units of the last place of the true value, which is
/// known in double.
double ulps(float got, double exact) {
  if (std::isnan(exact) || std::isnan(got))
    return std::isnan(exact) == std::isnan(got) ? 0 : INFINITY;
  const float rounded = static_cast<float>(exact);
  if (got == rounded) return 0;
  if (std::isinf(exact)) return INFINITY;
  const double size = std::max<double>(std::fabs(rounded), FLT_MIN);
  const double ulp = std::ldexp(1.0, std::max(std::min(std::ilogb(size), 127) - 23, -149));
  const double finite = std::isinf(got) ? std::copysign(0x1p128, got) : got;
  return std::fabs(finite - exact) / ulp;
}

struct Worst {
  double ulps = 0;
  float at = 0;
};

/// Over every exponent and sign: each `stride`-th bit pattern from a random start.
template <class Function, class Exact>
Worst worst_of(Function function, Exact exact, std::uint32_t start, std::uint32_t stride) {
  Worst worst;
  for (std::uint64_t bits = start; bits < (1ull << 32); bits += stride) {
    const float x = float_of_bits(static_cast<u32>(bits));
    const double error = ulps(function(x), exact(static_cast<double>(x)));
    if (error > worst.ulps) worst = {error, x};
  }
  return worst;
}

constexpr float inf = std::numeric_limits<float>::infinity();
const float nan_value = std::numeric_limits<float>::quiet_NaN();
bool negative_zero(float x) {
  return x == 0 && std::signbit(x);
}

const s32 int_min = std::numeric_limits<s32>::min(), int_max = std::numeric_limits<s32>::max();

}  // namespace

TEST_CASE("exp, log and tanh of the device are within 2 ulp everywhere") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  constexpr std::uint32_t stride = 1021;
  const std::uint32_t start = seed % stride;
  const Worst e = worst_of(
      exponential, [](double x) { return std::exp(x); }, start, stride);
  const Worst l = worst_of(
      logarithm, [](double x) { return std::log(x); }, start, stride);
  const Worst t = worst_of(
      hyperbolic_tangent, [](double x) { return std::tanh(x); }, start, stride);
  INFO("exp " << e.ulps << " at " << e.at << ", log " << l.ulps << " at " << l.at << ", tanh "
              << t.ulps << " at " << t.at);
  CHECK(e.ulps <= 2.0);
  CHECK(l.ulps <= 2.0);
  CHECK(t.ulps <= 2.0);
}

TEST_CASE(
    "division by a constant is that by a variable, but for 2 ulp of what is nearly subnormal") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (int n = 0; n < 200; ++n) {
    // Any constant that generated code may have, 30 first.
    const u32 exponent = 127 - 60 + random() % 120;
    const float c = n == 0 ? 30.0f : float_of_bits(exponent << 23 | random() % (1u << 23));
    INFO("by " << c);
    for (int k = 0; k < 2000; ++k) {
      const float x = float_of_bits(static_cast<u32>(random())), exact = divide(x, c),
                  found = divide_by(x, c, 1.0f / c);
      INFO(x);
      if (std::isnan(x)) {
        REQUIRE(std::isnan(found));
      } else if (std::fabs(x) > 0x1p-100f && std::fabs(exact) > 0x1p-120f) {
        REQUIRE(found == exact);
      } else {
        REQUIRE(std::signbit(found) == std::signbit(exact));
        REQUIRE((found == exact || ulps(found, static_cast<double>(x) / c) <= 2.0));
      }
    }
    for (const float x : {0.0f, -0.0f, inf, -inf, FLT_MAX, -FLT_MAX})
      REQUIRE(bits_of(divide_by(x, c, 1.0f / c)) == bits_of(divide(x, c)));
  }
}

TEST_CASE("the borders of exp, log and tanh") {
  CHECK(exponential(0.0f) == 1.0f);
  CHECK(exponential(-0.0f) == 1.0f);
  CHECK(exponential(inf) == inf);
  CHECK(exponential(-inf) == 0.0f);
  CHECK(std::isnan(exponential(nan_value)));
  CHECK(exponential(88.7228f) < inf);
  CHECK(exponential(88.7229f) == inf);
  CHECK(exponential(-103.9f) > 0.0f);
  CHECK(exponential(-104.0f) == 0.0f);
  CHECK(logarithm(1.0f) == 0.0f);
  CHECK(!negative_zero(logarithm(1.0f)));
  CHECK(logarithm(0.0f) == -inf);
  CHECK(logarithm(-0.0f) == -inf);
  CHECK(logarithm(inf) == inf);
  CHECK(std::isnan(logarithm(-1.0f)));
  CHECK(std::isnan(logarithm(-inf)));
  CHECK(std::isnan(logarithm(-float_of_bits(1))));
  CHECK(std::isnan(logarithm(nan_value)));
  CHECK(negative_zero(hyperbolic_tangent(-0.0f)));
  CHECK(hyperbolic_tangent(inf) == 1.0f);
  CHECK(hyperbolic_tangent(-inf) == -1.0f);
  CHECK(std::isnan(hyperbolic_tangent(nan_value)));
  CHECK(hyperbolic_tangent(float_of_bits(1)) == float_of_bits(1));
}

TEST_CASE("the i32 operators of the device are those of the evaluator") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  std::vector<s32> values = {0,  1,  -1,  2,       -2,          7,       -7,         31,
                             32, 33, -32, int_min, int_min + 1, int_max, int_max - 1};
  for (int i = 0; i < 200; ++i) values.push_back(static_cast<s32>(random()) >> (random() % 32));
  namespace law = ir::scalar;
  for (s32 a : values) {
    REQUIRE(wrap_abs(a) == law::wrap_abs(a));
    for (s32 b : values) {
      INFO(a << ", " << b);
      REQUIRE(wrap_add(a, b) == law::wrap_add(a, b));
      REQUIRE(wrap_sub(a, b) == law::wrap_sub(a, b));
      REQUIRE(wrap_mul(a, b) == law::wrap_mul(a, b));
      REQUIRE(floor_div(a, b) == law::floor_div(a, b));
      REQUIRE(floor_mod(a, b) == law::floor_mod(a, b));
      REQUIRE(shift_left(a, b) == law::shift_left(a, b));
      REQUIRE(shift_right(a, b) == law::shift_right(a, b));
      REQUIRE(min_i32(a, b) == std::min(a, b));
      REQUIRE(max_i32(a, b) == std::max(a, b));
      // Independent of both: division with floor in wider numbers.
      if (b != 0) {
        const double quotient = std::floor(static_cast<double>(a) / b);
        REQUIRE(floor_div(a, b) == static_cast<s32>(static_cast<std::int64_t>(quotient)));
        REQUIRE(floor_mod(a, b) == a - static_cast<std::int64_t>(quotient) * b);
      }
    }
  }
}
