// Calls weighed by entmax on the host device: an α that becomes 1, heads with one of their own,
// lists of the masks that other programs made, and a workspace of no more than was asked for.
#include "compiler/ir/reference.h"
#include "tests/catch.h"
#include "tests/runtime/engine_layer.h"
#include "tests/runtime/random.h"

#include <cstring>

namespace {

using namespace lacuna;
using test::head_dim;
using test::host_engine;
using test::ids;
using test::Layer;

Spec spec_of(const std::string& body, bool statistic = false, DType dtype = DType::f32) {
  return {.pattern = Pattern::parse("attention a {\n" + body + "\n}\n"),
          .dtype = dtype,
          .head_dim = head_dim,
          .value_dim = head_dim,
          .statistic = statistic};
}

struct Statistic {
  explicit Statistic(const Layer& layer) {
    const TensorView& q = layer.args.q;
    shape = {q.shape[0], q.shape[1], q.shape[2]};
    zmax.resize(static_cast<std::size_t>(shape[0] * shape[1] * shape[2]), std::nanf(""));
    gap = zmax;
  }
  TensorView view(std::vector<float>& of) const {
    return TensorView::contiguous(of.data(), DType::f32, {shape[0], shape[1], shape[2]});
  }
  std::array<std::int64_t, 3> shape;
  std::vector<float> zmax, gap;
};

/// How far O is from the reference, where |v| <= 1; 1 where it is no number.
double error_of(const Program& program, const Args& args, const std::vector<float>& o) {
  const ir::Reference expected = ir::forward(program.spec(), args);
  double worst = 0;
  for (std::size_t i = 0; i < o.size(); ++i)
    worst = std::max(worst, o[i] == o[i] ? std::abs(o[i] - expected.o[i]) : 1.0);
  return worst;
}

/// f32: the gap is known to 2^-20 of it, and a weight changes by no more than β u^(β-1) times what
/// u does.
constexpr double allowed = 1e-5;

TEST_CASE("a param that brings alpha down to 1 ends with the bits of softmax") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (const bool checked : {true, false}) {
    const auto state = host_engine({.unchecked = !checked});
    if (!state) return;
    const Engine engine(state);
    Layer layer({1, 2, 1, 70, 150}, false, random);
    for (const bool statistic : {false, true}) {
      const Program program = engine.program(
          spec_of("param al: f32 = 1.5\nmask causal\nweights entmax(al)", statistic));
      const Program softmax = engine.program(spec_of("mask causal", statistic));
      Statistic rows(layer);
      for (const float alpha : {2.0f, 1.3f, 1.0f}) {
        NamedValue value{"al", alpha};
        layer.args.params = {&value, 1};
        if (statistic) layer.args.zmax = rows.view(rows.zmax), layer.args.gap = rows.view(rows.gap);
        const std::vector<float> o = layer.forward(program);
        CHECK(error_of(program, layer.args, o) < allowed);
        const std::vector<float> zmax = rows.zmax;
        const auto ones =
            std::count_if(rows.gap.begin(), rows.gap.end(), [](float gap) { return gap == 0.0f; });
        CHECK(ones == (statistic && alpha == 1.0f ? static_cast<long>(rows.gap.size()) : 0));
        layer.args.params = {};
        layer.args.gap = layer.args.zmax = {};
        if (statistic) layer.args.lse = rows.view(rows.zmax);
        const std::vector<float> dense = layer.forward(softmax);
        layer.args.lse = {};
        CHECK((o == dense) == (alpha == 1.0f));
        if (statistic) CHECK((zmax == rows.zmax) == (alpha == 1.0f));
      }
    }
  }
}

TEST_CASE("heads with an alpha of their own, of which some are softmax's") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const auto state = host_engine({});
  if (!state) return;
  const Engine engine(state);
  const int rows = 70, heads = 4;
  const std::size_t of_head = rows * head_dim;
  Layer layer({2, heads, 2, rows, 150}, false, random);
  const Program program =
      engine.program(spec_of("tensor al: f32[head]\nmask causal\nweights entmax(al[h])", true));
  const Program softmax = engine.program(spec_of("mask causal"));
  for (std::vector<float> alphas :
       {std::vector{1.5f, 1.0f, 2.0f, 1.0f}, std::vector{1.0f, 1.0f, 1.0f, 1.0f},
        std::vector{1.25f, 1.7f, 1.01f, 2.0f}}) {
    Statistic found(layer);
    const NamedTensor tensor{"al", TensorView::contiguous(alphas.data(), DType::f32, {heads})};
    layer.args.tensors = {&tensor, 1};
    layer.args.zmax = found.view(found.zmax);
    layer.args.gap = found.view(found.gap);
    const std::vector<float> o = layer.forward(program);
    CHECK(error_of(program, layer.args, o) < allowed * 10);  // β is 100 for 1.01
    layer.args.tensors = {};
    layer.args.zmax = layer.args.gap = {};
    const std::vector<float> dense = layer.forward(softmax);
    for (std::size_t h = 0; h < 2 * heads; ++h) {
      const bool one = alphas[h % heads] == 1.0f;
      CHECK((std::memcmp(&o[h * of_head], &dense[h * of_head], of_head * 4) == 0) == one);
      for (std::size_t r = h * rows; r < (h + 1) * rows; ++r)
        REQUIRE((found.gap[r] == 0.0f) == one);
    }
  }
}

TEST_CASE("softmax and entmax read the same lists of their masks") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const std::string masks = "tensor doc: i32[batch, key]\nmask causal\nmask document(doc)\n";
  const auto state = host_engine({.unchecked = true});
  if (!state) return;
  const Engine engine(state);
  const int keys = 200 + static_cast<int>(random() % 40);
  std::vector<std::int32_t> doc = ids(static_cast<std::size_t>(2 * keys), 60, random);
  const NamedTensor tensor{"doc", TensorView::contiguous(doc.data(), DType::i32, {2, keys})};
  Layer layer({2, 4, 2, 150, keys}, false, random);
  layer.args.tensors = {&tensor, 1};
  const Program softmax = engine.program(spec_of(masks)),
                entmax = engine.program(spec_of(masks + "weights entmax(1.5)")),
                sparsemax = engine.program(spec_of(masks + "weights sparsemax"));
  Tiles tiles = softmax.tiles(layer.args);
  for (const bool refreshed : {false, true}) {
    if (refreshed) {
      const std::vector<std::int32_t> others = ids(doc.size(), 25, random);
      std::copy(others.begin(), others.end(), doc.begin());
      tiles.refresh(layer.args);
    }
    for (const Program* program : {&softmax, &entmax, &sparsemax}) {
      const std::vector<float> own = layer.forward(*program);
      CHECK(layer.forward(*program, &tiles) == own);
      CHECK(error_of(*program, layer.args, own) < allowed);
    }
  }
  const Tiles of_entmax = entmax.tiles(layer.args);
  CHECK(of_entmax.read().rows == tiles.read().rows);
  CHECK(layer.forward(softmax, &of_entmax) == layer.forward(softmax, &tiles));
}

TEST_CASE("lists of tiles that thresholds do not read are refused, and name both") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const std::string masks = "mask causal\nmask chunked(50)\n";
  const auto state = host_engine({.unchecked = true}, 0, "32x32w2s2");
  if (!state) return;
  const Engine engine(state);
  // Products of halves: thresholds take 64 keys at a time where softmax takes 32.
  Spec spec = spec_of(masks, false, DType::f16);
  Layer layer({1, 2, 1, 64, 64}, false, random);
  for (TensorView* view : {&layer.args.q, &layer.args.k, &layer.args.v, &layer.args.o})
    view->dtype = DType::f16;  // whatever the bits are
  const Program softmax = engine.program(spec);
  const Program entmax = engine.program(spec_of(masks + "weights entmax(1.5)", false, DType::f16));
  const Tiles tiles = softmax.tiles(layer.args);
  REQUIRE(tiles.tile_k() == 32);
  Args args = layer.args;
  args.tiles = &tiles;
  std::string refused = "nothing";
  try {
    entmax.forward(args);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::argument);
    refused = error.what();
  }
  CHECK(refused ==
        "tiles: made for 32x32 tiles, this pass reads 32x64; EngineOptions::schedule can give "
        "programs the same");
}

TEST_CASE("a workspace of as many bytes as Program::workspace says is enough, and not left") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (const bool checked : {true, false}) {
    const auto state = host_engine({.unchecked = !checked});
    if (!state) return;
    for (const std::string masks : {"", "mask causal\n", "mask chunked(50)\n"})
      for (const bool statistic : {false, true}) {
        const Shape shape{2, 2, 1, 1 + static_cast<int>(random() % 90),
                          static_cast<int>(random() % 180)};
        INFO(masks << shape.queries << " queries, " << shape.keys << " keys");
        Layer layer(shape, false, random);
        const Program program =
            Engine(state).program(spec_of(masks + "weights entmax(1.5)", statistic));
        Statistic rows(layer);
        if (statistic) layer.args.zmax = rows.view(rows.zmax), layer.args.gap = rows.view(rows.gap);
        const std::vector<float> expected = layer.forward(program);
        const std::size_t bytes = program.workspace(shape), guard = 256;
        std::vector<std::byte> memory(bytes + 2 * guard + 16, std::byte{0xa5});
        const auto first = reinterpret_cast<std::uintptr_t>(memory.data());
        const std::size_t begin = (first + guard + 15) / 16 * 16 - first;
        if (bytes > 0)
          layer.args.workspace = TensorView::contiguous(memory.data() + begin, DType::u8,
                                                        {static_cast<std::int64_t>(bytes)});
        CHECK(layer.forward(program) == expected);
        const auto untouched = [](std::byte b) { return b == std::byte{0xa5}; };
        CHECK(std::all_of(memory.begin(), memory.begin() + static_cast<long>(begin), untouched));
        CHECK(std::all_of(memory.begin() + static_cast<long>(begin + bytes), memory.end(),
                          untouched));
      }
  }
}

}  // namespace
