// How many products a launch executes, counted on the host device: those of FULL tiles, and in
// PARTIAL tiles those of the warps that see something, by the reference, pair by pair.
#include "compiler/codegen/generate.h"
#include "tests/catch.h"
#include "tests/runtime/random.h"

#include "bench/laboratory/launches.h"
#include "bench/laboratory/subjects.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace lacuna::bench::test {
namespace {

const char* const masks[] = {
    "mask causal",
    "mask causal\nmask window(70)",
    "tensor id: i32[batch, key]\nmask causal\nmask id[b, k] == 1",
    "mask causal\nmask window(70) or sinks(4)",
};

/// Whether a warp knows that it sees nothing before it multiplies with K, from words of the mask,
/// or only when it masks the scores.
bool has_words(const codegen::Source& source) {
  return source.text.find("only_bands = true") != std::string::npos ||
         source.text.find("rolled_mask = true") != std::string::npos;
}

std::vector<std::shared_ptr<const runtime::Compiler>> compilers() {
  std::vector<std::shared_ptr<const runtime::Compiler>> all = {
      runtime::open_llvm(EngineOptions::from_environment().llvm_library)};
  try {
    all.push_back(runtime::open_nvrtc());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    WARN("without NVRTC: " << error.what());
  }
  return all;
}

double products(const Launched& launched) {
  double count = 0;
  for (const auto& [at, statement] : launched.counts)
    if (statement.opcode.starts_with("mma")) count += statement.tally.executions;
  return count;
}

}  // namespace

TEST_CASE("warps multiply in FULL tiles, and in PARTIAL ones where they see something") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const auto pick = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
  };
  double dead = 0;
  for (const auto& compiler : compilers())
    for (const std::string mask : masks) {
      const Pattern pattern = Pattern::parse("attention a {\n" + mask + "\n}");
      const std::vector<Subject> legal =
          every_schedule({.spec = {.pattern = pattern,
                                   .dtype = pick(0, 1) ? DType::f16 : DType::bf16,
                                   .head_dim = 8 * pick(1, 16),
                                   .value_dim = 8 * pick(1, 16)},
                          .arch = {80},
                          .schedule = {},
                          .params = {}});
      const Subject& subject = legal[random() % legal.size()];
      const plan::Schedule& s = *subject.schedule;
      const runtime::Planned planned{
          .plan = plan::plan(subject.spec, {.arch = subject.arch, .schedule = s}),
          .layout = codegen::param_layout(pattern.tree())};
      const codegen::Source source =
          codegen::generate(planned.plan, planned.plan.passes[0], {.aligned = true});
      const runtime::Artifact ptx =
          compiler->compile(source, {.arch = subject.arch, .format = runtime::Format::ptx});
      std::vector<Extent> extents;
      for (int k = 0; k < 6; ++k) {
        const int queries = pick(1, 300), keys = pick(1, 400);
        extents.push_back({queries, keys, pick(-queries, keys)});
      }
      // A product takes 16 rows, 8 columns and 16 of what is summed over.
      const double m_tiles = s.tile_q / s.warps / 16.0;
      const double of_scores = m_tiles * s.tile_k / 8 * ((subject.spec.head_dim + 15) / 16);
      const double of_values = m_tiles * s.tile_k / 16 * (subject.spec.value_dim / 8);
      for (std::size_t k = 0;
           const Launched& one : launch_all(subject, planned, ptx, Scores::rising, extents)) {
        const Causes& causes = one.causes;
        const double warps = s.warps * (causes.full + causes.partial), alive = warps - causes.dead;
        const double expected = (has_words(source) ? alive : warps) * of_scores + alive * of_values;
        INFO(compiler->name() << "\n"
                              << mask << "\n"
                              << s.name() << " D " << subject.spec.head_dim << " Dv "
                              << subject.spec.value_dim << " Nq " << extents[k].queries << " Nk "
                              << extents[k].keys << " offset " << extents[k].offset);
        CHECK(products(one) == expected);
        dead += causes.dead, ++k;
      }
    }
  CHECK(dead > 0);
}

}  // namespace lacuna::bench::test
