// How fast the host device executes: one head, causal, D = 64, one thread. A figure of the
// executor, never of a GPU.
#include "runtime/host/host_device.h"
#include "runtime/program.h"
#include "templates/abi.h"

#include "bench/measure.h"
#include <fmt/format.h>

#include <random>

namespace {

using namespace lacuna;

std::vector<float> random_floats(std::size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

runtime::host::Statistics count(EngineState& engine, const runtime::Planned& planned,
                                const Args& args) {
  const ir::Call call = ir::bind(planned.plan.spec, args);
  const auto loaded = runtime::kernel_for(engine, planned, 0, runtime::variant_of(args));
  const plan::Grid grid = plan::grid(loaded->pass, planned.plan.spec, call.shape);
  Report report{};
  const runtime::Packed packed = runtime::pack(planned, args, call, grid.q_tiles, &report);
  return runtime::host::launch_counted(
      *loaded->kernel, {grid.blocks, packed.params, packed.slots, packed.regions, {}});
}

void measure(Engine& engine, std::int64_t n) {
  constexpr int d = 64;
  const Program program = engine.program({.pattern = Pattern::parse("attention a { mask causal }"),
                                          .dtype = DType::f32,
                                          .head_dim = d,
                                          .value_dim = d});
  std::vector<float> q = random_floats(n * d), k = random_floats(n * d), v = random_floats(n * d),
                     o(n * d);
  const auto view = [&](std::vector<float>& x) {
    return TensorView::contiguous(x.data(), DType::f32, {1, 1, n, d});
  };
  const Args args{.q = view(q), .k = view(k), .v = view(v), .o = view(o)};
  const auto times = bench::time(5, [&] { program.forward(args); });
  const runtime::host::Statistics counted = count(engine.state(), *program.state().planned, args);
  fmt::print(
      "N={:5}  least {:8.1f} ms, median {:8.1f} ms; {:.3g} warp-instructions, {:.1f} M/s, {:.2f} G "
      "lane-instructions/s\n",
      n, times.least, times.median, double(counted.warp_instructions),
      counted.warp_instructions / times.least / 1e3, counted.lane_instructions / times.least / 1e6);
}

}  // namespace

int main() {
  EngineOptions options;
  options.device = DeviceKind::host;
  options.threads = 1;
  Engine engine(options);
  fmt::print("{}\n", engine.description());
  for (const std::int64_t n : {512, 1024, 2048}) measure(engine, n);
}
