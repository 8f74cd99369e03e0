// Not run by default: build/tests/engine_test "[latency]" prints what a hit costs.
#include "runtime/clock.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/runtime/cache_fixture.h"
#include "tests/runtime/engine_fakes.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace {

using namespace lacuna;

/// Median over 9 rounds of the nanoseconds of one call.
template <typename Work>
double nanoseconds(int calls, Work work) {
  std::vector<double> rounds;
  for (int round = 0; round < 9; ++round) {
    runtime::Clock clock;
    for (int i = 0; i < calls; ++i) work();
    rounds.push_back(clock.milliseconds() * 1e6 / calls);
  }
  std::sort(rounds.begin(), rounds.end());
  return rounds[4];
}

TEST_CASE("latency of hits", "[.][latency]") {
  test::TemporaryDirectory cache;
  test::FakeEngine fake({.cache_dir = cache.path()});
  fake.compiler->payload_bytes = 40'000;
  EngineState& state = fake.engine.state();
  Spec spec{
      .pattern = Pattern::parse("attention a { mask causal\n param w: i32 = 7\n mask q - k < w }"),
      .dtype = DType::f16,
      .head_dim = 64,
      .value_dim = 64};
  std::vector<std::uint16_t> memory(4 * 64 * 64);
  auto matrix = [&](int part) {
    return TensorView::contiguous(memory.data() + part * 64 * 64, DType::f16, {1, 1, 64, 64});
  };
  Args args{.q = matrix(0), .k = matrix(1), .v = matrix(2), .o = matrix(3)};
  Program program = fake.engine.program(spec);
  program.forward(args);
  auto planned = program.state().planned;
  plan::Variant variant = runtime::variant_of(args);

  fmt::print("Engine::program, memory hit   {:8.0f} ns\n",
             nanoseconds(20'000, [&] { fake.engine.program(spec); }));
  fmt::print("kernel_for, memory hit        {:8.0f} ns\n",
             nanoseconds(20'000, [&] { runtime::kernel_for(state, *planned, 0, variant); }));
  fmt::print("both                          {:8.0f} ns\n", nanoseconds(20'000, [&] {
               runtime::kernel_for(state, *runtime::planned_for(state, spec), 0, variant);
             }));
  fmt::print("bind and pack                 {:8.0f} ns\n", nanoseconds(20'000, [&] {
               runtime::pack(*planned, args, ir::bind(spec, args), 1, nullptr);
             }));
  fmt::print("compiled_for, disk hit        {:8.0f} ns, of {} bytes, with generating its source\n",
             nanoseconds(200, [&] { runtime::compiled_for(state, *planned, 0, variant); }),
             state.disk.stats().bytes);
  fmt::print("generate alone                {:8.0f} ns\n", nanoseconds(200, [&] {
               codegen::generate(planned->plan, planned->plan.passes[0], variant);
             }));
  CHECK(fake.compiler->compiles == 1);
}

}  // namespace
