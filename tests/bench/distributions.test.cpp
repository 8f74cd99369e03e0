#include "bench/entmax/distributions.h"

#include "tests/catch.h"

#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>

using namespace lacuna::bench;

namespace {

std::uint64_t fresh_seed() {
  const char* given = std::getenv("LACUNA_SEED");
  return given ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

struct Drawn {
  Distribution wanted;
  Operands operands = draw(wanted);

  double score(std::int64_t q, std::int64_t k) const {
    double dot = 0;
    for (int d = 0; d < wanted.head_dim; ++d)
      dot += double{operands.q[q * wanted.head_dim + d]} * operands.k[k * wanted.head_dim + d];
    return dot / std::sqrt(wanted.head_dim);
  }
  double mean(const std::function<double(std::int64_t, std::int64_t)>& of) const {
    double sum = 0;
    std::int64_t pairs = 0;
    for (std::int64_t q = 200; q < wanted.rows; q += 7)
      for (std::int64_t k = 0; k <= q; k += 3, ++pairs) sum += of(q, k);
    return sum / static_cast<double>(pairs);
  }
};

}  // namespace

TEST_CASE("distributions: the same for a seed, others for another, whatever the kind") {
  const std::uint64_t seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  for (const Scores scores : all_scores)
    for (const int head_dim : {8, 64, 128}) {
      INFO(name_of(scores) << " D " << head_dim);
      const Distribution wanted{scores, 2, 300, head_dim, seed};
      const Operands first = draw(wanted), again = draw(wanted);
      CHECK(first.q.size() == static_cast<std::size_t>(300 * head_dim));
      CHECK(first.q == again.q);
      CHECK(first.k == again.k);
      Distribution other = wanted;
      other.seed = seed + 1;
      CHECK(draw(other).k != first.k);
      for (const auto* matrix : {&first.q, &first.k})
        for (const float value : *matrix) REQUIRE(std::isfinite(value));
    }
}

TEST_CASE("distributions: scores have the deviation and the shape that they are named for") {
  const std::uint64_t seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  for (const int head_dim : {64, 128})
    for (const double sigma : {0.25, 1.0, 4.0}) {
      INFO("D " << head_dim << " sigma " << sigma);
      const auto of = [&](Scores scores) { return Drawn{{scores, sigma, 2048, head_dim, seed}}; };
      const Drawn iid = of(Scores::iid);
      const double squares = iid.mean([&](auto q, auto k) { return std::pow(iid.score(q, k), 2); });
      CHECK(std::fabs(std::sqrt(squares) / sigma - 1) < 0.1);

      const Drawn local = of(Scores::local);
      double sink = 0, here = 0, away = 0;
      for (std::int64_t q = 1024; q < 2048; ++q) {
        sink += local.score(q, q % 4) / 1024;
        here += local.score(q, q) / 1024;
        away += local.score(q, q - 500 - q % 7) / 1024;
      }
      // The sinks stand at 4 sigma, the diagonal at 5, and 500 keys away the slowest waves are
      // left.
      CHECK(std::fabs(sink - 4 * sigma - away) < 5.0 + 0.4 * sigma);
      CHECK(std::fabs(here - 5) < 0.3 * sigma);
      CHECK(away < 3.5);

      const Drawn ascending = of(Scores::ascending);
      const double rise = ascending.mean(
          [&](auto q, auto) { return ascending.score(q, 0) - ascending.score(q, q); });
      CHECK(rise > 0);
      const double early = ascending.mean([&](auto q, auto k) {
        return ascending.score(q, k / 2) - ascending.score(q, (q + k) / 2);
      });
      CHECK(early > 0.5 * sigma);
    }
}

TEST_CASE("distributions: passages on a topic draw each other, and queries of a block agree") {
  const std::uint64_t seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  // Passages are some 288 keys long: so many keys that a few topics that meet again, or are far
  // from the mean, show little.
  constexpr std::int64_t rows = 16384, first = 40;
  const Drawn clustered{{Scores::clustered, 1, rows, 64, seed}};
  double near = 0, far = 0;
  for (std::int64_t q = first; q < rows; ++q) {
    near += clustered.score(q, q - 1) / (rows - first);
    far += clustered.score(q, (q + rows / 2) % rows) / (rows - first);
  }
  // Two fifths of q and of k are the topic: q.k / 8 is 0.4 * 64 / 8 where they share it.
  CHECK(std::fabs(near - 3.2) < 0.6);
  CHECK(std::fabs(far) < 0.8);

  const Drawn correlated{{Scores::correlated, 1, 1024, 64, seed}};
  const auto together = [&](std::int64_t first, std::int64_t second) {
    double dot = 0;
    for (int d = 0; d < 64; ++d)
      dot += double{correlated.operands.q[first * 64 + d]} * correlated.operands.q[second * 64 + d];
    return dot / 64;
  };
  double inside = 0, outside = 0;
  for (std::int64_t q = 0; q < 896; ++q) {
    inside += together(q, q / 128 * 128 + (q + 1) % 128) / 896;
    outside += together(q, q + 128) / 896;
  }
  CHECK(std::fabs(inside - 0.8) < 0.3);
  CHECK(std::fabs(outside) < 0.3);
}
