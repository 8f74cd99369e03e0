// What the host device counts while it executes a kernel's PTX, by statement of the PTX.
#pragma once
#include "runtime/host/host_device.h"

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace lacuna::bench {

/// Of all launches so far, or, as coefficients of a fit, of one tile.
struct Tally {
  double executions = 0;                        ///< warp-instructions
  double wavefronts = 0, least_wavefronts = 0;  ///< of shared memory (memory_cost.h)
  double sectors = 0, least_sectors = 0;        ///< of global memory
};

struct Statement {
  int line = 0;  ///< of the PTX; several may stand on one
  std::string opcode;
  std::string source;  ///< "flash_forward.cuh:88 (inlined at ...)"; empty where nothing is known
  Tally tally;
};
using Counts = std::map<std::ptrdiff_t, Statement>;  ///< by where it stands in the PTX

/// Counts what the CTAs of a launch do. One thread of the host device only.
class Trace {
 public:
  /// For HostOptions::observe; it must not outlive the trace.
  runtime::host::MakeObserver observer();
  /// What has been counted since the last call.
  Counts take();

 private:
  class Counter;
  Counts counts_;
};

/// "ld.shared.v4.f32" of "@%p1 ld.shared.v4.f32 {..}, [%r2];"
std::string_view opcode_of(std::string_view statement);

}  // namespace lacuna::bench
