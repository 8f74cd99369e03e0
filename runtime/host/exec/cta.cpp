#include "runtime/host/exec/cta.h"

#include "runtime/host/exec/launch.h"
#include "runtime/host/exec/schedule.h"
#include "runtime/host/report.h"

#include <fmt/format.h>

#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

namespace lacuna::runtime::host {
namespace {

/// What uninitialised registers and memory hold: NaN as a float, out of every range as an address.
constexpr int poison = 0xff;
constexpr std::size_t cache_line = 64;

std::size_t round_up(std::size_t bytes) {
  return (bytes + cache_line - 1) / cache_line * cache_line;
}

/// Cuts a workspace into the parts that a CTA needs.
class Carving {
 public:
  explicit Carving(std::byte* at) : at_(at) {}
  std::byte* take(std::size_t bytes) {
    std::byte* part = at_;
    at_ += round_up(bytes);
    return part;
  }

 private:
  std::byte* at_;
};

void fill_slot(std::byte* file, std::uint16_t slot, bool wide, std::uint64_t value) {
  std::byte* at = file + static_cast<std::size_t>(slot) * slot_bytes;
  for (int lane = 0; lane < warp_size; ++lane)
    std::memcpy(at + lane * (wide ? 8 : 4), &value, wide ? 8 : 4);
}

std::uint32_t special_value(const Cta& cta, const LaunchState& state, Special special, int warp,
                            int lane) {
  const std::uint32_t bit = 1u << lane, below = bit - 1;
  switch (special) {
    case Special::tid_x:
      return static_cast<std::uint32_t>(warp * warp_size + lane);
    case Special::ntid_x:
      return static_cast<std::uint32_t>(cta.threads);
    case Special::ctaid_x:
      return static_cast<std::uint32_t>(cta.index);
    case Special::nctaid_x:
      return static_cast<std::uint32_t>(state.request->blocks);
    case Special::tid_y:
    case Special::tid_z:
    case Special::ctaid_y:
    case Special::ctaid_z:
      return 0;
    case Special::ntid_y:
    case Special::ntid_z:
    case Special::nctaid_y:
    case Special::nctaid_z:
      return 1;
    case Special::laneid:
      return static_cast<std::uint32_t>(lane);
    case Special::warpid:
      return static_cast<std::uint32_t>(warp);
    case Special::nwarpid:
      return static_cast<std::uint32_t>(cta.warp_count);
    case Special::lanemask_eq:
      return bit;
    case Special::lanemask_lt:
      return below;
    case Special::lanemask_le:
      return below | bit;
    case Special::lanemask_gt:
      return ~(below | bit);
    case Special::lanemask_ge:
      return ~below;
    case Special::dynamic_smem_size:
      return state.dynamic_shared;
    case Special::total_smem_size:
      return cta.shared_bytes;
  }
  return 0;
}

void prepare_warp(Warp& w, Cta& cta, const LaunchState& state, int index) {
  const Program& program = *state.program;
  std::byte* slots = w.slots;
  std::uint32_t* predicates = w.predicates;
  std::byte* local = w.local;
  w = Warp{.slots = slots, .predicates = predicates, .index = index, .local = local, .cta = &cta};
  const int lanes = std::min(warp_size, cta.threads - index * warp_size);
  w.launched = lanes == warp_size ? ~0u : (1u << lanes) - 1;
  w.active = w.launched;
  std::memset(slots, poison, std::size_t{program.slots} * slot_bytes);
  std::memset(predicates, 0, std::size_t{program.predicates} * sizeof(std::uint32_t));
  std::memset(local, poison, std::size_t{program.local_bytes} * warp_size);
  for (const Constant& constant : program.constants)
    fill_slot(slots, constant.slot, constant.wide, constant.value);
  for (const SpecialSlot& special : program.specials) {
    std::uint32_t values[warp_size];
    for (int lane = 0; lane < warp_size; ++lane)
      values[lane] = special_value(cta, state, special.special, index, lane);
    std::memcpy(slots + std::size_t{special.slot} * slot_bytes, values, sizeof(values));
  }
}

void carve(Workspace& workspace, Cta& cta, const LaunchState& state) {
  const Program& program = *state.program;
  const auto warps = static_cast<std::size_t>(cta.warp_count);
  const std::size_t file = round_up(std::size_t{program.slots} * slot_bytes);
  const std::size_t local = round_up(std::size_t{program.local_bytes} * warp_size);
  const std::size_t predicates = program.predicates + std::size_t{1};
  workspace.memory.resize(warps * (file + local) + round_up(cta.shared_bytes) +
                          round_up(cta.param_bytes) + cache_line);
  workspace.predicates.resize(warps * predicates);
  workspace.warps.resize(warps);
  const auto start = reinterpret_cast<std::uintptr_t>(workspace.memory.data());
  Carving carving(workspace.memory.data() + (round_up(start) - start));
  for (std::size_t k = 0; k < warps; ++k) {
    workspace.warps[k].slots = carving.take(file);
    workspace.warps[k].local = carving.take(local);
    workspace.warps[k].predicates = workspace.predicates.data() + k * predicates;
  }
  cta.warps = workspace.warps.data();
  cta.shared = carving.take(cta.shared_bytes);
  cta.params = carving.take(cta.param_bytes);
}

std::uint64_t instructions_of(const Cta& cta) {
  std::uint64_t count = 0;
  for (int k = 0; k < cta.warp_count; ++k) count += cta.warps[k].instructions;
  return count;
}

/// The order of the warps in a round: by index, or by seed, with turns of random length.
class Turns {
 public:
  Turns(const Cta& cta, std::uint64_t seed) : seeded_(seed != 0), order_(cta.warp_count) {
    std::iota(order_.begin(), order_.end(), 0);
    state_ = seed ^ (cta.index + 1) * 0x9e3779b97f4a7c15u;
  }
  const std::vector<int>& next_round() {
    if (seeded_)
      for (std::size_t k = order_.size(); k > 1; --k) std::swap(order_[k - 1], order_[draw() % k]);
    return order_;
  }
  /// Short ones as often as long ones.
  std::int32_t length() {
    return seeded_ ? 1 + static_cast<std::int32_t>(draw() % (std::uint64_t{2} << draw() % 10)) : 0;
  }

 private:
  std::uint64_t draw() {  // splitmix64
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
  }

  bool seeded_;
  std::uint64_t state_;
  std::vector<int> order_;
};

/// Gives every warp its turn until all have finished.
void run_warps(Cta& cta, const LaunchState& state) {
  const Instruction* code = state.program->code.data();
  Turns turns(cta, state.seed);
  for (;;) {
    bool finished = true, progress = false;
    for (int k : turns.next_round()) {
      Warp& w = cta.warps[k];
      w.turn = turns.length();
      if (live_lanes(w) == 0) continue;
      finished = false;
      if (!can_run(w)) continue;
      run(w, code);
      progress = true;
    }
    if (finished) return;
    if (!progress) report_deadlock(cta);
    if (state.instruction_limit != 0 && instructions_of(cta) > state.instruction_limit)
      report_endless(cta, state.instruction_limit);
  }
}

}  // namespace

Statistics execute(const LaunchState& state, Workspace& workspace, std::uint64_t block) {
  const Program& program = *state.program;
  Cta cta{.regions = state.regions.data(),
          .variables = state.statics.data(),
          .region_count = static_cast<std::uint32_t>(state.regions.size()),
          .variable_count = static_cast<std::uint32_t>(state.statics.size()),
          .shared_bytes = program.shared_bytes + state.dynamic_shared,
          .param_bytes = program.param_bytes,
          .local_bytes = program.local_bytes,
          .warp_count = (state.threads + warp_size - 1) / warp_size,
          .threads = state.threads,
          .index = block,
          .program = &program,
          .launch = &state};
  carve(workspace, cta, state);
  std::memset(cta.shared, poison, cta.shared_bytes);
  if (!state.params.empty()) std::memcpy(cta.params, state.params.data(), state.params.size());
  for (int k = 0; k < cta.warp_count; ++k) prepare_warp(cta.warps[k], cta, state, k);
  std::unique_ptr<Observer> observer = state.observe ? state.observe(cta) : nullptr;
  cta.observer = observer.get();
  run_warps(cta, state);
  Statistics statistics{.blocks = 1};
  for (int k = 0; k < cta.warp_count; ++k) {
    statistics.warp_instructions += cta.warps[k].instructions;
    statistics.lane_instructions += cta.warps[k].lane_instructions;
  }
  return statistics;
}

}  // namespace lacuna::runtime::host
