#pragma once
#include "templates/abi.h"

#include <algorithm>
#include <cstdint>

namespace lacuna::plan {

/// For division by d of numbers below 2^31. Where d is 0 nothing is divided.
inline Divisor divisor(std::int32_t d) {
  const auto by = static_cast<std::uint64_t>(std::max(d, 1));
  unsigned shift = 0;
  while ((std::uint64_t{1} << shift) < by) ++shift;
  const std::uint64_t rest = (std::uint64_t{1} << shift) - by;
  return {static_cast<unsigned>((rest << 32) / by + 1), shift};
}

}  // namespace lacuna::plan
