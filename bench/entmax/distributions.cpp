#include "bench/entmax/distributions.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <span>

namespace lacuna::bench {
namespace {

/// Numbers that are the same with every standard library.
class Source {
 public:
  explicit Source(std::uint64_t seed) : bits_(seed) {}
  double unit() { return (static_cast<double>(bits_() >> 11) + 0.5) * 0x1p-53; }
  std::int64_t below(std::int64_t count) {
    return static_cast<std::int64_t>(bits_() % static_cast<std::uint64_t>(count));
  }
  float normal() {
    const double radius = std::sqrt(-2 * std::log(unit()));
    return static_cast<float>(radius * std::cos(2 * std::numbers::pi * unit()));
  }
  void fill(std::span<float> values) {
    for (float& value : values) value = normal();
  }
  /// Geometric, 0 or more.
  std::int64_t waits(double mean) {
    return static_cast<std::int64_t>(std::log(unit()) / std::log(mean / (mean + 1)));
  }

 private:
  std::mt19937_64 bits_;
};

class Drawing {
 public:
  explicit Drawing(const Distribution& wanted) : wanted_(wanted), source_(wanted.seed) {
    const auto elements = static_cast<std::size_t>(wanted.rows * wanted.head_dim);
    made_.q.resize(elements);
    made_.k.resize(elements);
    source_.fill(made_.k);
    source_.fill(made_.q);
  }

  Operands run() {
    if (wanted_.scores == Scores::clustered || wanted_.scores == Scores::correlated) cluster();
    if (wanted_.scores == Scores::correlated) correlate();
    if (wanted_.scores == Scores::local) localise();
    if (wanted_.scores == Scores::ascending) ascend();
    // Scores are linear in q: sigma scales the noise, and what localise() set is divided by it.
    for (float& value : made_.q) value *= static_cast<float>(wanted_.sigma);
    return std::move(made_);
  }

 private:
  std::span<float> q(std::int64_t row) { return row_of(made_.q, row); }
  std::span<float> k(std::int64_t row) { return row_of(made_.k, row); }
  std::span<float> row_of(std::vector<float>& matrix, std::int64_t row) const {
    const auto width = static_cast<std::size_t>(wanted_.head_dim);
    return std::span(matrix).subspan(static_cast<std::size_t>(row) * width, width);
  }

  /// `share` of the variance of a row becomes what it has in common with others.
  static void mix(std::span<float> row, std::span<const float> common, double share) {
    const auto own = static_cast<float>(std::sqrt(1 - share));
    const auto theirs = static_cast<float>(std::sqrt(share));
    for (std::size_t d = 0; d < row.size(); ++d) row[d] = own * row[d] + theirs * common[d];
  }

  void cluster() {
    constexpr std::int64_t topics = 64;
    std::vector<float> centres(static_cast<std::size_t>(topics * wanted_.head_dim));
    source_.fill(centres);
    for (std::int64_t row = 0; row < wanted_.rows;) {
      const std::int64_t end = std::min(wanted_.rows, row + 32 + source_.waits(256));
      const auto centre = row_of(centres, source_.below(topics));
      for (; row < end; ++row) {
        mix(k(row), centre, 0.4);
        if (wanted_.scores == Scores::clustered) mix(q(row), centre, 0.4);
      }
    }
  }

  void correlate() {
    std::vector<float> asked(static_cast<std::size_t>(wanted_.head_dim));
    for (std::int64_t row = 0; row < wanted_.rows; ++row) {
      if (row % 128 == 0) source_.fill(asked);
      mix(q(row), asked, 0.8);
    }
  }

  /// One dimension for the sinks, pairs of sines and cosines of the position, and noise.
  void localise() {
    const int pairs = std::min(12, (wanted_.head_dim - 2) / 4), noise = 1 + 2 * pairs;
    const double root = std::sqrt(wanted_.head_dim), sigma = wanted_.sigma;
    const auto louder = static_cast<float>(
        std::sqrt(static_cast<double>(wanted_.head_dim) / (wanted_.head_dim - noise)));
    const double amplitude = std::sqrt(5 * root / pairs);
    for (std::int64_t row = 0; row < wanted_.rows; ++row) {
      const auto query = q(row), key = k(row);
      for (float& value : query.subspan(static_cast<std::size_t>(noise))) value *= louder;
      query[0] = static_cast<float>(4 * root / 8);
      key[0] = row < 4 ? 8.0f : 0.0f;
      for (int pair = 0; pair < pairs; ++pair) {
        const double turn = std::numbers::pi / 4 / std::ldexp(1.0, pair) * static_cast<double>(row);
        const auto at = static_cast<std::size_t>(1 + 2 * pair);
        key[at] = static_cast<float>(amplitude * std::cos(turn));
        key[at + 1] = static_cast<float>(amplitude * std::sin(turn));
        query[at] = static_cast<float>(amplitude * std::cos(turn) / sigma);
        query[at + 1] = static_cast<float>(amplitude * std::sin(turn) / sigma);
      }
    }
  }

  void ascend() {
    for (std::int64_t row = 0; row < wanted_.rows; ++row) {
      q(row)[0] = 8;
      k(row)[0] = 8 * static_cast<float>(wanted_.rows - row) / static_cast<float>(wanted_.rows);
    }
  }

  const Distribution& wanted_;
  Source source_;
  Operands made_;
};

}  // namespace

Operands draw(const Distribution& distribution) {
  return Drawing(distribution).run();
}

}  // namespace lacuna::bench
