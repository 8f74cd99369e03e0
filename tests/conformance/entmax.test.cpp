// Every way to weigh, with every mask and score: O, and zmax and gap or lse, against the reference.
#include "compiler/ir/element.h"
#include "compiler/ir/reference.h"
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
#include <random>

namespace {

using namespace lacuna;
using tests::patterns;

const std::vector<DType> dtypes = {DType::f32, DType::f16, DType::bf16};
const std::vector<int> sizes = {64, 8, 40, 128, 256};
const std::vector<std::int64_t> queries = {67, 0, 1, 2, 17, 64, 130};
const std::vector<std::int64_t> keys = {131, 0, 1, 31, 64, 97, 517};
const std::vector<std::pair<int, int>> heads = {{4, 2}, {1, 1}, {3, 3}, {6, 2}};

struct Case {
  int engine;
  Spec spec;
  Shape shape;
};

Case case_of(const std::vector<int>& row, fuzz::Random& random) {
  Case c{.engine = row[0],
         .spec = {.pattern = tests::weighed(patterns[row[1]], tests::weights[row[2]]),
                  .dtype = dtypes[row[3]],
                  .head_dim = sizes[row[4]],
                  .value_dim = sizes[row[5]],
                  .statistic = row[11] > 0,
                  .lengths = static_cast<Lengths>(row[12])},
         .shape = {row[9] + 1, heads[row[8]].first, heads[row[8]].second, queries[row[6]],
                   keys[row[7]]}};
  if (row[10]) c.spec.output = DType::f32;
  c.spec.escort = row[13] > 0 && c.spec.pattern.is_entmax();
  c.spec.storage = fuzz::random_storage(random, c.spec.pattern.tree());
  c.spec.storage.erase("alpha_");
  return c;
}

std::string outcome(EngineState& engine, const Spec& spec, fuzz::OwnedCall& call) {
  try {
    // Rows that are short enough for one launch are entmax_short.test.cpp's.
    const plan::Plan& plan = runtime::planned_for(engine, spec)->plan;
    std::optional<plan::Route> route;
    if (plan::route(plan, call.shape).short_rows)
      route = plan.facts.checked ? plan::Route{} : plan::tiles_route(plan, call.shape);
    return tests::run_and_compare(engine, spec, call, route);
  } catch (const Error& error) {
    return std::string(error.what()) + "\n" + error.log();
  }
}

void run_row(const std::vector<int>& row, const std::vector<tests::TestEngine>& engines,
             fuzz::Random& random) {
  const Case c = case_of(row, random);
  fuzz::Draw draw(random);
  std::vector<float> alphas;
  fuzz::OwnedCall call = fuzz::random_call(random, c.spec, c.shape);
  tests::give_alpha(call, draw, alphas);
  INFO(engines[c.engine].name << "\n" << tests::describe(c.spec, c.shape, call));
  CHECK(outcome(*engines[c.engine].state, c.spec, call) == "");
}

std::vector<std::vector<int>> cover(std::size_t engines, fuzz::Random& random) {
  const auto count = [](const auto& choices) { return static_cast<int>(choices.size()); };
  return tests::pairwise_cover(
      {static_cast<int>(engines), count(patterns), count(tests::weights), count(dtypes),
       count(sizes), count(sizes), count(queries), count(keys), count(heads), 2, 2, 2, 3, 2},
      random);
}

}  // namespace

TEST_CASE("every way to weigh agrees with the reference over a pairwise cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  const std::vector<std::vector<int>> rows = tests::chosen(cover(engines.size(), random), random);
  for (const std::vector<int>& row : rows) run_row(row, engines, random);
}

TEST_CASE("checks of memory find nothing in entmax, in a selection of the cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::checking_engines();
  std::vector<std::vector<int>> rows = cover(engines.size(), random);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(std::min<std::size_t>(rows.size(), 16));
  for (const std::vector<int>& row : rows) run_row(row, engines, random);
}

TEST_CASE("entmax: rows of K and V that no query may see may hold anything") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  std::normal_distribution<double> normal;
  // Keys that the key-only conjunct excludes, keys beyond k_lens, and tiles past the causal band.
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Spec spec{.pattern = Pattern::parse("attention a {\n  tensor t: bool[batch, key]\n  mask "
                                              "causal and t[b, k]\n  weights entmax(1.5)\n}"),
                    .dtype = dtype,
                    .head_dim = 16,
                    .value_dim = 24,
                    .statistic = true,
                    .lengths = Lengths::padded};
    const Shape shape{.batch = 2, .heads = 2, .kv_heads = 1, .queries = 70, .keys = 200};
    for (const tests::TestEngine& engine : tests::engines()) {
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      call.args.offset = 0;
      call.args.offsets = {};
      std::vector<std::int32_t> k_lens{50, 180};
      call.args.k_lens = TensorView::contiguous(k_lens.data(), DType::i32, {2});
      std::vector<std::uint8_t> seen(2 * 200);
      for (std::size_t i = 0; i < seen.size(); ++i)
        seen[i] = static_cast<std::int32_t>(i % 200) < k_lens[i / 200] && random() % 2;
      call.tensors[0].view = TensorView::contiguous(seen.data(), DType::u8, {2, 200});
      call.args.tensors = call.tensors;
      for (const TensorView* view : {&call.args.k, &call.args.v})
        for (int b = 0; b < 2; ++b)
          for (int k = 0; k < 200; ++k) {
            // What a visited tile may hold beside them is finite, also beyond the lengths drawn.
            const bool visible = seen[static_cast<std::size_t>(b * 200 + k)] && k < 128;
            const std::int64_t row = b * view->strides[0] + k * view->strides[2];
            for (int d = 0; d < view->shape[3]; ++d)
              ir::store_real(dtype, view->data, row + d,
                             visible ? normal(random) : std::numeric_limits<double>::quiet_NaN());
          }
      INFO(engine.name << " " << name_of(dtype));
      CHECK(outcome(*engine.state, spec, call) == "");
    }
  }
}

TEST_CASE("entmax: products of the first keys far below others cost those no digits") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  // The keys that are walked first give gates that sums of the others could not carry, as masks do
  // that stand in a column of K.
  for (const char* const score : {"", "score softcap(score, 100000.0)", "score score + 0.5"})
    for (const DType dtype : {DType::bf16, DType::f16, DType::f32})
      for (const tests::TestEngine& engine : tests::engines()) {
        const Spec spec{.pattern = Pattern::parse(
                            fmt::format("attention a {{\n  mask causal\n  {}\n  weights {}\n}}",
                                        score, draw.chance(0.5) ? "sparsemax" : "entmax(1.5)")),
                        .dtype = dtype,
                        .head_dim = 32,
                        .value_dim = 16,
                        .output = DType::f32,
                        .statistic = true};
        const Shape shape{.batch = 1, .heads = 1, .kv_heads = 1, .queries = 20, .keys = 1500};
        fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
        call.args.offset = {};
        call.args.offsets = {};
        call.args.scale = 1.0f;
        const double low = draw.of({-30.0, -300.0, -5000.0, -30000.0});
        const auto put = [&](const TensorView& view, std::int64_t row, double value) {
          ir::store_real(dtype, view.data, row * view.strides[2] + 31, value);
        };
        for (std::int64_t row = 0; row < 20; ++row) put(call.args.q, row, 1.0);
        for (std::int64_t row = 0; row < 1500; ++row) put(call.args.k, row, row < 200 ? low : 0.0);
        INFO(engine.name << " " << name_of(dtype) << " " << spec.pattern.text() << low);
        CHECK(tests::run_and_compare(*engine.state, spec, call, plan::Route{}) == "");
      }
}

TEST_CASE("entmax: scores of the first keys far below others cost those no digits") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  // The keys that are walked first give gates near -3000, whose last digit is 2^-12.
  for (const char* const score : {"score - far * f32(q - k)", "softcap(score, 90.0) - low[k]"})
    for (const DType dtype : {DType::bf16, DType::f16, DType::f32})
      for (const tests::TestEngine& engine : tests::engines()) {
        const Spec spec{.pattern = Pattern::parse(
                            fmt::format("attention a {{\n  param far: f32\n  tensor low: f32[key]\n"
                                        "  mask causal\n  score {} + 0.0 * (far + low[k])\n"
                                        "  weights entmax(1.5)\n}}",
                                        score)),
                        .dtype = dtype,
                        .head_dim = 32,
                        .value_dim = 16,
                        .output = DType::f32,
                        .statistic = true,
                        .storage = {{"low", DType::f32}}};
        const Shape shape{.batch = 1, .heads = 1, .kv_heads = 1, .queries = 20, .keys = 1500};
        fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
        std::vector<float> low(1500, 0.0f);
        std::fill(low.begin(), low.begin() + 200, 3000.0f);
        for (NamedTensor& tensor : call.tensors)
          tensor.view = TensorView::contiguous(low.data(), DType::f32, {1500});
        for (NamedValue& param : call.params) param.value = 2.0f;
        call.args.tensors = call.tensors;
        call.args.params = call.params;
        call.args.offset = {};
        call.args.offsets = {};
        INFO(engine.name << " " << name_of(dtype) << " " << score);
        tests::run(*engine.state, spec, call, plan::Route{});
        const ir::Reference reference = ir::forward(spec, call.args);
        double off = 0;
        for (std::int64_t row = 0; row < 20; ++row)
          off = std::max(off, std::fabs(ir::load_real(DType::f32, call.args.zmax.data,
                                                      row * call.args.zmax.strides[2]) -
                                        reference.zmax[static_cast<std::size_t>(row)]));
        CHECK(off <= 2e-5);
      }
}

TEST_CASE("entmax: great scores that lie close together are told apart as far as f32 sums do") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (const DType dtype : {DType::f32, DType::f16})
    for (const char* weights : {"entmax(1.25)", "entmax(1.5)", "sparsemax"}) {
      const Spec spec{.pattern = tests::weighed("", std::string("weights ") + weights),
                      .dtype = dtype,
                      .head_dim = 16,
                      .value_dim = 16,
                      .output = DType::f32};
      const tests::TestEngine& engine = tests::engines()[random() % tests::engines().size()];
      const Shape shape{.batch = 1, .heads = 1, .kv_heads = 1, .queries = 70, .keys = 300};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      call.args.scale = 1.0f;
      // Scores 16384 + j/4, j of 0..15: every sum of products is exact.
      const auto fill = [&](const TensorView& view, double first, const auto& second) {
        for (std::int64_t row = 0; row < view.shape[2]; ++row)
          for (std::int64_t d = 0; d < 16; ++d)
            ir::store_real(dtype, view.data, row * view.strides[2] + d,
                           d == 0   ? first
                           : d == 1 ? second()
                                    : 0.0);
      };
      fill(call.args.q, 128, [] { return 0.25; });
      fill(call.args.k, 128, [&] { return static_cast<double>(random() % 16); });
      INFO(engine.name << " " << name_of(dtype) << " " << weights);
      tests::run(*engine.state, spec, call, plan::Route{});
      const ir::Reference reference = ir::forward(spec, call.args);
      double off = 0;
      for (std::int64_t row = 0; row < 70; ++row)
        for (std::int64_t d = 0; d < 16; ++d)
          off = std::max(off, std::fabs(ir::load_real(DType::f32, call.args.o.data,
                                                      row * call.args.o.strides[2] + d) -
                                        reference.o[static_cast<std::size_t>(row * 16 + d)]));
      CHECK(off <= 2e-3);
    }
}

TEST_CASE("entmax: dot products of any magnitude weigh as they should") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (const DType dtype : dtypes)
    for (const char* weights : {"entmax(1.25)", "entmax(1.5)", "entmax(1.7)", "sparsemax"}) {
      const Spec spec{.pattern = tests::weighed("mask causal", std::string("weights ") + weights),
                      .dtype = dtype,
                      .head_dim = 16,
                      .value_dim = 16,
                      .statistic = true};
      const tests::TestEngine& engine = tests::engines()[random() % tests::engines().size()];
      for (const float scale : {0.0f, 1e-30f, 0.01f, -3.0f, 1e3f, 1e4f, 1e6f, 1e20f, 1e30f})
        for (const std::int64_t rows : {70, 2}) {
          const Shape shape{.batch = 1, .heads = 4, .kv_heads = 2, .queries = rows, .keys = 700};
          fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
          call.args.scale = scale;
          INFO(engine.name << " " << name_of(dtype) << " " << weights << " scale " << scale
                           << " Nq " << rows);
          CHECK(outcome(*engine.state, spec, call) == "");
        }
    }
}
