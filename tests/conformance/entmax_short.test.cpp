// The short route of entmax: rows whose scores all stay in shared memory, in one launch.
#include "compiler/ir/element.h"
#include "compiler/plan/short_rows.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/conformance/pairwise.h"
#include "tests/conformance/patterns.h"
#include "tests/conformance/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

using namespace lacuna;
using tests::patterns;

const std::vector<DType> dtypes = {DType::bf16, DType::f16, DType::f32};
const std::vector<int> sizes = {64, 8, 40, 128, 256};
const std::vector<std::int64_t> queries = {65, 1, 16, 33, 130};
const std::vector<std::int64_t> keys = {200, 1, 31, 64, 129, 500, 1023, 2048, 0};
const std::vector<std::pair<int, int>> heads = {{4, 2}, {1, 1}, {6, 2}};

struct Case {
  Spec spec;
  Shape shape;
};

Case case_of(const std::vector<int>& row, fuzz::Random& random) {
  Case c{.spec = {.pattern = tests::weighed(patterns[row[1]], tests::weights[row[2]]),
                  .dtype = dtypes[row[3]],
                  .head_dim = sizes[row[4]],
                  .value_dim = sizes[row[5]],
                  .statistic = row[9] > 0,
                  .lengths = static_cast<Lengths>(row[10])},
         .shape = {row[12] + 1, heads[row[8]].first, heads[row[8]].second, queries[row[6]],
                   keys[row[7]]}};
  c.spec.storage = fuzz::random_storage(random, c.spec.pattern.tree());
  c.spec.storage.erase("alpha_");
  c.spec.escort = row[11] > 0 && c.spec.pattern.is_entmax();
  return c;
}

std::string outcome(EngineState& engine, const Spec& spec, fuzz::OwnedCall& call,
                    const plan::Route& route) {
  try {
    return tests::run_and_compare(engine, spec, call, route);
  } catch (const Error& error) {
    return std::string(error.what()) + "\n" + error.log();
  }
}

/// Runs a row of the cover where a pass has room for its keys. Returns whether one had.
bool run_row(const std::vector<int>& row, const std::vector<tests::TestEngine>& engines,
             fuzz::Random& random) {
  const Case c = case_of(row, random);
  EngineState& engine = *engines[row[0]].state;
  const plan::Plan& plan = runtime::planned_for(engine, c.spec)->plan;
  fuzz::Draw draw(random);
  const std::size_t pass = tests::any_short_rows(plan, c.shape.keys, draw);
  if (pass == 0) return false;
  std::vector<float> alphas;
  fuzz::OwnedCall call = fuzz::random_call(random, c.spec, c.shape);
  tests::give_alpha(call, draw, alphas);
  INFO(engines[row[0]].name << "\n" << tests::describe(c.spec, c.shape, call) << "pass " << pass);
  CHECK(outcome(engine, c.spec, call, {.short_rows = pass}) == "");
  return true;
}

std::vector<std::vector<int>> cover(std::size_t engines, fuzz::Random& random) {
  const auto count = [](const auto& choices) { return static_cast<int>(choices.size()); };
  return tests::pairwise_cover(
      {static_cast<int>(engines), count(patterns), count(tests::weights), count(dtypes),
       count(sizes), count(sizes), count(queries), count(keys), count(heads), 2, 3, 2, 2},
      random);
}

}  // namespace

TEST_CASE("entmax of short rows agrees with the reference over a pairwise cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  const std::vector<std::vector<int>> rows = tests::chosen(cover(engines.size(), random), random);
  int run = 0;
  for (const std::vector<int>& row : rows) run += run_row(row, engines, random);
  CHECK(run > static_cast<int>(rows.size() / 2));
}

TEST_CASE("checks of memory find nothing in entmax of short rows, in a selection of the cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::checking_engines();
  std::vector<std::vector<int>> rows = cover(engines.size(), random);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(std::min<std::size_t>(rows.size(), 16));
  for (const std::vector<int>& row : rows) run_row(row, engines, random);
}

TEST_CASE("entmax of short rows reads no V of keys among which none has a weight") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (const DType dtype : dtypes)
    for (const tests::TestEngine& engine : tests::engines()) {
      // Keys score 9 less unless a tensor says otherwise: no threshold lies farther than
      // 1 / (alpha - 1) below the greatest score.
      const Spec spec{.pattern = Pattern::parse("attention a {\n  tensor low: f32[kv_head, key]\n"
                                                "  score 0.01 * score - low[g, k]\n"
                                                "  weights entmax(1.5)\n}"),
                      .dtype = dtype,
                      .head_dim = 16,
                      .value_dim = 24,
                      .storage = {{"low", DType::f32}}};
      const plan::Plan& plan = runtime::planned_for(*engine.state, spec)->plan;
      const std::int64_t count = draw.between(100, 400);
      const std::size_t pass = tests::any_short_rows(plan, count, draw);
      REQUIRE(pass > 0);
      const plan::Pass& taken = plan.passes[pass];
      const std::int64_t together = std::int64_t{plan::key_warps(taken)} * taken.schedule.tile_k;
      const Shape shape{.batch = 1, .heads = 2, .kv_heads = 1, .queries = 70, .keys = count};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      std::vector<float> low(static_cast<std::size_t>(count), 9.0f);
      const std::int64_t live = draw.between(0, count - 1) / together * together;
      for (std::int64_t k = live; k < std::min(live + together, count); ++k)
        low[static_cast<std::size_t>(k)] = 0.0f;
      call.tensors[0].view = TensorView::contiguous(low.data(), DType::f32, {1, count});
      call.args.tensors = call.tensors;
      const TensorView& v = call.args.v;
      for (std::int64_t k = 0; k < count; ++k)
        if (k < live || k >= live + together)
          for (std::int64_t d = 0; d < 24; ++d)
            ir::store_real(dtype, v.data, k * v.strides[2] + d,
                           std::numeric_limits<double>::quiet_NaN());
      INFO(engine.name << " " << name_of(dtype) << " pass " << pass << " keys " << count
                       << " of which those from " << live);
      tests::run(*engine.state, spec, call, plan::Route{.short_rows = pass});
      const TensorView& o = call.args.o;
      bool finite = true;
      for (std::int64_t row = 0; row < 70; ++row)
        for (std::int64_t d = 0; d < 24; ++d)
          finite &= std::isfinite(ir::load_real(o.dtype, o.data, row * o.strides[2] + d));
      CHECK(finite);
    }
}

TEST_CASE(
    "calls with short rows take one launch where shapes say so, and as little memory as fits") {
  const Spec spec{
      .pattern = Pattern::parse("attention a {\n  mask causal\n  weights entmax(1.5)\n}"),
      .dtype = DType::bf16};
  const plan::Plan plan = plan::plan(spec, {.arch = {90}});
  const auto taken = [&](std::int64_t batch, std::int64_t n) {
    return plan::route(plan, {.batch = batch, .heads = 8, .kv_heads = 8, .queries = n, .keys = n});
  };
  const plan::Route route = taken(64, 256);
  REQUIRE(route.short_rows > 0);
  CHECK(plan.passes[route.short_rows].schedule.tile_q == 64);
  CHECK(plan::passes_of(plan, route) == std::vector<std::size_t>{route.short_rows});
  CHECK(plan::workspace_bytes(plan, {64, 8, 8, 256, 256}, route) == 0);
  // Longer rows only where other passes would not fill the GPU.
  CHECK(taken(64, 1024).short_rows == 0);
  CHECK(taken(1, 1024).short_rows > route.short_rows);
  CHECK(taken(1, 4096).short_rows == 0);
  CHECK(plan::route(plan::plan(spec, {.arch = {90}, .schedule = plan::Schedule{64, 64, 4, 2}}),
                    {.batch = 64, .heads = 8, .kv_heads = 8, .queries = 256, .keys = 256}) ==
        plan::Route{});
  const plan::Pass& pass = plan.passes[route.short_rows];
  CHECK(plan::short_rows_shared_bytes(pass, spec, pass.most_keys) == pass.shared_bytes);
  CHECK(plan::short_rows_shared_bytes(pass, spec, 64) < pass.shared_bytes / 2);
}
