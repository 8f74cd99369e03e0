// Expressions as generated code against the evaluator: many random programs in one kernel, a thread
// per site.
#include "compiler/codegen/expression.h"
#include "compiler/ir/evaluate.h"
#include "templates/abi.h"
#include "tests/catch.h"
#include "tests/conformance/engines.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"
#include "tools/lacuna/score_error.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace {

using namespace lacuna;

constexpr int kernels = 48, programs_in_one = 40, sites = 128, site_words = 12, max_params = 8;

using Words = std::vector<std::uint32_t>;

Words random_site(fuzz::Draw& draw) {
  const int batch = draw.between(1, 4), group = draw.between(1, 3), kv_heads = draw.between(1, 3);
  const int b = draw.below(batch), h = draw.below(group * kv_heads);
  const bool extreme = draw.chance(0.1);
  const auto position = [&] {
    return extreme ? draw.of({std::numeric_limits<int>::min(), std::numeric_limits<int>::max(), -1,
                              1 << 30})
                   : draw.between(-40, 300);
  };
  const int q = position(), k = position();
  const float score = static_cast<float>(draw.between(-8.0, 8.0));
  Words words;
  for (const int value : {b, h, h / group, draw.between(1, 300), draw.between(1, 300), q, k, batch,
                          group * kv_heads, kv_heads})
    words.push_back(static_cast<std::uint32_t>(value));
  words.push_back(std::bit_cast<std::uint32_t>(score));
  words.push_back(0);
  return words;
}

ir::Site site_of(const std::uint32_t* words) {
  const auto at = [&](int i) { return static_cast<std::int32_t>(words[i]); };
  return {.b = at(0),
          .h = at(1),
          .g = at(2),
          .q = at(5),
          .k = at(6),
          .q_len = at(3),
          .k_len = at(4),
          .batch = at(7),
          .heads = at(8),
          .kv_heads = at(9),
          .head_dim = 64,
          .score = std::bit_cast<float>(words[10])};
}

/// Params of one program as the kernel has them.
class Params : public ir::Bindings {
 public:
  Params(const ir::Pattern& pattern, const std::uint32_t* bits) : pattern_(pattern), bits_(bits) {}
  ir::Value param(std::uint32_t index) const override {
    if (pattern_.params[index].type == ir::Type::f32)
      return {0, std::bit_cast<float>(bits_[index])};
    return {static_cast<std::int32_t>(bits_[index]), 0};
  }
  ir::Value read(std::uint32_t, std::span<const std::int32_t>, const ir::Site&) const override {
    throw std::logic_error("these programs have no tensors");
  }

 private:
  const ir::Pattern& pattern_;
  const std::uint32_t* bits_;
};

void write_function(std::string& text, const std::string& head, const Spec& spec, ir::NodeId node) {
  text += fmt::format("LACUNA_DEVICE {} {{\n", head);
  for (const std::string& line : codegen::ExpressionWriter(spec, {}).body(node))
    text += "  " + line + "\n";
  text += "}\n";
}

/// A kernel that stores, per program and site, the masks as bits and the score.
codegen::Source source_of(const std::vector<Spec>& specs) {
  std::string functions, body;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const ir::Pattern& pattern = specs[i].pattern.tree();
    body += fmt::format("  take(p, l.params + {}ull);\n  bits = 0;\n", i * max_params * 4);
    for (std::size_t m = 0; m < pattern.masks.size(); ++m) {
      write_function(
          functions,
          fmt::format("bool mask_{}_{}(const Params& p, const Place& at, s32 q, s32 k)", i, m),
          specs[i], pattern.masks[m].expr);
      body += fmt::format("  bits |= (u32)mask_{}_{}(p, at, q, k) << {};\n", i, m, m);
    }
    if (pattern.score != ir::no_node) {
      write_function(
          functions,
          fmt::format("float score_{}(const Params& p, const Place& at, s32 q, s32 k, float score)",
                      i),
          specs[i], pattern.score);
      body += fmt::format("  result = score_{}(p, at, q, k, score);\n", i);
    }
    body += fmt::format("  store_global(to + {}ull, bits);\n  store_global(to + {}ull, result);\n",
                        i * sites * 8, i * sites * 8 + 4);
  }
  codegen::Source source{.name = "emitter.cu",
                         .entry = "emitter",
                         .text = {},
                         .threads = 32,
                         .shared_bytes = 0,
                         .param_bytes = 24};
  source.text = fmt::format(R"(#include "tensor.cuh"
namespace lacuna {{
struct Launch {{ u64 sites, params, out; }};
struct Params {{ CallArg call; u32 param[{0}]; }};
LACUNA_DEVICE void take(Params& p, u64 from) {{
  LACUNA_UNROLL
  for (int i = 0; i < {0}; ++i) p.param[i] = load_global<u32>(from + 4 * i);
}}
{1}LACUNA_DEVICE void check(const Launch& l) {{
  const u32 t = block_index() * 32 + thread_index();
  const u64 from = l.sites + t * {2}, to = l.out + t * 8;
  s32 w[10];
  LACUNA_UNROLL
  for (int i = 0; i < 10; ++i) w[i] = load_global<s32>(from + 4 * i);
  const Place at = {{w[0], w[1], w[2], w[3], w[4], 0, 0, 0}};
  const s32 q = w[5], k = w[6];
  Params p = {{}};
  p.call.batch = w[7], p.call.heads = w[8], p.call.kv_heads = w[9];
  const float score = load_global<float>(from + 40);
  u32 bits = 0;
  float result = 0;
{3}}}
}}  // namespace lacuna
LACUNA_KERNEL void LACUNA_BOUNDS(32, 1) emitter(LACUNA_GRID_CONST lacuna::Launch l) {{ lacuna::check(l); }}
)",
                            max_params, functions, site_words * 4, body);
  return source;
}

/// Device memory holding words, as a region of a launch.
class Buffer {
 public:
  Buffer(const runtime::Device& device, const char* name, const Words& words)
      : device_(device),
        name_(name),
        words_(words.size()),
        memory_(device.allocate(words.size() * 4)) {
    device.upload(memory_, words.data(), words.size() * 4);
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { device_.release(memory_); }
  runtime::Region region(bool writable) const {
    return {name_, TensorView::contiguous(memory_, DType::i32, {static_cast<std::int64_t>(words_)}),
            writable};
  }
  unsigned long long address() const { return reinterpret_cast<unsigned long long>(memory_); }
  Words read() const {
    Words words(words_);
    device_.synchronize({});
    device_.download(words.data(), memory_, words_ * 4);
    return words;
  }

 private:
  const runtime::Device& device_;
  const char* name_;
  std::size_t words_;
  void* memory_;
};

Words run(const EngineState& engine, const codegen::Source& source, const Words& places,
          const Words& params) {
  const runtime::Device& device = *engine.device;
  const auto kernel =
      device.load(engine.compiler->compile(source, runtime::compile_options(engine)));
  const Buffer in(device, "sites", places), given(device, "params", params);
  const Buffer out(device, "out", Words(std::size_t{programs_in_one} * sites * 2, 0xdeadbeef));
  const unsigned long long block[] = {in.address(), given.address(), out.address()};
  const runtime::AddressSlot slots[] = {{0, 0}, {8, 1}, {16, 2}};
  const runtime::Region regions[] = {in.region(false), given.region(false), out.region(true)};
  kernel->launch({sites / 32, std::as_bytes(std::span(block)), slots, regions, {}});
  return out.read();
}

/// "" or how a program differs at a site.
std::string difference(const Spec& spec, const Params& params, const ir::Site& site,
                       const std::uint32_t* found) {
  const ir::Pattern& pattern = spec.pattern.tree();
  ir::Evaluator evaluator(pattern.graph, params);
  evaluator.move_to(site);
  evaluator.move_to_key(site.k);
  evaluator.set_score(site.score);
  for (std::size_t m = 0; m < pattern.masks.size(); ++m)
    if (evaluator.holds(pattern.masks[m].expr) != ((found[0] >> m & 1) != 0))
      return fmt::format("mask {} differs", m);
  if (pattern.score == ir::no_node) return "";
  tool::ScoreError errors(pattern.graph, evaluator);
  const double bound = errors.at_pair(pattern.score, 0),
               expected = evaluator.value(pattern.score).real;
  const double result = std::bit_cast<float>(found[1]);
  if (result == expected || (std::isnan(result) && std::isnan(expected)) || std::isinf(bound))
    return "";
  // One rounding of the result itself comes on top of those on the way.
  if (std::fabs(result - expected) <= bound + 0x1p-24 * std::fabs(expected) + 0x1p-149) return "";
  return fmt::format("score is {}, expected {} within {}", result, expected, bound);
}

struct Batch {
  std::vector<Spec> specs;
  Words params, places;
};

Batch random_batch(fuzz::Random& random) {
  fuzz::Draw draw(random);
  Batch batch;
  while (batch.specs.size() < programs_in_one) {
    ir::Pattern pattern = fuzz::random_pattern(random, {.max_depth = 5, .tensors = false});
    if (pattern.params.size() > max_params) continue;
    for (int i = 0; i < max_params; ++i) {
      const bool real = i < int(pattern.params.size()) && pattern.params[i].type == ir::Type::f32;
      const bool truth =
          i < int(pattern.params.size()) && pattern.params[i].type == ir::Type::boolean;
      batch.params.push_back(
          real    ? std::bit_cast<std::uint32_t>(static_cast<float>(draw.between(-3.0, 3.0)))
          : truth ? draw.below(2)
                  : static_cast<std::uint32_t>(draw.between(-50, 200)));
    }
    batch.specs.push_back({.pattern = fuzz::published(std::move(pattern))});
  }
  for (int i = 0; i < sites; ++i)
    for (const std::uint32_t word : random_site(draw)) batch.places.push_back(word);
  return batch;
}

}  // namespace

TEST_CASE("random expressions have the same values in generated code as in the evaluator") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  for (int kernel = 0; kernel < kernels; ++kernel) {
    const tests::TestEngine& engine = engines[kernel % engines.size()];
    const Batch batch = random_batch(random);
    const Words found = run(*engine.state, source_of(batch.specs), batch.places, batch.params);
    for (int i = 0; i < programs_in_one; ++i) {
      const Spec& spec = batch.specs[i];
      const Params params(spec.pattern.tree(), &batch.params[i * max_params]);
      std::string wrong;
      for (int s = 0; s < sites && wrong.empty(); ++s)
        wrong = difference(spec, params, site_of(&batch.places[s * site_words]),
                           &found[(std::size_t(i) * sites + s) * 2]);
      INFO(engine.name << ", kernel " << kernel << ", program " << i << "\n"
                       << spec.pattern.text());
      CHECK(wrong == "");
    }
  }
}
