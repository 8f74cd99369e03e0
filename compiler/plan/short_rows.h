#pragma once
#include "compiler/plan/plan.h"

#include <cstddef>
#include <cstdint>

namespace lacuna::plan {

/// α-entmax of short rows in one launch: *short_rows* keeps all scores of a tile of queries in
/// shared memory. There is a pass for tiles of 64, of 32 and of 16 queries, with room for ever more
/// keys, and for 2048 at most; those that the GPU has no room for are left out, and all where the
/// spec asks for sparsity.
void add_short_rows(Plan& plan);
/// Queries of the tiles that a call takes however many CTAs there are.
inline constexpr int widest_short_tile = 64;

/// The pass that a call takes, or 0: that with the most queries to a tile that has room for all its
/// keys. Tiles of 32 and 16 queries read K and V from L2 for few rows each, and are taken only
/// where the plain grid would leave SMs idle. Not where the spec asks for sparsity, nor where a
/// schedule is asked for by name, which is threshold's and accumulate's.
std::size_t short_rows_of(const Plan& plan, const Shape& shape);

/// What a CTA has in shared memory where rows have so many keys at most: with fewer an SM holds
/// more CTAs.
int short_rows_shared_bytes(const Pass& pass, const Spec& spec, std::int64_t keys);

/// Warps that share the rows of a tile, each with tiles of keys of its own.
int key_warps(const Pass& pass);
/// Tiles of keys that a warp has at most.
int turns_of(const Pass& pass);

}  // namespace lacuna::plan
