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

  /// How many rows have ||O - O*|| / ||O*|| as promised. A sum of D products in f32 is off by √D
  /// roundings of it, a cap of it by some more, and u by c/t times that, whatever entmax does,
  /// which moves O by as much of the rows of V, √Dv long: so much more is allowed.
  std::size_t kept(double promised, double alpha) const {
    const ir::Reference reference = ir::forward(spec, call.args);
    std::size_t kept = 0;
    for (std::size_t row = 0; row < o.size() / Dv; ++row) {
      double off = 0, all = 0;
      for (std::size_t i = row * Dv; i < (row + 1) * Dv; ++i) {
        off += std::pow(o[i] - reference.o[i], 2);
        all += std::pow(reference.o[i], 2);
      }
      const bool capped = spec.pattern.tree().score != ir::no_node;
      const double z_off =
          (std::sqrt(D) + (capped ? 4 : 0)) * 0x1p-24 * std::fabs(reference.zmax[row]);
      const double moved = 2 * (alpha - 1) / reference.gap[row] * z_off * std::sqrt(Dv);
      kept += std::sqrt(off) <= promised * std::sqrt(all) + moved ? 1 : 0;
    }
    return kept;
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
