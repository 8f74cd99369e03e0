#pragma once
#include "compiler/plan/arch.h"

#include <string_view>

namespace lacuna::bench {

/// What one CTA takes of an SM, as a compiler and a launch say it.
struct Resources {
  int registers = 0;     ///< of a thread
  int shared_bytes = 0;  ///< static and dynamic
  int threads = 0;
};

struct Occupancy {
  int ctas = 0;                 ///< of an SM; 0: it does not launch
  int warps = 0;                ///< of an SM
  int most_warps = 0;           ///< that an SM can hold
  std::string_view limited_by;  ///< "registers", "shared memory", "warps" or "CTAs"
};

/// How many CTAs an SM holds, by the limits and allocation units of the CUDA programming guide
/// (compute capabilities). Throws Error{unsupported} for an architecture whose limits are not
/// written down here.
Occupancy occupancy(const Resources& cta, const plan::Arch& arch);

}  // namespace lacuna::bench
