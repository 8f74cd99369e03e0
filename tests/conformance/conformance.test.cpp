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
const std::vector<int> sizes = {64, 8, 16, 40, 72, 96, 128, 136, 200, 256};
const std::vector<std::int64_t> queries = {67, 0, 1, 2, 17, 63, 64, 65, 130};
const std::vector<std::int64_t> keys = {131, 0, 1, 3, 31, 32, 33, 64, 97, 200};
const std::vector<std::pair<int, int>> heads = {{2, 1}, {1, 1}, {3, 3}, {4, 2}, {6, 2}};

struct Case {
  int engine, pattern, dtype, head_dim, value_dim, queries, keys, heads, batch, output, statistic,
      lengths;
};

Case case_of(const std::vector<int>& row) {
  return {row[0], row[1], row[2], row[3], row[4],  row[5],
          row[6], row[7], row[8], row[9], row[10], row[11]};
}

Spec spec_of(const Case& c, fuzz::Random& random) {
  Spec spec{.pattern = Pattern::parse("attention conformance {\n" + patterns[c.pattern] + "\n}\n",
                                      "conformance.lac")};
  spec.dtype = dtypes[c.dtype];
  spec.head_dim = sizes[c.head_dim];
  spec.value_dim = sizes[c.value_dim];
  if (c.output) spec.output = DType::f32;
  spec.statistic = c.statistic;
  spec.lengths = static_cast<Lengths>(c.lengths);
  spec.storage = fuzz::random_storage(random, spec.pattern.tree());
  return spec;
}

std::string describe(const Case& c, const Spec& spec, const Shape& shape,
                     const fuzz::OwnedCall& call) {
  std::string text =
      fmt::format("{}\n{} D={} Dv={} -> {} lse={} lengths={} B={} H={} G={} Nq={} Nk={}\n",
                  patterns[c.pattern], name_of(spec.dtype), spec.head_dim, spec.value_dim,
                  name_of(spec.output.value_or(spec.dtype)), spec.statistic, c.lengths, shape.batch,
                  shape.heads, shape.kv_heads, shape.queries, shape.keys);
  for (const auto& [name, storage] : spec.storage)
    text += fmt::format("{} stored as {}\n", name, name_of(storage));
  for (const std::string& note : call.notes) text += note + "\n";
  return text;
}

/// Runs a row of the cover and says what is wrong.
void run_row(const std::vector<int>& row, const std::vector<tests::TestEngine>& engines,
             fuzz::Random& random) {
  const Case c = case_of(row);
  const Spec spec = spec_of(c, random);
  const Shape shape{c.batch + 1, heads[c.heads].first, heads[c.heads].second, queries[c.queries],
                    keys[c.keys]};
  fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
  INFO(engines[c.engine].name << "\n" << describe(c, spec, shape, call));
  std::string wrong;
  try {
    wrong = tests::run_and_compare(*engines[c.engine].state, spec, call);
  } catch (const Error& error) {
    wrong = std::string(error.what()) + "\n" + error.log();
  }
  CHECK(wrong == "");
}

std::vector<std::vector<int>> cover(std::size_t engines, fuzz::Random& random) {
  auto count = [](const auto& choices) { return static_cast<int>(choices.size()); };
  return tests::pairwise_cover(
      {static_cast<int>(engines), count(patterns), count(dtypes), count(sizes), count(sizes),
       count(queries), count(keys), count(heads), 3, 2, 2, 3},
      random);
}

}  // namespace

TEST_CASE("flash forward agrees with the reference over a pairwise cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  for (const std::vector<int>& row : cover(engines.size(), random)) run_row(row, engines, random);
}

TEST_CASE("checks of memory find nothing in a selection of the cover") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::checking_engines();
  std::vector<std::vector<int>> rows = cover(engines.size(), random);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(std::min<std::size_t>(rows.size(), 16));
  for (const std::vector<int>& row : rows) run_row(row, engines, random);
}

TEST_CASE("rows of K and V that no query may see may hold anything") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  // Keys that the key-only conjunct excludes, keys beyond k_lens, and keys in tiles that the causal
  // band never visits.
  Spec spec{.pattern = Pattern::parse(
                "attention a {\n  tensor t: bool[batch, key]\n  mask causal and t[b, k]\n}"),
            .dtype = DType::f32,
            .head_dim = 16,
            .value_dim = 24,
            .lengths = Lengths::padded};
  const Shape shape{.batch = 2, .heads = 2, .kv_heads = 1, .queries = 70, .keys = 200};
  for (const tests::TestEngine& engine : tests::engines()) {
    fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
    call.args.offset = 0;
    call.args.offsets = {};
    std::vector<std::int32_t> k_lens{50, 180};
    call.args.k_lens = TensorView::contiguous(k_lens.data(), DType::i32, {2});
    std::vector<std::uint8_t> seen(2 * 200);
    for (int b = 0; b < 2; ++b)
      for (int k = 0; k < 200; ++k) seen[b * 200 + k] = k < k_lens[b] && random() % 2;
    call.tensors[0].view = TensorView::contiguous(seen.data(), DType::u8, {2, 200});
    for (const TensorView* view : {&call.args.k, &call.args.v})
      for (int b = 0; b < 2; ++b)
        for (int k = 0; k < 200; ++k) {
          const bool needed = seen[b * 200 + k] && k < 96;
          const std::int64_t row = b * view->strides[0] + k * view->strides[2];
          for (int d = 0; d < view->shape[3]; ++d)
            static_cast<float*>(view->data)[row + d] =
                needed ? draw.normal() : std::numeric_limits<float>::quiet_NaN();
        }
    INFO(engine.name);
    CHECK(tests::run_and_compare(*engine.state, spec, call) == "");
  }
}

TEST_CASE("scores of any magnitude weigh as they should") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (const DType dtype : dtypes) {
    const Spec spec{.pattern = Pattern::parse("attention a {\n  mask causal\n}"),
                    .dtype = dtype,
                    .head_dim = 16,
                    .value_dim = 16,
                    .statistic = true};
    const tests::TestEngine& engine = tests::engines()[random() % tests::engines().size()];
    for (const float scale :
         {0.0f, 1e-30f, -3.0f, 1e4f, 1e6f, 2e7f, 5e7f, 1e8f, 2e8f, 3e8f, 1e9f, 1e20f, 1e30f})
      for (const std::int64_t rows : {70, 2}) {
        const Shape shape{.batch = 1, .heads = 4, .kv_heads = 2, .queries = rows, .keys = 700};
        fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
        call.args.scale = scale;
        INFO(engine.name << " " << name_of(dtype) << " scale " << scale << " Nq " << rows);
        CHECK(tests::run_and_compare(*engine.state, spec, call) == "");
      }
  }
}
