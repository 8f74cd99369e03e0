#pragma once
#include "runtime/host/check/checks.h"
#include "runtime/host/exec/launch.h"

#include <functional>

namespace lacuna::runtime::host {

/// Runs a launch four times, each from the memory that the first one found: asynchronous copies
/// early and late, warps in order and in an order by seed. Throws Error{device} where the results
/// differ, unless the kernel has used atomics, whose order is its own affair.
Statistics run_in_every_order(LaunchState& state, const Checks& checks,
                              const std::function<Statistics()>& run);

}  // namespace lacuna::runtime::host
