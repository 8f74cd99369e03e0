// The accuracy that a user is promised, on the score distributions that entmax was studied on:
// ||O - O*|| / ||O*|| of every row, and no weight that is lost.
#include "compiler/ir/element.h"
#include "compiler/ir/reference.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/conformance/weights.h"

#include "bench/entmax/distributions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace {

using namespace lacuna;

constexpr int D = 64, Dv = 32;

/// The last queries of a sequence, a causal head, V normal.
struct Problem {
  Problem(const bench::Distribution& distribution, std::int64_t queries, const Spec& with)
      : spec(with), keys(distribution.rows), o(static_cast<std::size_t>(queries * Dv), NAN) {
    const bench::Operands drawn = bench::draw(distribution);
    fuzz::Random random(distribution.seed);
    fuzz::Draw draw(random);
    std::vector<float> normal(static_cast<std::size_t>(keys * Dv));
    for (float& value : normal) value = draw.normal();
    const std::span<const float> all(drawn.q);
    Args& args = call.args;
    args.q = stored(q, all.subspan(static_cast<std::size_t>((keys - queries) * D)), queries, D);
    args.k = stored(k, drawn.k, keys, D);
    args.v = stored(v, normal, keys, Dv);
    args.o = TensorView::contiguous(o.data(), DType::f32, {1, 1, queries, Dv});
  }

  TensorView stored(std::vector<std::byte>& memory, std::span<const float> values,
                    std::int64_t rows, std::int64_t width) const {
    memory.resize(values.size() * static_cast<std::size_t>(size_of(spec.dtype)));
    for (std::size_t i = 0; i < values.size(); ++i)
      ir::store_real(spec.dtype, memory.data(), static_cast<std::int64_t>(i), values[i]);
    return TensorView::contiguous(memory.data(), spec.dtype, {1, 1, rows, width});
  }

  /// How many rows have ||O - O*|| / ||O*|| as promised, beside what they are off by when scores
  /// are as far off as sums of D products in f32 are, whatever entmax does.
  std::size_t kept(double promised, double alpha) const {
    const ir::Reference reference = ir::forward(spec, call.args);
    std::size_t kept = 0;
    for (std::size_t row = 0; row < o.size() / Dv; ++row) {
      double off = 0, all = 0;
      for (std::size_t i = row * Dv; i < (row + 1) * Dv; ++i) {
        off += std::pow(o[i] - reference.o[i], 2);
        all += std::pow(reference.o[i], 2);
      }
      const double allowed = promised * std::sqrt(all);
      if (std::sqrt(off) <= allowed ||
          std::sqrt(off) <=
              allowed + by_scores(row, alpha, reference.zmax[row], reference.gap[row]))
        ++kept;
    }
    return kept;
  }
  /// By how much O of a row moves when each of its scores does by one rounding of √D of its terms,
  /// and a cap by some of its own: dO = Σ s_k dz_k (v_k - E), with the slopes s = p^(2-α) of the
  /// weights and the mean E = Σ s v / Σ s of V under them (entmax's Jacobian, Peters et al. 2019).
  double by_scores(std::size_t row, double alpha, double zmax, double gap) const {
    struct Live {
      std::int64_t key;
      double slope, off;
    };
    const double cap = spec.pattern.tree().score != ir::no_node ? 8 : 0;
    const auto at = [&](const std::vector<std::byte>& memory, std::int64_t i) {
      return ir::load_real(spec.dtype, memory.data(), i);
    };
    std::vector<Live> live;
    std::array<double, Dv> mean{};
    double slopes = 0;
    const auto last = keys - static_cast<std::int64_t>(rows()) + static_cast<std::int64_t>(row);
    for (std::int64_t key = 0; key <= last; ++key) {
      double z = 0, terms = 0;
      for (int i = 0; i < D; ++i) {
        const double term = at(q, static_cast<std::int64_t>(row) * D + i) * at(k, key * D + i) / 8;
        z += term;
        terms += std::fabs(term);
      }
      double off = std::sqrt(D) * 0x1p-24 * terms;
      if (cap > 0) {
        const double capped = std::tanh(z / cap);
        off = off * (1 - capped * capped) + 4 * 0x1p-24 * cap;
        z = cap * capped;
      }
      const double r = (alpha - 1) * (z - zmax) + gap;
      if (r <= 0) continue;
      live.push_back({key, std::pow(r, 1 / (alpha - 1) - 1), off});
      slopes += live.back().slope;
      for (int i = 0; i < Dv; ++i) mean[i] += live.back().slope * at(v, key * Dv + i);
    }
    double moved = 0;
    for (const Live& each : live) {
      double distance = 0;
      for (int i = 0; i < Dv; ++i)
        distance += std::pow(at(v, each.key * Dv + i) - mean[i] / slopes, 2);
      moved += each.slope * each.off * std::sqrt(distance);
    }
    return moved;
  }
  std::size_t rows() const { return o.size() / Dv; }

  Spec spec;
  std::int64_t keys;
  std::vector<std::byte> q, k, v;
  std::vector<float> o;
  fuzz::OwnedCall call;
};

double promised(DType dtype) {
  return dtype == DType::bf16 ? 3e-3 : dtype == DType::f16 ? 5e-4 : 1e-5;
}

}  // namespace

TEST_CASE("entmax is as accurate as promised on every distribution of the study") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  // Every element is within what the roundings of its operands account for. For weights of 16 bits
  // that is more than is promised where values of either sign cancel: a row in a hundred may.
  struct Rows {
    std::size_t all = 0, kept = 0;
  };
  std::map<DType, Rows> rows;
  for (const bench::Scores scores : bench::all_scores)
    for (const float alpha : {1.25f, 1.5f, 2.0f})
      for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
        // Gates that pass back through a score promise no less.
        const std::string score = draw.chance(0.3) ? "\nscore softcap(score, 8.0)" : "";
        const Spec spec{.pattern = tests::weighed("mask causal" + score,
                                                  "weights entmax(" + std::to_string(alpha) + ")"),
                        .dtype = dtype,
                        .head_dim = D,
                        .value_dim = Dv,
                        .output = DType::f32};
        const tests::TestEngine& engine = draw.of(tests::engines());
        for (const std::int64_t keys : {1, draw.between(2, 300), draw.of({1024, 2048, 4096})}) {
          const double sigma = draw.of({0.05, 0.25, 1.0, 2.0, 4.0});
          const std::int64_t queries = std::min<std::int64_t>(keys, 64);
          Problem problem({scores, sigma, keys, D, random()}, queries, spec);
          INFO(engine.name << " " << bench::name_of(scores) << " sigma " << sigma << " alpha "
                           << alpha << " " << name_of(dtype) << " n " << keys << score);
          const plan::Plan& plan = runtime::planned_for(*engine.state, spec)->plan;
          const plan::Route route = tests::any_route(plan, {1, 1, 1, queries, keys}, draw);
          INFO(route.splits << (route.decode ? " splits" : " CTA a tile") << ", pass "
                            << route.short_rows);
          CHECK(tests::run_and_compare(*engine.state, spec, problem.call, route) == "");
          rows[dtype].all += problem.rows();
          rows[dtype].kept += problem.kept(promised(dtype), alpha);
        }
      }
  for (const auto& [dtype, counted] : rows) {
    INFO(name_of(dtype) << ": " << counted.kept << " of " << counted.all << " rows");
    CHECK(100 * counted.kept >= (dtype == DType::f32 ? 100 : 99) * counted.all);
  }
}

TEST_CASE("each weight of entmax is as exact as its type") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  // Rows of V are unit vectors: O is the weights. In rows with few of them a single key, just above
  // or below a threshold, decides of the others.
  constexpr int width = 64;
  for (const char* const alpha : {"1.25", "1.5", "1.7", "2.0"})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const bool in_shared_memory : {false, true}) {
        const Spec spec{.pattern = tests::weighed("", std::string("weights entmax(") + alpha + ")"),
                        .dtype = dtype,
                        .head_dim = 16,
                        .value_dim = width,
                        .output = DType::f32};
        const Shape shape{1, 2, 1, 1024, draw.between(2, width)};
        fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
        call.args.scale = draw.of({0.05f, 0.25f, 0.5f, 1.0f});
        const TensorView& v = call.args.v;
        for (std::int64_t k = 0; k < shape.keys; ++k)
          for (std::int64_t d = 0; d < width; ++d)
            ir::store_real(dtype, v.data, k * v.strides[2] + d * v.strides[3], k == d ? 1 : 0);
        const tests::TestEngine& engine = draw.of(tests::engines());
        const plan::Plan& plan = runtime::planned_for(*engine.state, spec)->plan;
        const std::size_t pass =
            in_shared_memory ? tests::any_short_rows(plan, shape.keys, draw) : 0;
        INFO(engine.name << " " << name_of(dtype) << " alpha " << alpha << " n " << shape.keys
                         << " pass " << pass);
        CHECK(tests::run_and_compare(*engine.state, spec, call, plan::Route{.short_rows = pass}) ==
              "");
      }
}

TEST_CASE("entmax: crowds of keys about the threshold keep their weight") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  // Scores on two scales, exact: products of the one element of q and of k that is not 0. Of the
  // columns of V some tell the greatest keys from the others, the last one all from none.
  constexpr int width = 16;
  for (const char* const alpha : {"1.25", "1.5", "1.75", "2.0"})
    for (int n = tests::runs_all() ? 40 : 6; n > 0; --n) {
      const DType dtype = draw.of({DType::f32, DType::f16, DType::bf16});
      const Spec spec{.pattern = tests::weighed("", std::string("weights entmax(") + alpha + ")"),
                      .dtype = dtype,
                      .head_dim = 16,
                      .value_dim = width,
                      .output = DType::f32,
                      .statistic = true};
      const Shape shape{1, 1, 1, draw.of({2, 96}), draw.of({640, 1500, 4096})};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      call.args.scale = 1.0f;
      const auto fill = [&](const TensorView& view, const auto& value) {
        for (std::int64_t row = 0; row < view.shape[2]; ++row)
          for (std::int64_t d = 0; d < view.shape[3]; ++d)
            ir::store_real(dtype, view.data, row * view.strides[2] + d * view.strides[3],
                           value(row, d));
      };
      const double few = std::pow(10, draw.between(-3.0, -0.3)),
                   narrow = draw.chance(0.2) ? 0 : std::pow(10, draw.between(-5.0, -1.0));
      std::vector<std::pair<float, std::int64_t>> order;
      fill(call.args.q,
           [&](auto, auto d) { return d == 0 ? std::pow(10, draw.between(-2.5, 1.0)) : 0; });
      fill(call.args.k, [&](auto row, auto d) {
        if (d != 0) return 0.0;
        order.emplace_back((draw.chance(few) ? 1 : narrow) * draw.normal(), row);
        return double{order.back().first};
      });
      std::sort(order.begin(), order.end());
      std::vector<std::int64_t> behind(order.size());  // how many keys have greater scores
      for (std::size_t i = 0; i < order.size(); ++i)
        behind[static_cast<std::size_t>(order[i].second)] =
            static_cast<std::int64_t>(order.size() - 1 - i);
      fill(call.args.v, [&](auto row, auto d) {
        return d == width - 1 || behind[static_cast<std::size_t>(row)] < std::int64_t{1} << d ? 1
                                                                                              : 0;
      });
      const tests::TestEngine& engine = draw.of(tests::engines());
      const auto route = draw.chance(0.6) ? std::optional(plan::Route{}) : std::nullopt;
      INFO(engine.name << " " << name_of(dtype) << " alpha " << alpha << " Nq " << shape.queries
                       << " n " << shape.keys << " few " << few << " narrow " << narrow
                       << (route ? " plain" : ""));
      tests::run(*engine.state, spec, call, route);
      const ir::Reference reference = ir::forward(spec, call.args);
      int wrong = 0;
      for (std::int64_t row = 0; row < shape.queries; ++row) {
        const auto at = static_cast<std::size_t>(row);
        // Distances are as exact as f32 is at zmax, and move weights by the slopes of their powers.
        const double c = std::stod(alpha) - 1, zmax = reference.zmax[at];
        const double gap = reference.gap[at];
        const double q = ir::load_real(dtype, call.args.q.data, row * call.args.q.strides[2]);
        double f = 0, w = 0;
        for (const auto& each : order) {
          const double k =
              ir::load_real(dtype, call.args.k.data, each.second * call.args.k.strides[2]);
          const double u = (q * k - zmax) * c / gap + 1;
          if (u <= 0) continue;
          f += std::pow(u, 1 / c);
          w += std::pow(u, 1 / c - 1);
        }
        const double of_scores = 2 * w / (c * f) * 0x1p-22 * (1 + std::fabs(zmax) * c / gap);
        for (std::int64_t d = 0; d < width; ++d) {
          const TensorView& o = call.args.o;
          const double found =
              ir::load_real(DType::f32, o.data, row * o.strides[2] + d * o.strides[3]);
          const double off =
              std::fabs(found - reference.o[at * width + static_cast<std::size_t>(d)]);
          // Sums of numbers that are alike are rounded to one side; a NaN is wrong, too.
          wrong += off <= promised(dtype) * 4 / 3 + 0x1p-24 * shape.keys + of_scores ? 0 : 1;
        }
      }
      CHECK(wrong == 0);
    }
}
