// The decode route: keys split over CTAs, heads that share K and V in one tile, and the parts
// combined.
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/conformance/pairwise.h"
#include "tests/conformance/patterns.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace {

using namespace lacuna;
using tests::patterns;

const std::vector<DType> dtypes = {DType::f32, DType::f16, DType::bf16};
const std::vector<int> sizes = {64, 8, 40, 136, 256};
const std::vector<std::int64_t> queries = {1, 2, 3, 5, 33};
const std::vector<std::int64_t> keys = {517, 130, 1030, 1999, 3};
const std::vector<std::pair<int, int>> heads = {{4, 2}, {8, 1}, {1, 1}, {6, 2}, {3, 3}};
/// 0: what the shape decides. More splits than there are tiles leave some with nothing.
const std::vector<int> splits = {0, 1, 3, 7, 64};

struct Case {
  Spec spec;
  Shape shape;
  std::optional<plan::Route> route;
};

Case case_of(const std::vector<int>& row, fuzz::Random& random) {
  Case c{.spec = {.pattern = Pattern::parse("attention decode {\n" + patterns[row[1]] + "\n}\n",
                                            "decode.lac")},
         .shape = {row[8] + 1, heads[row[7]].first, heads[row[7]].second, queries[row[5]],
                   keys[row[6]]},
         .route = {}};
  c.spec.dtype = dtypes[row[2]];
  c.spec.head_dim = sizes[row[3]];
  c.spec.value_dim = sizes[row[4]];
  if (row[9]) c.spec.output = DType::f32;
  c.spec.statistic = row[10];
  c.spec.lengths = static_cast<Lengths>(row[11]);
  c.spec.storage = fuzz::random_storage(random, c.spec.pattern.tree());
  if (const int count = splits[row[12]]) c.route = plan::Route{true, count};
  return c;
}

std::string describe(const Case& c, const fuzz::OwnedCall& call) {
  const Spec& s = c.spec;
  std::string text = fmt::format(
      "{}\n{} D={} Dv={} -> {} lse={} lengths={} B={} H={} G={} Nq={} Nk={} splits={}\n",
      s.pattern.text(), name_of(s.dtype), s.head_dim, s.value_dim,
      name_of(s.output.value_or(s.dtype)), s.statistic, static_cast<int>(s.lengths), c.shape.batch,
      c.shape.heads, c.shape.kv_heads, c.shape.queries, c.shape.keys,
      c.route ? c.route->splits : 0);
  for (const auto& [name, storage] : s.storage)
    text += fmt::format("{} stored as {}\n", name, name_of(storage));
  for (const std::string& note : call.notes) text += note + "\n";
  return text;
}

/// Runs a row of the cover, says what is wrong, and returns whether it took the decode route.
bool run_row(const std::vector<int>& row, const std::vector<tests::TestEngine>& engines,
             fuzz::Random& random) {
  const Case c = case_of(row, random);
  EngineState& engine = *engines[row[0]].state;
  fuzz::OwnedCall call = fuzz::random_call(random, c.spec, c.shape);
  INFO(engines[row[0]].name << "\n" << describe(c, call));
  std::string wrong;
  try {
    wrong = tests::run_and_compare(engine, c.spec, call, c.route);
  } catch (const Error& error) {
    wrong = std::string(error.what()) + "\n" + error.log();
  }
  CHECK(wrong == "");
  return (c.route ? *c.route : plan::route(runtime::planned_for(engine, c.spec)->plan, c.shape))
      .decode;
}

std::vector<std::vector<int>> cover(std::size_t engines, fuzz::Random& random) {
  auto count = [](const auto& choices) { return static_cast<int>(choices.size()); };
  return tests::pairwise_cover(
      {static_cast<int>(engines), count(patterns), count(dtypes), count(sizes), count(sizes),
       count(queries), count(keys), count(heads), 2, 2, 2, 3, count(splits)},
      random);
}

}  // namespace

TEST_CASE("decode agrees with the reference over a pairwise cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  int decoded = 0;
  for (const std::vector<int>& row : cover(engines.size(), random))
    decoded += run_row(row, engines, random);
  CHECK(decoded > 50);
}

TEST_CASE("checks of memory find nothing in a selection of decode's cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::checking_engines();
  std::vector<std::vector<int>> rows = cover(engines.size(), random);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(std::min<std::size_t>(rows.size(), 8));
  for (const std::vector<int>& row : rows) run_row(row, engines, random);
}

TEST_CASE("both routes give the same call the same result, and each its own again") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (const tests::TestEngine& engine : tests::engines()) {
    INFO(engine.name);
    const Spec spec{
        .pattern = Pattern::parse("attention a {\n  param s: f32 = 0.5\n  tensor t: f32[head]\n"
                                  "  mask causal\n  mask window(300)\n  score score + t[h]\n"
                                  "  weights softmax(sink = s * f32(h))\n}"),
        .dtype = draw.of({DType::f32, DType::f16, DType::bf16}),
        .head_dim = 64,
        .value_dim = 72,
        .output = DType::f32,
        .statistic = true};
    fuzz::OwnedCall call = fuzz::random_call(
        random, spec, {.batch = 2, .heads = 6, .kv_heads = 2, .queries = 3, .keys = 700});
    const TensorView& o = call.args.o;
    std::vector<std::vector<float>> results;
    for (const int splits : {0, 1, 2, 5, 11, 5}) {
      INFO("splits " << splits);
      CHECK(tests::run_and_compare(*engine.state, spec, call,
                                   plan::Route{splits > 0, std::max(splits, 1)}) == "");
      std::vector<float>& result = results.emplace_back();
      for (std::int64_t b = 0; b < o.shape[0]; ++b)
        for (std::int64_t h = 0; h < o.shape[1]; ++h)
          for (std::int64_t i = 0; i < o.shape[2]; ++i)
            for (std::int64_t d = 0; d < o.shape[3]; ++d)
              result.push_back(static_cast<const float*>(
                  o.data)[b * o.strides[0] + h * o.strides[1] + i * o.strides[2] + d]);
    }
    CHECK(results[3] == results[5]);
  }
}

TEST_CASE("decode reads no row of K and V that no query of the group may see") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  Spec spec{.pattern = Pattern::parse(
                "attention a {\n  tensor t: bool[batch, key]\n  mask causal and t[b, k]\n}"),
            .dtype = DType::f32,
            .head_dim = 16,
            .value_dim = 24,
            .statistic = true,
            .lengths = Lengths::padded};
  const Shape shape{.batch = 2, .heads = 4, .kv_heads = 2, .queries = 2, .keys = 600};
  for (const tests::TestEngine& engine : tests::engines())
    for (const int splits : {2, 5, 40}) {
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      // The last query is 400 in each sequence, whose keys end at 350 and 600: whole splits see
      // nothing.
      call.args.offset = 399;
      call.args.offsets = call.args.q_lens = {};
      for (const TensorView* view : {&call.args.q})
        for (std::int64_t b = 0; b < 2; ++b)
          for (std::int64_t h = 0; h < 4; ++h)
            for (std::int64_t i = 0; i < 2; ++i)
              for (int d = 0; d < 16; ++d)
                static_cast<float*>(view->data)[b * view->strides[0] + h * view->strides[1] +
                                                i * view->strides[2] + d] = draw.normal();
      std::vector<std::int32_t> k_lens{350, 600};
      call.args.k_lens = TensorView::contiguous(k_lens.data(), DType::i32, {2});
      std::vector<std::uint8_t> seen(2 * 600);
      for (int b = 0; b < 2; ++b)
        for (int k = 0; k < 600; ++k) seen[b * 600 + k] = k < k_lens[b] && k >= 100 && random() % 2;
      spec.storage["t"] = DType::u8;
      call.tensors[0].view = TensorView::contiguous(seen.data(), DType::u8, {2, 600});
      for (const TensorView* view : {&call.args.k, &call.args.v})
        for (int b = 0; b < 2; ++b)
          for (int g = 0; g < 2; ++g)
            for (int k = 0; k < 600; ++k) {
              // Tiles of keys end at a multiple of 32 at most beyond the last query.
              const bool needed = seen[b * 600 + k] && k <= 432;
              const std::int64_t row =
                  b * view->strides[0] + g * view->strides[1] + k * view->strides[2];
              for (int d = 0; d < view->shape[3]; ++d)
                static_cast<float*>(view->data)[row + d] =
                    needed ? draw.normal() : std::numeric_limits<float>::quiet_NaN();
            }
      INFO(engine.name << " splits " << splits);
      CHECK(tests::run_and_compare(*engine.state, spec, call, plan::Route{true, splits}) == "");
    }
}
