// The settings that adasplash 0.2.1 tests its forward with, there in f32 and with ten refinements;
// here as a user calls it, in f16 and bf16 too: lengths, groups of heads, padding on either side,
// ALiBi, long sequences.
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/conformance/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace {

using namespace lacuna;

struct Setting {
  Shape shape;  ///< .queries may be less than .keys: the last ones
  int dim = 64;
  std::vector<std::int32_t> lengths = {};  ///< of padded sequences; none: uniform
  std::string mask = "mask causal";
};

std::vector<Setting> lengths_and_groups() {
  std::vector<Setting> all = {{{1, 1, 1, 256, 256}, 32}, {{1, 2, 1, 256, 256}, 32, {160}}};
  for (const std::int64_t n : {1024, 2048}) {
    all.push_back({{2, 2, 2, n, n}});
    for (const std::int64_t groups : {1, 2, 4, 8}) all.push_back({{1, 8, groups, n, n}});
  }
  all.push_back({{2, 2, 2, 4096, 4096}});
  // As long as a reference on a host is quick: the last queries see all of it.
  for (const std::int64_t n : {16384, 32768}) all.push_back({{1, 1, 1, 64, n}});
  const std::pair<std::int64_t, std::vector<std::int32_t>> padded[] = {{2048, {1000, 1500}},
                                                                       {4096, {3333, 2000}},
                                                                       {2048, {1024, 1024}},
                                                                       {4096, {64, 4096}},
                                                                       {1024, {65, 130}}};
  for (const auto& [n, lengths] : padded)
    for (const std::int64_t groups : {1, 2}) all.push_back({{2, 2, groups, n, n}, 64, lengths});
  return all;
}

std::vector<Setting> small_ones() {
  std::vector<Setting> all;
  for (const std::int64_t batch : {1, 2})
    for (const std::int64_t heads : {1, 2})
      for (const std::int64_t n : {128, 256})
        for (const int dim : {32, 64})
          for (const char* mask :
               {"mask causal", "",
                "tensor slope: f32[head]\nmask causal\nscore score - slope[h] * (q - k)",
                "tensor real: bool[batch, key]\nmask real[b, k]",
                "tensor real: bool[batch, key]\nmask causal and real[b, k]"}) {
            const Shape shape{batch, heads, heads, n, n};
            all.push_back({shape, dim, {}, mask});
            all.push_back({{batch, heads, heads, n / 2 + 7, n}, dim, {}, mask});
          }
  return all;
}

/// As ALiBi has them, and padding to the left of one sequence, to the right of the next.
void give_tensors(fuzz::OwnedCall& call, fuzz::Draw& draw, std::vector<float>& slopes,
                  std::vector<std::uint8_t>& real) {
  const Shape& shape = call.shape;
  for (NamedTensor& tensor : call.tensors) {
    if (tensor.name == "slope") {
      for (std::int64_t h = 0; h < shape.heads; ++h)
        slopes.push_back(
            std::exp2(-8.0f * static_cast<float>(h + 1) / static_cast<float>(shape.heads)));
      tensor.view = TensorView::contiguous(slopes.data(), DType::f32, {shape.heads});
    }
    if (tensor.name != "real") continue;
    for (std::int64_t b = 0; b < shape.batch; ++b) {
      const std::int64_t padding = draw.between(0, static_cast<int>(shape.keys));
      for (std::int64_t k = 0; k < shape.keys; ++k)
        real.push_back(b % 2 == 0 ? k >= padding : k < shape.keys - padding);
    }
    tensor.view = TensorView::contiguous(real.data(), DType::u8, {shape.batch, shape.keys});
  }
  call.args.tensors = call.tensors;
}

void run(const Setting& setting, const std::string& weights, DType dtype, fuzz::Random& random) {
  fuzz::Draw draw(random);
  const tests::TestEngine& engine = draw.of(tests::engines());
  Spec spec{.pattern = tests::weighed(setting.mask, weights),
            .dtype = dtype,
            .head_dim = setting.dim,
            .value_dim = setting.dim,
            .statistic = draw.chance(0.5),
            .escort = draw.chance(0.3)};
  const Shape& shape = setting.shape;
  if (setting.mask.find("slope") != std::string::npos) spec.storage["slope"] = DType::f32;
  if (setting.mask.find("real") != std::string::npos) spec.storage["real"] = DType::u8;
  fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
  call.args.offset = {};
  call.args.offsets = {};
  std::vector<std::int32_t> lengths = setting.lengths;
  if (!lengths.empty()) {
    spec.lengths = Lengths::padded;
    call.args.q_lens = call.args.k_lens =
        TensorView::contiguous(lengths.data(), DType::i32, {shape.batch});
  }
  std::vector<float> slopes;
  std::vector<std::uint8_t> real;
  give_tensors(call, draw, slopes, real);
  INFO(engine.name << " " << spec.pattern.text() << name_of(dtype) << " D " << setting.dim
                   << fmt::format(" B {} H {} G {} Nq {} Nk {} lengths {}", shape.batch,
                                  shape.heads, shape.kv_heads, shape.queries, shape.keys,
                                  fmt::join(setting.lengths, ",")));
  const plan::Plan& plan = runtime::planned_for(*engine.state, spec)->plan;
  std::optional<plan::Route> route;  // as calls do, or as those of longer rows do
  if (draw.chance(0.5) && plan::route(plan, shape).short_rows) route = plan::Route{};
  CHECK(tests::run_and_compare(*engine.state, spec, call, route) == "");
}

/// All of them, or a few.
std::vector<Setting> chosen(std::vector<Setting> settings, std::size_t few, fuzz::Random& random) {
  std::shuffle(settings.begin(), settings.end(), random);
  if (!tests::runs_all()) settings.resize(std::min(few, settings.size()));
  return settings;
}

constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16};

}  // namespace

TEST_CASE("adasplash's own tests: lengths, groups of heads, long sequences") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (const Setting& setting : chosen(lengths_and_groups(), 3, random))
    for (const DType dtype : dtypes) run(setting, "weights entmax(1.5)", dtype, random);
}

TEST_CASE("adasplash's own tests: sizes, alphas, padding on either side, ALiBi") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (const Setting& setting : chosen(small_ones(), 16, random))
    run(setting, draw.of({"weights entmax(1.333)", "weights entmax(1.5)", "weights sparsemax"}),
        draw.of({DType::f32, DType::f16, DType::bf16}), random);
}
