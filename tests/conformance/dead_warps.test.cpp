// Warps whose rows see no key of a tile leave it early; what they leave out must have no weight.
#include "compiler/ir/element.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/fuzz/random.h"

#include <cmath>
#include <limits>

namespace {

using namespace lacuna;

/// Bands, a mask that is rolled up into words, one of single elements, and such with a score.
const std::string causal_patterns[] = {
    "mask causal",
    "tensor t: bool[batch, key]\nmask causal\nmask t[b, k]",
    "mask causal\nmask window(1000) or sinks(4)",
    "mask causal\nscore softcap(score, 20.0)",
    "mask causal\nmask window(1000) or sinks(4)\nscore softcap(score, 20.0)",
};

/// Makes the queries of one row, of every head, NaN.
void spoil_row(const TensorView& q, std::int64_t row) {
  for (std::int64_t b = 0; b < q.shape[0]; ++b)
    for (std::int64_t h = 0; h < q.shape[1]; ++h)
      for (std::int64_t d = 0; d < q.shape[3]; ++d)
        ir::store_real(q.dtype, q.data,
                       b * q.strides[0] + h * q.strides[1] + row * q.strides[2] + d * q.strides[3],
                       std::numeric_limits<double>::quiet_NaN());
}

}  // namespace

// Of a tile of keys the last row alone sees one, whose score is NaN: no maximum shows that it
// lives.
TEST_CASE("a NaN score of a live key propagates where other warps of its tile see nothing") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (const tests::TestEngine& engine : tests::engines())
    for (const std::string& text : causal_patterns) {
      const Spec spec{.pattern = Pattern::parse("attention a {\n" + text + "\n}"),
                      .dtype = random() % 2 ? DType::f16 : DType::f32,
                      .head_dim = 16,
                      .value_dim = 16,
                      .output = DType::f32,
                      .statistic = true};
      const std::int64_t last = std::int64_t{16} * static_cast<std::int64_t>(1 + random() % 12) - 1;
      const Shape shape{.batch = 1, .heads = 2, .kv_heads = 1, .queries = last + 1, .keys = 70};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      call.args.offset = static_cast<std::int32_t>(-last);
      call.args.offsets = {};
      std::vector<std::uint8_t> seen(70, 1);
      Spec stored = spec;
      if (!call.tensors.empty()) {
        stored.storage["t"] = DType::u8;
        call.tensors[0].view = TensorView::contiguous(seen.data(), DType::u8, {1, 70});
      }
      spoil_row(call.args.q, last);
      INFO(engine.name << "\n" << text << "\n" << last + 1 << " queries");
      CHECK(tests::run_and_compare(*engine.state, stored, call, plan::Route{}) == "");
      const TensorView& o = call.args.o;
      for (std::int64_t row = 0; row <= last; ++row) {
        const double first = ir::load_real(o.dtype, o.data, row * o.strides[2]);
        if (row < last ? first != 0 : !std::isnan(first))
          FAIL_CHECK("O of row " << row << " is " << first);
      }
    }
}

// A scale that is no unit of scores sends FULL tiles, too, through the code that masks.
TEST_CASE("FULL tiles of a rolled mask have all their keys under any scale") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const Spec spec{.pattern = Pattern::parse("attention a {\ntensor t: i32[head, key]\n"
                                            "mask k < 150 or t[h, k] > 1000000\n}"),
                  .dtype = DType::f16,
                  .head_dim = 16,
                  .value_dim = 16,
                  .statistic = true};
  for (const tests::TestEngine& engine : tests::engines())
    for (const float scale : {0.0f, -0.25f}) {
      const Shape shape{.batch = 1, .heads = 2, .kv_heads = 1, .queries = 150, .keys = 200};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      call.args.scale = scale;
      INFO(engine.name << " scale " << scale);
      CHECK(tests::run_and_compare(*engine.state, spec, call, plan::Route{.listed = true}) == "");
    }
}
