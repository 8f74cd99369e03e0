// Entmax of matrices by themselves, against thresholds found by bisection in double precision.
#include "compiler/ir/element.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace {

using namespace lacuna;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
const std::vector<float> alphas = {1.0f, 1.01f, 1.25f, 4.0f / 3, 1.5f, 1.7f, 2.0f};

/// The weights of a row in f64; tau by bisection to the last bit.
std::vector<double> weights_of(const std::vector<double>& x, double alpha) {
  std::vector<double> p(x.size(), 0.0);
  double most = -infinity;
  for (const double value : x) most = std::isnan(value) ? nan : std::max(most, value);
  if (most == -infinity) return p;
  if (!(most < infinity)) return std::vector<double>(x.size(), nan);
  const double c = alpha - 1, beta = 1 / c;
  const auto weight = [&](double value, double gap) {
    if (alpha == 1) return std::exp(value - most);
    return std::pow(std::max(c * (value - most) + gap, 0.0), beta);
  };
  double low = 0, high = 1;
  for (int n = 0; n < 80 && alpha != 1; ++n) {
    const double middle = (low + high) / 2;
    double sum = 0;
    for (const double value : x) sum += weight(value, middle);
    (sum > 1 ? high : low) = middle;
  }
  double sum = 0;
  for (std::size_t k = 0; k < x.size(); ++k) sum += p[k] = weight(x[k], (low + high) / 2);
  for (double& value : p) value /= sum;
  return p;
}

/// A tensor with room between its rows, whose rows may begin anywhere.
struct Matrix {
  Matrix(DType dtype, std::vector<std::int64_t> extents, fuzz::Draw& draw)
      : view{.dtype = dtype, .rank = static_cast<int>(extents.size())} {
    std::int64_t stride = 1;
    for (int axis = view.rank; axis-- > 0;) {
      view.shape[axis] = extents[static_cast<std::size_t>(axis)];
      view.strides[axis] = stride;
      stride = stride * view.shape[axis] + draw.between(0, 3);
    }
    const auto size = static_cast<std::int64_t>(size_of(dtype));
    memory.resize(static_cast<std::size_t>((stride + 8) * size), std::byte{0xff});
    view.data = memory.data() + draw.between(0, 3) * size;
  }
  std::int64_t width() const { return view.shape[view.rank - 1]; }
  std::int64_t rows() const { return width() ? view.elements() / width() : 0; }
  std::int64_t begin(std::int64_t row) const {
    std::int64_t at = 0;
    for (int axis = view.rank - 1; axis-- > 0; row /= view.shape[axis])
      at += row % view.shape[axis] * view.strides[axis];
    return at;
  }
  double at(std::int64_t row, std::int64_t k) const {
    return ir::load_real(view.dtype, view.data, begin(row) + k);
  }

  std::vector<std::byte> memory;
  TensorView view;
};

/// Scores of a row, by its number and the key.
double score_of(std::int64_t row, std::int64_t k, std::int64_t n, fuzz::Draw& draw) {
  switch (row % 13) {
    case 0:
      return draw.normal();
    case 1:
      return 0.01 * draw.normal();
    case 2:
      return 40 * draw.normal();
    case 3:
      return 2.5;
    case 4:
      return -infinity;
    case 5:
      return k == n - 1 ? -7.5 : -infinity;
    case 6:
      return k == n / 2 ? nan : draw.normal();
    case 7:
      return k == n - 1 ? infinity : draw.normal();
    case 8:
      return 30.0 * static_cast<double>(k) / static_cast<double>(n);
    case 9:
      return std::round(4 * draw.normal()) / 4;
    case 10:
      return 1e4 + draw.normal();
    case 11:
      return std::ldexp(draw.between(-1.0, 1.0), draw.between(-20, 126));
    default:
      return k % 97 == 13 ? 6 + draw.normal() : 0.1 * draw.normal();
  }
}

/// What is farther from the truth than rounding explains, or "". Of a weight u^b / F, with u known
/// to a few 2^-22: b times as much, and of sums as much again; and p is rounded to its type.
std::string compare(const Matrix& x, const Matrix& p, float alpha, bool sums = true) {
  const double beta = alpha == 1 ? 1 : 1 / (double{alpha} - 1);
  const double type = p.view.dtype == DType::f32   ? 0x1p-24
                      : p.view.dtype == DType::f16 ? 0x1p-11
                                                   : 0x1p-8;
  // What lies below the normal numbers of f32 may count as 0.
  const double tiny = p.view.dtype == DType::f16 ? 0x1p-25 : 0x1p-125;
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    std::vector<double> scores;
    for (std::int64_t k = 0; k < x.width(); ++k) scores.push_back(x.at(row, k));
    const std::vector<double> expected = weights_of(scores, alpha);
    const double most = *std::max_element(expected.begin(), expected.end());
    double sum = 0;
    for (std::int64_t k = 0; k < x.width(); ++k) {
      const double found = p.at(row, k), wanted = expected[static_cast<std::size_t>(k)];
      sum += found;
      if (found == wanted || (std::isnan(found) && std::isnan(wanted))) continue;
      // u is off by 2^-21 of the greatest; its power by beta u^(beta-1) times that.
      const double u = std::pow(wanted / most, 1 / beta);
      const double of_u = alpha == 1 ? 0 : beta * most * std::pow(u + 0x1p-20, beta - 1) * 0x1p-20;
      const double bound = wanted * (type + 1e-5) + of_u + tiny;
      if (!(std::fabs(found - wanted) <= bound))
        return fmt::format("p[{}, {}] of {} is {}, expected {} within {}", row, k, x.width(), found,
                           wanted, bound);
    }
    const double n = static_cast<double>(x.width());
    if (sums && most > 0 && std::fabs(sum - 1) > 1e-5 + type + n * tiny)
      return fmt::format("row {} of {} sums to {}", row, x.width(), sum);
  }
  return "";
}

std::vector<std::int64_t> extents_of(std::int64_t n, fuzz::Draw& draw) {
  const int rank = draw.between(1, 4);
  std::vector<std::int64_t> extents;
  for (int axis = 0; axis + 1 < rank; ++axis) extents.push_back(draw.between(1, 4));
  extents.push_back(n);
  return extents;
}

const std::vector<DType> types = {DType::f32, DType::f16, DType::bf16};

}  // namespace

TEST_CASE("entmax of a matrix: a crowd of keys on the threshold keeps its weight") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (const std::int64_t n : {std::int64_t{600}, std::int64_t{1024}, std::int64_t{16384}})
    for (const float alpha : {1.25f, 1.5f, 1.7f, 2.0f}) {
      const tests::TestEngine& engine = draw.of(tests::engines());
      Matrix x(DType::f32, {6, n}, draw);
      Matrix p(DType::f32, {6, n}, draw);
      const double c = double{alpha} - 1;
      std::vector<std::int64_t> above;  // so many keys, behind which all others are alike
      for (std::int64_t row = 0; row < 6; ++row) {
        above.push_back(draw.between(1, 60));
        std::vector<double> scores(static_cast<std::size_t>(n), 0.0);
        double sum = 0;
        for (std::int64_t k = 0; k < above.back(); ++k)
          sum +=
              std::pow(c * (scores[static_cast<std::size_t>(k)] = draw.between(0.2, 1.0)), 1 / c);
        // Alone they would sum to more than 1, by little: the threshold is just above the others,
        // or, where to less, just below.
        const double size = std::pow(
            (1 + (draw.chance(0.5) ? -1 : 1) * std::pow(10, draw.between(-3.0, -1.0))) / sum, c);
        for (std::int64_t k = 0; k < n; ++k)
          ir::store_real(DType::f32, x.view.data, x.begin(row) + k,
                         scores[static_cast<std::size_t>(k)] * size);
      }
      tests::run_entmax(*engine.state, x.view, p.view, alpha);
      for (std::int64_t row = 0; row < 6; ++row) {
        std::vector<double> scores;
        for (std::int64_t k = 0; k < n; ++k) scores.push_back(x.at(row, k));
        const std::vector<double> expected = weights_of(scores, alpha);
        double wanted = 0, found = 0;
        for (std::int64_t k = above[static_cast<std::size_t>(row)]; k < n; ++k) {
          wanted += expected[static_cast<std::size_t>(k)];
          found += p.at(row, k);
        }
        INFO(engine.name << " alpha " << alpha << " n " << n << " row " << row << ", "
                         << above[static_cast<std::size_t>(row)] << " above");
        // u of each of them is off by a rounding of 1.
        CHECK(std::fabs(found - wanted) <= 1e-5 + static_cast<double>(n) * 0x1p-24);
      }
    }
}

TEST_CASE("entmax of a matrix is that of every row, of any length and type") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  // Where a warp no longer has a row, and where shared memory no longer does.
  for (const std::int64_t n : {std::int64_t{1}, std::int64_t{2}, std::int64_t{31}, std::int64_t{33},
                               std::int64_t{1024}, std::int64_t{1025}, std::int64_t{8192},
                               std::int64_t{8193}, std::int64_t{draw.between(2, 3000)}})
    for (const float alpha : alphas) {
      const tests::TestEngine& engine = draw.of(tests::engines());
      const DType in = draw.of(types), out = draw.chance(0.5) ? DType::f32 : draw.of(types);
      const std::vector<std::int64_t> extents =
          n < 4000 ? extents_of(n, draw) : std::vector<std::int64_t>{12, n};
      Matrix x(in, extents, draw);
      Matrix p(out, extents, draw);
      const std::int64_t first = draw.between(0, 12);
      for (std::int64_t row = 0; row < x.rows(); ++row)
        for (std::int64_t k = 0; k < n; ++k)
          ir::store_real(in, x.view.data, x.begin(row) + k, score_of(first + row, k, n, draw));
      INFO(engine.name << " alpha " << alpha << " " << name_of(in) << " -> " << name_of(out)
                       << " n " << n << " rows " << x.rows() << " from " << first);
      tests::run_entmax(*engine.state, x.view, p.view, alpha);
      CHECK(compare(x, p, alpha, out == DType::f32) == "");
    }
}

TEST_CASE("entmax of rows of a million, sparse and flat, by its own memory and in place") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  constexpr std::int64_t n = (1 << 20) + 3;
  for (const std::int64_t kind : {0, 1, 3})
    for (const float alpha : {1.0f, 1.5f, 2.0f}) {
      const tests::TestEngine& engine = draw.of(tests::engines());
      Matrix x(DType::f32, {1, n}, draw);
      for (std::int64_t k = 0; k < n; ++k)
        ir::store_real(DType::f32, x.view.data, k, score_of(kind, k, n, draw));
      INFO(engine.name << " alpha " << alpha << " kind " << kind);
      Matrix p = x;
      p.view.data = p.memory.data() + (static_cast<std::byte*>(x.view.data) - x.memory.data());
      tests::run_entmax(*engine.state, p.view, p.view, alpha);
      CHECK(compare(x, p, alpha) == "");
    }
}

TEST_CASE("checks of memory find nothing in entmax of matrices") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (const tests::TestEngine& engine : tests::checking_engines())
    for (const std::int64_t n : {0, 100, 2000, 9000}) {
      const float alpha = draw.of(alphas);
      Matrix x(DType::f32, {3, n}, draw), p(DType::f32, {3, n}, draw);
      for (std::int64_t row = 0; row < x.rows(); ++row)
        for (std::int64_t k = 0; k < n; ++k)
          ir::store_real(DType::f32, x.view.data, x.begin(row) + k, score_of(row, k, n, draw));
      INFO(engine.name << " alpha " << alpha << " n " << n);
      tests::run_entmax(*engine.state, x.view, p.view, alpha);
      CHECK(compare(x, p, alpha) == "");
    }
}

TEST_CASE("entmax of a matrix says what is wrong with it, and writes nothing") {
  fuzz::Random random(1);
  fuzz::Draw draw(random);
  const Engine engine(tests::engines().front().state);
  Matrix x(DType::f32, {2, 5}, draw), p(DType::f32, {2, 5}, draw);
  const auto refused = [&](const TensorView& from, const TensorView& to, float alpha) {
    const std::vector<std::byte> before = p.memory;
    std::string what = "accepted";
    try {
      engine.entmax(from, to, alpha);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::argument);
      what = error.what();
    }
    CHECK(p.memory == before);
    return what;
  };
  for (const float alpha : {0.5f, 1.005f, 2.01f, std::numeric_limits<float>::quiet_NaN()})
    CHECK(refused(x.view, p.view, alpha) ==
          fmt::format("alpha is {}, expected 1 or from 1.01 to 2", alpha));
  TensorView wrong = x.view;
  wrong.dtype = DType::i32;
  CHECK(refused(wrong, p.view, 1.5f) == "x: dtype is i32, expected f16, bf16 or f32");
  wrong = x.view;
  wrong.strides[1] = 2;
  CHECK(refused(wrong, p.view, 1.5f) == "x: axis 1, the last one, has stride 2, expected 1");
  wrong = p.view;
  wrong.shape[0] = 3;
  CHECK(refused(x.view, wrong, 1.5f) == "p: its shape is not that of x");
  wrong = x.view;
  wrong.rank = 0;
  CHECK(refused(wrong, p.view, 1.5f) == "x: it has no axis, expected rows along the last one");
  wrong = p.view;
  wrong.strides[0] += 1;
  CHECK(refused(p.view, wrong, 1.5f) ==
        "p: it begins where x does, but has another dtype or other strides");
  wrong = p.view;
  wrong.data = nullptr;
  CHECK(refused(x.view, wrong, 1.5f) == "p: its memory is null");
}
