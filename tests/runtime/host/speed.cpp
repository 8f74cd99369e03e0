// host_speed [N...]: how fast the host device executes a causal f32 attention kernel of D = 64 on
// one thread: the least of several runs, by the clock of the process, so that a busy machine
// matters little. "check": with all checks of memory.
#include "tests/runtime/host/bench.h"
#include "tests/runtime/host/nvrtc.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <random>

namespace {

using namespace lacuna;
using namespace lacuna::runtime;

struct Params {
  std::uint64_t q, k, v, o;
  int queries, keys;
  float scale;
  int tiles;
};

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void measure(const std::string& compiler, const std::string& ptx, int n, host::Isa isa,
             const host::Checks& checks = {}) {
  constexpr int D = 64, tile = 64;
  std::vector<float> q(static_cast<std::size_t>(n) * D), k = q, v = q, o = q;
  std::mt19937 random(1);
  for (auto* values : {&q, &k, &v})
    for (float& value : *values) value = std::normal_distribution<float>()(random);
  Artifact artifact;
  artifact.payload = ptx;
  artifact.entry = "attention";
  artifact.threads = 256;
  artifact.shared_bytes = (3 * D * (tile + 4) + tile * D) * 4;
  artifact.param_bytes = sizeof(Params);
  const int tiles = (n + tile - 1) / tile;
  const Params params{1, 1, 1, 1, n, n, 0.125f, tiles};
  const auto view = [&](std::vector<float>& values) {
    return TensorView::contiguous(values.data(), DType::f32, {n, D});
  };
  const Region regions[] = {{"q", view(q)}, {"k", view(k)}, {"v", view(v)}, {"o", view(o), true}};
  const AddressSlot slots[] = {{0, 0}, {8, 1}, {16, 2}, {24, 3}};
  const Launch launch{.blocks = static_cast<std::uint64_t>(tiles),
                      .params = std::as_bytes(std::span(&params, 1)),
                      .slots = slots,
                      .regions = regions};
  const auto kernel = host::open_host(host::HostOptions{.threads = 1, .isa = isa, .checks = checks})
                          ->load(artifact);
  double least = 1e9;
  host::Statistics executed;
  for (int run = 0; run < 7; ++run) {
    const double start = processor_seconds();
    executed = host::launch_counted(*kernel, launch);
    least = std::min(least, processor_seconds() - start);
  }
  fmt::print(
      "{:6} {:8} N {:5}: {:8.2f} ms, {:9} warp-instructions, {:6.1f} M/s, {:5.2f} G "
      "lane-instructions/s\n",
      compiler, host::name_of(isa), n, least * 1e3, executed.warp_instructions,
      static_cast<double>(executed.warp_instructions) / least / 1e6,
      static_cast<double>(executed.lane_instructions) / least / 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::atoi(argv[i]));
  if (sizes.empty()) sizes = {512, 1024, 2048};
  const std::string clang = host::test::kernel_file("attention.ptx");
  const auto nvrtc = host::test::nvrtc_ptx("attention.cu");
  for (host::Isa isa : host::test::present_isas())
    for (int n : sizes) {
      measure("clang", clang, n, isa);
      if (isa == host::best_isa()) measure("check", clang, n, isa, host::Checks::all());
      if (nvrtc) measure("nvrtc", *nvrtc, n, isa);
    }
}
