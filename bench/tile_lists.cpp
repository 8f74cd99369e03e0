// What tile lists cost: instructions of each phase on the host device for documents in 131072
// tokens, the bytes of their workspace, and the compile times of the kernel.
#include "tests/runtime/tile_lists_fixture.h"

#include "bench/measure.h"
#include <fmt/format.h>

#include <algorithm>

namespace {

using namespace lacuna;
using namespace lacuna::test;

constexpr std::string_view phase_names[] = {"summarise",     "summarise groups", "classify",
                                            "order rows",    "fill rows",        "count columns",
                                            "order columns", "fill columns"};

void measure_compiler(const char* name, std::shared_ptr<const runtime::Compiler> (*open)(),
                      const codegen::Source& source, const runtime::CompileOptions& options) {
  std::shared_ptr<const runtime::Compiler> compiler;
  try {
    compiler = open();
  } catch (const Error& error) {
    fmt::print("{:22} not here: {}\n", name, error.what());
    return;
  }
  runtime::Artifact made;
  const auto times = bench::time(5, [&] { made = compiler->compile(source, options); });
  fmt::print("{:22} least {:6.1f} ms, median {:6.1f} ms", name, times.least, times.median);
  if (made.registers >= 0)
    fmt::print(", {} registers, {} bytes spilled", made.registers,
               made.spill_stores + made.spill_loads);
  fmt::print("\n");
}

/// Ids of `count` documents that lie one behind another; their ends are drawn.
PatternTensor documents(int tokens, int count, std::mt19937& random) {
  std::vector<int> starts;
  for (int d = 1; d < count; ++d)
    starts.push_back(static_cast<int>(random() % static_cast<unsigned>(tokens)));
  std::sort(starts.begin(), starts.end());
  PatternTensor ids{{1, 1, tokens, 1}, {}};
  std::size_t id = 0;
  for (int i = 0; i < tokens; ++i) {
    while (id < starts.size() && starts[id] <= i) ++id;
    ids.values.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

TileCall call_of(const TilePattern& pattern, int tokens, int count) {
  TileCall call{&pattern, Lengths::uniform, 64, 64};
  call.shape = {1, 8, 8, tokens, tokens};
  std::mt19937 random(1);
  call.data.tensors[0] = call.data.tensors[1] = documents(tokens, count, random);
  return call;
}

void print(std::string_view phase, const runtime::host::Statistics& executed) {
  fmt::print("{:16} {:5} CTAs {:12} warp-instructions {:13} lane-instructions\n", phase,
             executed.blocks, executed.warp_instructions, executed.lane_instructions);
}

/// Where rows are few: classified as planned, and by one warp to a row.
void measure_few(const TilePattern& pattern, const runtime::Kernel& kernel) {
  TileCall small = call_of(pattern, 8192, 60);
  for (const int parts : {0, 1}) {
    small.parts = parts;
    TileRun few(small);
    for (const TilePhase phase :
         {TilePhase::summarise, TilePhase::summarise_groups, TilePhase::classify}) {
      const runtime::host::Statistics executed = few.launch(kernel, phase);
      if (phase == TilePhase::classify)
        print(fmt::format("8192 tokens, {} warps to a row", few.lists().parts), executed);
    }
  }
}

void measure(const TilePattern& pattern, const char* what) {
  constexpr int tokens = 131072, count = 1000;
  const TileCall call = call_of(pattern, tokens, count);
  const codegen::Source source = tile_list_source(pattern, call.lengths, call.tile_q, call.tile_k);
  fmt::print("\n{}: {} tokens, {} documents, tiles of {}x{}, one list for 8 heads\n", what, tokens,
             count, call.tile_q, call.tile_k);
  measure_compiler("llvm  -> PTX   sm_80", [] { return runtime::open_llvm(); }, source,
                   {.arch = {80}, .format = runtime::Format::ptx});
  const auto nvrtc = [] { return runtime::open_nvrtc(); };
  measure_compiler("nvrtc -> PTX   sm_80", nvrtc, source,
                   {.arch = {80}, .format = runtime::Format::ptx});
  measure_compiler("nvrtc -> cubin sm_90", nvrtc, source,
                   {.arch = {90}, .format = runtime::Format::cubin});
  const auto kernel = runtime::open_host()->load(
      runtime::open_llvm()->compile(source, {.arch = {80}, .format = runtime::Format::ptx}));
  TileRun run(call);
  for (const TilePhase phase : tile_phases)
    print(phase_names[static_cast<int>(phase)], run.launch(*kernel, phase));
  const plan::TileLists& lists = run.lists();
  const ListSet rows = run.result().rows;
  fmt::print("{} of {} tiles visited, the longest row {}\n", rows.indices.size(), lists.capacity,
             rows.offsets[static_cast<std::size_t>(2 * rows.order[0] + 2)] -
                 rows.offsets[static_cast<std::size_t>(2 * rows.order[0])]);
  fmt::print(
      "bytes: offsets {}, order {}, indices {}; scratch: spans {}, states {}, spare {}; "
      "kept {}, all {}\n",
      lists.row_offsets.bytes, lists.row_order.bytes, lists.row_indices.bytes, lists.spans.bytes,
      lists.states.bytes, lists.spare_order.bytes, lists.kept, lists.bytes);
  measure_few(pattern, *kernel);
}

}  // namespace

int main() {
  measure(tile_pattern("documents"), "documents");
  TilePattern causal = tile_pattern("buckets");
  causal.by_head = false;
  measure(causal, "causal documents, settled by elements");
}
