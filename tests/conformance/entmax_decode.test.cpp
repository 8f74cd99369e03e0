// The decode route of entmax: scores of parts of the keys in shared memory, and rows gathered from
// what those leave.
#include "compiler/ir/element.h"
#include "compiler/plan/materialise.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/conformance/pairwise.h"
#include "tests/conformance/patterns.h"
#include "tests/conformance/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

namespace {

using namespace lacuna;
using tests::patterns;

constexpr int capacity = plan::materialise_capacity;
const std::vector<DType> dtypes = {DType::f32, DType::f16, DType::bf16};
const std::vector<int> sizes = {64, 8, 40, 128, 256};
const std::vector<std::int64_t> queries = {1, 2, 3, 5, 33};
const std::vector<std::int64_t> keys = {517, 1, 130, capacity, capacity + 1, 1999, 0};
const std::vector<std::pair<int, int>> heads = {{4, 2}, {8, 1}, {1, 1}, {6, 2}, {3, 3}};
/// 0: what the shape decides. More splits than there are tiles leave some with nothing; with one,
/// long rows take several rounds.
const std::vector<int> splits = {0, 1, 3, 64};

struct Case {
  Spec spec;
  Shape shape;
  std::optional<plan::Route> route;
};

Case case_of(const std::vector<int>& row, fuzz::Random& random) {
  Case c{.spec = {.pattern = tests::weighed(patterns[row[1]], tests::weights[row[2]]),
                  .dtype = dtypes[row[3]],
                  .head_dim = sizes[row[4]],
                  .value_dim = sizes[row[5]],
                  .statistic = row[11] > 0,
                  .lengths = static_cast<Lengths>(row[12])},
         .shape = {row[9] + 1, heads[row[8]].first, heads[row[8]].second, queries[row[6]],
                   keys[row[7]]},
         .route = {}};
  if (row[10]) c.spec.output = DType::f32;
  c.spec.storage = fuzz::random_storage(random, c.spec.pattern.tree());
  c.spec.storage.erase("alpha_");
  const bool entmax = ir::is_entmax(c.spec.pattern.tree());
  c.spec.escort = row[14] > 0 && entmax;
  if (const int count = splits[row[13]]; count && entmax) c.route = plan::Route{true, count};
  return c;
}

std::string outcome(EngineState& engine, const Spec& spec, fuzz::OwnedCall& call,
                    std::optional<plan::Route> route) {
  try {
    return tests::run_and_compare(engine, spec, call, route);
  } catch (const Error& error) {
    return std::string(error.what()) + "\n" + error.log();
  }
}

/// Runs a row of the cover, and returns whether it took the decode route of entmax.
bool run_row(const std::vector<int>& row, const std::vector<tests::TestEngine>& engines,
             fuzz::Random& random) {
  const Case c = case_of(row, random);
  EngineState& engine = *engines[row[0]].state;
  fuzz::Draw draw(random);
  std::vector<float> alphas;
  fuzz::OwnedCall call = fuzz::random_call(random, c.spec, c.shape);
  tests::give_alpha(call, draw, alphas);
  INFO(engines[row[0]].name << "\n"
                            << tests::describe(c.spec, c.shape, call)
                            << (c.route ? c.route->splits : 0) << " splits");
  CHECK(outcome(engine, c.spec, call, c.route) == "");
  const plan::Plan& plan = runtime::planned_for(engine, c.spec)->plan;
  return plan::weighs_by_entmax(plan) && (c.route || plan::route(plan, c.shape).decode);
}

std::vector<std::vector<int>> cover(std::size_t engines, fuzz::Random& random) {
  const auto count = [](const auto& choices) { return static_cast<int>(choices.size()); };
  return tests::pairwise_cover({static_cast<int>(engines), count(patterns), count(tests::weights),
                                count(dtypes), count(sizes), count(sizes), count(queries),
                                count(keys), count(heads), 2, 2, 2, 3, count(splits), 2},
                               random);
}

}  // namespace

TEST_CASE("entmax of few queries agrees with the reference over a pairwise cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  const std::vector<std::vector<int>> rows = tests::chosen(cover(engines.size(), random), random);
  int decoded = 0;
  for (const std::vector<int>& row : rows) decoded += run_row(row, engines, random);
  CHECK(decoded > static_cast<int>(rows.size() / 2));
}

TEST_CASE("checks of memory find nothing in entmax of few queries, in a selection of the cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::checking_engines();
  std::vector<std::vector<int>> rows = cover(engines.size(), random);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(std::min<std::size_t>(rows.size(), 16));
  for (const std::vector<int>& row : rows) run_row(row, engines, random);
}

TEST_CASE("entmax of few queries reads of V the keys that have a weight, and no others") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  constexpr std::int64_t keys = 2 * capacity + 77;
  for (const DType dtype : dtypes)
    for (const tests::TestEngine& engine : tests::engines()) {
      // Keys score 9 less unless a tensor says otherwise: no threshold lies farther than
      // 1 / (alpha - 1) below the greatest score.
      const Spec spec{.pattern = Pattern::parse("attention a {\n  tensor low: f32[kv_head, key]\n"
                                                "  score 0.01 * score - low[g, k]\n"
                                                "  weights entmax(1.5)\n}"),
                      .dtype = dtype,
                      .head_dim = 16,
                      .value_dim = 40,
                      .output = DType::f32,
                      .statistic = true};
      fuzz::OwnedCall call = fuzz::random_call(
          random, spec, {.batch = 1, .heads = 4, .kv_heads = 2, .queries = 2, .keys = keys});
      std::vector<float> low(2 * keys);
      for (float& value : low) value = draw.chance(0.05) ? 0.0f : 9.0f;
      low[0] = low[keys] = 0;
      call.tensors[0].view = TensorView::contiguous(low.data(), DType::f32, {2, keys});
      call.args.tensors = call.tensors;
      const auto o = [&] {
        std::vector<double> values;
        const TensorView& view = call.args.o;
        for (std::int64_t i = 0; i < view.elements(); ++i)
          values.push_back(
              ir::load_real(view.dtype, view.data,
                            i / 80 * view.strides[1] + i / 40 % 2 * view.strides[2] + i % 40));
        return values;
      };
      std::vector<std::vector<double>> whole;
      const std::vector<plan::Route> routes = {{true, 1}, {true, 2}, {true, 5}};
      for (const plan::Route& route : routes) {
        INFO(engine.name << " " << name_of(dtype) << " splits " << route.splits);
        CHECK(outcome(*engine.state, spec, call, route) == "");
        whole.push_back(o());
      }
      const TensorView& v = call.args.v;
      for (std::int64_t g = 0; g < 2; ++g)
        for (std::int64_t k = 0; k < keys; ++k)
          for (std::int64_t d = 0; d < 40 && low[static_cast<std::size_t>(g * keys + k)] != 0; ++d)
            ir::store_real(dtype, v.data, g * v.strides[1] + k * v.strides[2] + d,
                           std::numeric_limits<double>::quiet_NaN());
      for (std::size_t i = 0; i < routes.size(); ++i) {
        INFO(engine.name << " " << name_of(dtype) << " splits " << routes[i].splits);
        tests::run(*engine.state, spec, call, routes[i]);
        CHECK(o() == whole[i]);
      }
    }
}

TEST_CASE("entmax of few queries is the same each time, and however keys are split all but so") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (const tests::TestEngine& engine : tests::engines()) {
    const Spec spec{.pattern = Pattern::parse("attention a {\n  mask causal\n  mask window(900)\n"
                                              "  weights entmax(1.7)\n}"),
                    .dtype = draw.of(dtypes),
                    .head_dim = 64,
                    .value_dim = 72,
                    .output = DType::f32};
    const std::int64_t length = draw.between(600, 1500);
    fuzz::OwnedCall call = fuzz::random_call(
        random, spec, {.batch = 2, .heads = 6, .kv_heads = 2, .queries = 3, .keys = length});
    const TensorView& o = call.args.o;
    std::map<int, std::vector<double>> results;
    for (const int count : {1, 2, 9, 40, 9, 1}) {
      INFO(engine.name << " keys " << length << " splits " << count);
      CHECK(outcome(*engine.state, spec, call, plan::Route{true, count}) == "");
      std::vector<double> values;
      for (std::int64_t i = 0; i < 2 * 6 * 3 * 72; ++i)
        values.push_back(ir::load_real(DType::f32, o.data,
                                       i / (6 * 3 * 72) * o.strides[0] +
                                           i / (3 * 72) % 6 * o.strides[1] +
                                           i / 72 % 3 * o.strides[2] + i % 72));
      const auto [known, first] = results.emplace(count, values);
      if (!first) CHECK(values == known->second);
    }
  }
}
