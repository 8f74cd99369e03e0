#pragma once
#include "runtime/device.h"
#include "runtime/host/exec/cta.h"
#include "runtime/host/exec/observer.h"
#include "runtime/host/exec/program.h"

#include <cstdint>
#include <vector>

namespace lacuna::runtime::host {

/// What one launch executed.
struct Statistics {
  std::uint64_t blocks = 0;
  std::uint64_t warp_instructions = 0;
  std::uint64_t lane_instructions = 0;  ///< lanes that issued, whether or not their predicate held
};

/// The memory of one thread of the host while it executes CTAs; kept between launches.
struct Workspace {
  std::vector<std::byte> memory;  ///< register files, local and shared memory, parameters
  std::vector<std::uint32_t> predicates;
  std::vector<Warp> warps;
};

/// Everything about a launch that its CTAs share.
struct LaunchState {
  const Program* program = nullptr;
  const Launch* request = nullptr;
  std::vector<RegionSpan> regions;
  std::vector<RegionSpan> statics;  ///< module variables
  std::vector<std::byte> params;    ///< with the device's addresses
  std::uint32_t dynamic_shared = 0;
  int threads = 0;                      ///< of a CTA
  std::uint64_t instruction_limit = 0;  ///< of a CTA, in warp-instructions; 0: none
  MakeObserver observe = {};            ///< a watched program may have one
  std::uint64_t seed = 0;  ///< 0: warps take turns in order; else of their order and turns, where
                           ///< the program is watched
};

/// The bytes between the lowest and the highest element of a view, and the address given to the
/// lowest: it keeps the low bits of the real one, so that alignment is what it would be on a GPU.
RegionSpan span_of(const Region& region, std::uint32_t index);
/// Checks the request and places every region. Throws Error{argument}.
void place_regions(LaunchState& state);
/// Executes one CTA. Throws what the checks report.
Statistics execute(const LaunchState& state, Workspace& workspace, std::uint64_t block);
/// Executes all CTAs on up to `threads` threads of the host; rethrows the failure of the lowest
/// CTA.
Statistics execute_all(const LaunchState& state,
                       std::vector<std::unique_ptr<Workspace>>& workspaces, int threads);

}  // namespace lacuna::runtime::host
