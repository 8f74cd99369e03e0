#pragma once
#include "runtime/device.h"
#include "runtime/host/check/checks.h"
#include "runtime/host/exec/contract.h"
#include "runtime/host/exec/launch.h"
#include "runtime/host/exec/table.h"

#include <cstdint>
#include <memory>

namespace lacuna::runtime::host {

/// What only the host device can be asked for: by its own tests, by benchmarks and by the command.
struct HostOptions {
  int threads = 0;  ///< 0: all cores
  Isa isa =
      best_isa();  ///< which handlers; throws Error{unavailable} where the processor lacks them
  std::uint64_t instruction_limit =
      0;  ///< warp-instructions of one CTA before it counts as endless; 0: no limit
  Contract contract = {};     ///< of products and sums that PTX allows to be fused
  std::uint64_t seed = 0;     ///< 0: warps take turns in order; else of a random order
  Checks checks = {};         ///< what to look for beyond what every launch reports
  /// Every launch is run four times: asynchronous copies early and late, warps in order and not.
  bool every_order = false;
  MakeObserver observe = {};  ///< looks over the shoulder of every CTA; not together with checks
};
std::shared_ptr<const Device> open_host(const HostOptions& options);

/// Launches a kernel of a host device and counts what it executes. Throws Error{argument} for
/// another device's kernel.
Statistics launch_counted(const Kernel& kernel, const Launch& launch);

}  // namespace lacuna::runtime::host
