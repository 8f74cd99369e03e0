// Rows that entmax is most easily wrong on, score by score: a tensor gives every score exactly.
#include "compiler/ir/element.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/conformance/weights.h"

#include <cmath>
#include <functional>
#include <limits>

namespace {

using namespace lacuna;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// A row as a function of the key, its place in 0..1 among them, and a fresh normal number.
struct Shaped {
  const char* name;
  std::function<float(int key, float place, float normal)> score;
};

const std::vector<Shaped> shapes = {
    {"constant 0", [](int, float, float) { return 0.0f; }},
    {"constant 1e4", [](int, float, float) { return 1e4f; }},
    {"constant -1e30", [](int, float, float) { return -1e30f; }},
    {"two levels", [](int key, float, float) { return key % 3 ? 0.25f : 0.5f; }},
    {"ties of a quarter", [](int, float, float n) { return std::round(4 * n) / 4; }},
    {"one key", [](int key, float, float) { return key == 0 ? -7.5f : -infinity; }},
    {"the last key alone", [](int, float place, float) { return place == 1 ? 3.0f : -infinity; }},
    {"no key", [](int, float, float) { return -infinity; }},
    {"every other key", [](int key, float, float n) { return key % 2 ? n : -infinity; }},
    {"normal", [](int, float, float n) { return n; }},
    {"flat", [](int, float, float n) { return 0.01f * n; }},
    {"steep", [](int, float, float n) { return 40 * n; }},
    {"about 1e4", [](int, float, float n) { return 1e4f + n; }},
    {"of 1e4", [](int, float, float n) { return 1e4f * n; }},
    {"of 1e30", [](int key, float, float n) { return key % 5 ? 1e30f * n : 2e30f; }},
    {"ascending", [](int, float place, float) { return 30 * place; }},
    {"descending", [](int, float place, float) { return -30 * place; }},
    {"a sink", [](int key, float, float n) { return key == 0 ? 50.0f : n; }},
    {"a sink that is one of two", [](int key, float, float n) { return key < 2 ? 50.0f : n; }},
    {"on the threshold", [](int key, float, float) { return key == 0 ? 0.0f : -1.0f; }},
    {"outliers", [](int key, float, float n) { return key % 97 == 13 ? 6 + n : 0.1f * n; }},
    {"a NaN", [](int key, float, float n) { return key == 0 ? nan : n; }},
    {"a late NaN", [](int, float place, float n) { return place == 1 ? nan : n; }},
    {"a +inf", [](int, float place, float n) { return place == 1 ? infinity : n; }},
};

/// Scores of every shaped row, and a mask that hides pairs whose scores would spoil the rows.
struct Rows {
  std::vector<float> scores;
  std::vector<std::uint8_t> seen;

  Rows(fuzz::Draw& draw, int keys, bool hiding) {
    for (const Shaped& shape : shapes)
      for (int k = 0; k < keys; ++k) {
        const float place = keys > 1 ? static_cast<float>(k) / static_cast<float>(keys - 1) : 1;
        // Keys 0, 1 and the last stay: they are what makes a row special.
        const bool hidden = hiding && k > 1 && k < keys - 1 && draw.chance(0.4);
        const float spoilt = draw.of({nan, infinity, 3e38f, 1.0f});
        scores.push_back(hidden ? spoilt : shape.score(k, place, draw.normal()));
        seen.push_back(!hidden);
      }
  }
};

std::string run(const tests::TestEngine& engine, const std::string& weights, DType dtype, int keys,
                fuzz::Random& random) {
  const std::string tensors = "tensor z: f32[query, key]\ntensor see: bool[query, key]\n";
  const Spec spec{
      .pattern = tests::weighed(tensors + "mask see[q, k]\nscore z[q, k]", weights),
      .dtype = dtype,
      .head_dim = 16,
      .value_dim = 24,
      .output = DType::f32,
      .statistic = true,
      .escort = weights.find("entmax") != std::string::npos || weights == "weights sparsemax"};
  const auto rows = static_cast<std::int64_t>(shapes.size());
  const Shape shape{.batch = 1, .heads = 3, .kv_heads = 1, .queries = rows, .keys = keys};
  fuzz::Draw draw(random);
  const Rows made(draw, keys, draw.chance(0.5));
  fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
  std::vector<float> alphas;
  tests::give_alpha(call, draw, alphas);
  call.args.offset = 0;
  call.args.offsets = {};
  for (NamedTensor& tensor : call.tensors) {
    if (tensor.name == "z")
      tensor.view =
          TensorView::contiguous(const_cast<float*>(made.scores.data()), DType::f32, {rows, keys});
    if (tensor.name == "see")
      tensor.view = TensorView::contiguous(const_cast<std::uint8_t*>(made.seen.data()), DType::u8,
                                           {rows, keys});
  }
  call.args.tensors = call.tensors;
  const plan::Plan& plan = runtime::planned_for(*engine.state, spec)->plan;
  std::optional<plan::Route> route;
  if (plan::weighs_by_entmax(plan)) route = tests::any_route(plan, shape, draw);
  try {
    return tests::run_and_compare(*engine.state, spec, call, route);
  } catch (const Error& error) {
    return std::string(error.what()) + "\n" + error.log();
  }
}

}  // namespace

TEST_CASE("entmax of rows that are constant, tied, empty, lone, huge, sorted or not finite") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  std::string names;
  for (const Shaped& shape : shapes) names += std::string(shape.name) + "; ";
  INFO("queries, from 0: " << names);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  for (const std::string& weights : tests::weights)
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const int keys : {1, 2, draw.between(3, 70), 200, draw.of({700, 2100, 5000})}) {
        if (!tests::runs_all() && draw.between(0, 2) != 0) continue;
        const tests::TestEngine& engine = draw.of(engines);
        INFO(engine.name << " " << weights << " " << name_of(dtype) << " Nk " << keys);
        CHECK(run(engine, weights, dtype, keys, random) == "");
      }
}
