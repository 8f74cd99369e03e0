#pragma once
#include <cstddef>
#include <cstdint>

namespace lacuna::runtime::host {

class Observer;
struct Warp;
struct Program;
struct LaunchState;

/// A tensor or module variable as the device sees it: `bytes` from the address `base`, nothing
/// around them.
struct RegionSpan {
  std::uint64_t base = 0, bytes = 0;
  std::byte* data = nullptr;
  bool writable = false;
};

/// Addresses are (1 + index) << region_shift plus an offset for regions, tagged in the top byte for
/// the windows of the other state spaces; global addresses are generic addresses as they are.
constexpr int region_shift = 40;
constexpr std::uint64_t first_variable = 0x4000;  ///< index of the first module variable
constexpr int tag_shift = 56;
constexpr std::uint64_t shared_tag = 1, local_tag = 2, param_tag = 3;

struct Barrier {
  std::int32_t arrived = 0, expected = 0;   ///< threads; expected 0: nobody is here
  std::uint32_t sum = 0, all = 0, any = 0;  ///< of a bar.red: lanes whose predicate holds
};
constexpr int barrier_count = 16;

/// A thread block while it runs, on one thread of the host.
struct Cta {
  const RegionSpan* regions = nullptr;
  const RegionSpan* variables = nullptr;
  std::uint32_t region_count = 0, variable_count = 0;
  std::byte* shared = nullptr;
  std::uint32_t shared_bytes = 0;
  std::uint32_t param_bytes = 0;
  std::byte* params = nullptr;
  std::uint32_t local_bytes = 0;  ///< of one lane
  std::int32_t warp_count = 0, threads = 0;
  Warp* warps = nullptr;
  Barrier barriers[barrier_count];
  std::uint64_t index = 0;  ///< %ctaid.x
  const Program* program = nullptr;
  const LaunchState* launch = nullptr;
  Observer* observer = nullptr;  ///< asked where the program is watched
};

}  // namespace lacuna::runtime::host
