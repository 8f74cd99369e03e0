#include "tests/runtime/host/bench.h"

#include <fmt/format.h>

#include <cstring>

namespace lacuna::runtime::host::test {

std::vector<Isa> present_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512})
    if (isa <= best_isa()) isas.push_back(isa);
  return isas;
}

std::string module_of(int params, std::string_view body, std::string_view before) {
  std::string list;
  for (int i = 0; i < params; ++i)
    list += fmt::format("{}\n  .param .u64 p{}", i == 0 ? "" : ",", i);
  return fmt::format(
      ".version 8.3\n.target sm_80\n.address_size 64\n{}\n.visible .entry k({}\n)\n{{\n"
      "  .reg .pred %p<16>;\n  .reg .b16 %h<16>;\n  .reg .b32 %r<64>;\n  .reg .f32 %f<64>;\n  .reg "
      ".b64 %d<64>;\n"
      "{}\n}}\n",
      before, list, body);
}

std::shared_ptr<const Kernel> load(const std::string& ptx, int params, const Setup& setup) {
  Artifact artifact;
  artifact.payload = ptx;
  artifact.entry = std::string("k");
  artifact.threads = setup.threads;
  artifact.shared_bytes = setup.shared_bytes;
  artifact.param_bytes = 8 * params;
  const HostOptions options{.threads = setup.workers,
                            .isa = setup.isa,
                            .instruction_limit = setup.instruction_limit,
                            .seed = setup.seed,
                            .checks = setup.checks,
                            .every_order = setup.every_order,
                            .observe = setup.observe};
  return open_host(options)->load(artifact);
}

Statistics run(const Kernel& kernel, const std::vector<Buffer>& buffers, const Setup& setup) {
  std::vector<std::uint64_t> params(buffers.size(), 0);
  params.insert(params.end(), setup.values.begin(), setup.values.end());
  std::vector<Region> regions;
  std::vector<AddressSlot> slots;
  for (std::uint32_t i = 0; i < buffers.size(); ++i) {
    regions.push_back({buffers[i].name, buffers[i].view, buffers[i].writable});
    slots.push_back({8 * i, i});
    params[i] = reinterpret_cast<std::uint64_t>(buffers[i].view.data);
  }
  const Launch launch{.blocks = setup.blocks,
                      .params = std::as_bytes(std::span(params)),
                      .slots = slots,
                      .regions = regions};
  return launch_counted(kernel, launch);
}

Statistics run_body(std::string_view body, const std::vector<Buffer>& buffers, const Setup& setup,
                    std::string_view before) {
  const int params = static_cast<int>(buffers.size() + setup.values.size());
  return run(*load(module_of(params, body, before), params, setup), buffers, setup);
}

}  // namespace lacuna::runtime::host::test
