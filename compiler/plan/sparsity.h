#pragma once
#include "compiler/plan/lists.h"
#include "compiler/plan/plan.h"

#include <cstdint>

namespace lacuna::plan {

/// What a call whose spec asks for sparsity writes (SparsityArg of templates/abi.h), and where.
struct SparsityLayout {
  std::int32_t tile_q = 0, tile_k = 0;  ///< of accumulate
  std::int32_t q_tiles = 0;             ///< of a head
  std::int64_t tiles = 0;               ///< of queries, of all heads
  std::int32_t key_words = 0;           ///< of a tile of queries
  Buffer rows, live_tiles, live_keys;
  std::uint64_t bytes = 0;
};

/// Of calls that end with this accumulate pass. Throws Error{argument} as grid does.
SparsityLayout sparsity_layout(const Spec& spec, const Pass& accumulate, const Shape& shape);
/// Of the first of the accumulate passes that such a call may end with.
SparsityLayout sparsity_layout(const Plan& plan, const Shape& shape);
/// Bytes at most, whichever of the legal schedules compiles best.
std::uint64_t sparsity_bytes(const Plan& plan, const Shape& shape);

}  // namespace lacuna::plan
