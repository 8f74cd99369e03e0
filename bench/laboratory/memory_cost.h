// What one memory access of a warp costs, from the addresses of its lanes alone.
#pragma once
#include <cstdint>

namespace lacuna::bench {

/// How often a unit works for an access, and how often it would have to at best.
struct Cost {
  int needed = 0, least = 0;
};

/// Wavefronts of shared memory, which serves one 4-byte word of each of 32 banks at a time. Lanes
/// go in phases of 32, of 16 where each takes 8 bytes, of 8 where it takes 16 (ldmatrix: the rows
/// of one 8x8 matrix); lanes of a phase that want the same word share it, unless they update it
/// (`atomic`). Hardware may also share words among phases: that is not counted on. `least` is one
/// wavefront for each phase in which a lane takes part.
Cost shared_cost(const std::uint64_t* at, std::uint32_t lanes, int bytes, bool atomic);

/// Sectors of 32 bytes that global memory, or a cache before it, is asked for. `least` is how many
/// the bytes that are wanted would fill.
Cost global_cost(const std::uint64_t* at, std::uint32_t lanes, int bytes);

}  // namespace lacuna::bench
