#include "compiler/ir/half.h"
#include "compiler/ir/weigh.h"
#include "tests/catch.h"
#include "tests/compiler/ir_oracle.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <bit>

using namespace lacuna;
using oracle::infinity;
using oracle::Row;

namespace {

Row random_row(fuzz::Draw& draw) {
  Row row(static_cast<std::size_t>(draw.between(1, 200)));
  const double spread = draw.of({0.0, 0.01, 1.0, 5.0, 40.0}), shift = draw.between(-20.0, 20.0);
  for (double& z : row) z = shift + spread * draw.normal();
  return row;
}

/// The largest weight is t^β: the gap follows from the weights.
void check_threshold(ir::Threshold found, const Row& z, const Row& p, double alpha) {
  CHECK(found.zmax == *std::max_element(z.begin(), z.end()));
  const double largest = *std::max_element(p.begin(), p.end());
  CHECK(std::fabs(std::pow(found.gap, 1 / (alpha - 1)) - largest) < 1e-12);
}

double distance(const Row& a, const Row& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::fabs(a[i] - b[i]));
  return largest;
}

}  // namespace

TEST_CASE("softmax and entmax are what their closed forms say") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int round = 0; round < 400; ++round) {
    const Row z = random_row(draw);
    const double sink = draw.chance(0.3) ? -infinity : draw.between(-25.0, 25.0);
    Row p = z;
    const double lse = ir::softmax(p, sink);
    CHECK(distance(p, oracle::softmax(z, sink)) < 1e-13);
    CHECK(std::fabs(lse - oracle::log_sum_exp(z, sink)) < 1e-12);
    p = z;
    check_threshold(ir::entmax(p, 1.5), z, oracle::entmax15(z), 1.5);
    CHECK(distance(p, oracle::entmax15(z)) < 1e-12);
    p = z;
    check_threshold(ir::entmax(p, 2), z, oracle::sparsemax(z), 2);
    CHECK(distance(p, oracle::sparsemax(z)) < 1e-12);
    p = z;
    const ir::Threshold soft = ir::entmax(p, 1);
    CHECK(std::fabs(soft.zmax - oracle::log_sum_exp(z)) < 1e-12);
    CHECK(soft.gap == 0);
    CHECK(distance(p, oracle::softmax(z)) < 1e-13);
  }
}

TEST_CASE(
    "entmax at any alpha is stationary: c z - p^c is one number on the support, and no more off "
    "it") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int round = 0; round < 200; ++round) {
    const double alpha = static_cast<float>(draw.between(1.02, 1.99)), c = alpha - 1;
    const Row z = random_row(draw);
    Row p = z;
    check_threshold(ir::entmax(p, alpha), z, p, alpha);
    double sum = 0, lowest = infinity, highest = -infinity;
    for (std::size_t i = 0; i < z.size(); ++i) {
      sum += p[i];
      if (p[i] < 1e-9) continue;
      lowest = std::min(lowest, c * z[i] - std::pow(p[i], c));
      highest = std::max(highest, c * z[i] - std::pow(p[i], c));
    }
    INFO("alpha " << alpha << ", " << z.size() << " scores");
    CHECK(std::fabs(sum - 1) < 1e-12);
    CHECK(highest - lowest < 1e-10);
    for (std::size_t i = 0; i < z.size(); ++i)
      if (p[i] == 0) CHECK(c * z[i] <= highest + 1e-10);
  }
}

TEST_CASE("entmax of ties: n equal scores have gap n^-c, at any magnitude; lone ones have 1") {
  for (double alpha : {1.01, 1.25, 4.0 / 3, 1.5, 1.7, 2.0})
    for (double z : {0.0, -3.5, 1e4, -1e4, 1e30, -1e30})
      for (int n : {1, 2, 7, 1000}) {
        INFO("alpha " << alpha << ", " << n << " times " << z);
        const double c = alpha - 1, t = std::pow(n, -c);
        // Others are out of reach, masked, or so near that at 1e30 they are the same.
        Row row(static_cast<std::size_t>(n), z);
        const std::size_t ties = row.size();
        row.push_back(z - std::fabs(z) - 1 / c);
        row.push_back(-infinity);
        const ir::Threshold found = ir::entmax(row, alpha);
        CHECK(found.zmax == z);
        CHECK(std::fabs(found.gap - t) < 1e-12 * t);
        for (std::size_t i = 0; i < row.size(); ++i)
          CHECK(std::fabs(row[i] - (i < ties ? 1.0 / n : 0)) < 1e-12 / n);
      }
  // Two levels, a apart in units of c z: t + (t - a) = 1 for sparsemax, t² + (t - a)² = 1 at 1.5.
  Row pair = {1e4, 1e4 - 0.5};
  CHECK(std::fabs(ir::entmax(pair, 2).gap - 0.75) < 1e-12);
  pair = {1e4 - 0.5, 1e4};
  CHECK(std::fabs(ir::entmax(pair, 1.5).gap - (0.25 + std::sqrt(2 - 0.0625)) / 2) < 1e-12);
}

TEST_CASE("rows that are empty or not finite") {
  const double nan = std::nan("");
  for (double alpha : {1.0, 1.5}) {
    Row empty = {-infinity, -infinity}, none, bad = {0, nan, 1}, endless = {0, infinity};
    for (Row* row : {&empty, &none}) {
      const ir::Threshold nothing = ir::entmax(*row, alpha);
      CHECK(nothing.zmax == -infinity);
      CHECK(nothing.gap == (alpha == 1 ? 0 : 1));
    }
    CHECK(empty == Row{0, 0});
    for (Row* row : {&bad, &endless}) {
      const ir::Threshold poison = ir::entmax(*row, alpha);
      CHECK(std::isnan(poison.zmax));
      CHECK((alpha == 1 ? poison.gap == 0 : std::isnan(poison.gap)));
    }
    for (double p : bad) CHECK(std::isnan(p));
    for (double p : endless) CHECK(std::isnan(p));
    Row masked = {0.5, -infinity, 0.5};
    ir::entmax(masked, alpha);
    CHECK(masked[1] == 0);
    CHECK(std::fabs(masked[0] - 0.5) < 1e-14);
  }
  for (double alpha : {0.5, 1.001, 2.5, nan}) {
    Row row = {0, 1};
    const ir::Threshold poison = ir::entmax(row, alpha);
    CHECK((std::isnan(poison.zmax) && std::isnan(poison.gap)));
    CHECK(std::isnan(row[0]));
  }
  Row empty = {-infinity};
  CHECK(ir::softmax(empty, 3.0) == -infinity);
  CHECK(empty == Row{0});
}

TEST_CASE("every f16 and bf16 converts to its value and back") {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float from_f16 = ir::float_of_f16(half), from_bf16 = ir::float_of_bf16(half);
    if (std::isnan(oracle::f16(half))) {
      REQUIRE(std::isnan(from_f16));
      REQUIRE(std::isnan(oracle::f16(ir::f16_of_float(from_f16))));
    } else {
      REQUIRE(from_f16 == oracle::f16(half));
      REQUIRE(ir::f16_of_float(from_f16) == half);
    }
    if (std::isnan(oracle::bf16(half))) {
      REQUIRE(std::isnan(from_bf16));
      REQUIRE(std::isnan(oracle::bf16(ir::bf16_of_float(from_bf16))));
    } else {
      REQUIRE(from_bf16 == oracle::bf16(half));
      REQUIRE(ir::bf16_of_float(from_bf16) == half);
    }
  }
}

namespace {

/// Nearest, ties to the even pattern, infinity as if it were the next power of two.
template <class Value>
void check_rounding(float x, std::uint16_t rounded, std::uint16_t infinite, Value value) {
  const auto magnitude = static_cast<std::uint16_t>(rounded & 0x7fff);
  const auto of = [&](int bits) {
    return bits == infinite ? 2 * value(static_cast<std::uint16_t>(infinite - 1)) -
                                  value(static_cast<std::uint16_t>(infinite - 2))
                            : value(static_cast<std::uint16_t>(bits));
  };
  INFO("x = " << x << ", rounded to " << rounded);
  REQUIRE(std::signbit(x) == (rounded >> 15 != 0));
  REQUIRE(magnitude <= infinite);
  const double wanted = std::fabs(double{x}), error = std::fabs(of(magnitude) - wanted);
  for (int neighbour : {magnitude - 1, magnitude + 1}) {
    if (neighbour < 0 || neighbour > infinite) continue;
    if (magnitude == infinite && wanted > of(infinite)) continue;
    const double other = std::fabs(of(neighbour) - wanted);
    REQUIRE((error < other || (error == other && magnitude % 2 == 0)));
  }
}

}  // namespace

TEST_CASE("floats round to the nearest f16 and bf16, ties to even") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (int round = 0; round < 100000; ++round) {
    const auto bits = static_cast<std::uint32_t>(random());
    float x = std::bit_cast<float>(bits);
    if (round % 2)
      x = std::copysign(std::ldexp(1 + static_cast<float>(bits & 0xfff) / 4096, round % 44 - 27),
                        x);
    if (std::isnan(x) || std::isinf(x)) continue;
    check_rounding(x, ir::f16_of_float(x), 0x7c00, oracle::f16);
    check_rounding(x, ir::bf16_of_float(x), 0x7f80, oracle::bf16);
  }
  CHECK(ir::f16_of_float(65519.0f) == 0x7bff);
  CHECK(ir::f16_of_float(65520.0f) == 0x7c00);
  CHECK(ir::bf16_of_float(std::numeric_limits<float>::max()) == 0x7f80);
}
