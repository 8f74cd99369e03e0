#pragma once
#include "compiler/plan/plan.h"
#include "templates/abi.h"

#include <cstdint>
#include <string>

namespace lacuna::plan {

/// The pass that makes the lists that another reads.
Pass lists_for(const Pass& reader);

/// From the conjuncts of a plan.
ListTraits list_traits(const Plan& plan);

/// Part of a workspace. No bytes: not needed.
struct Buffer {
  std::uint64_t at = 0;  ///< a multiple of 16
  std::uint64_t bytes = 0;
};

/// The tile lists of a call, and the workspace that holds them: first what their readers keep, then
/// what only building them needs.
struct TileLists {
  std::int32_t list_batch = 1, list_heads = 1;
  std::int32_t q_tiles = 0, k_tiles = 0;  ///< slots of a list; CallArg::q_tiles is as great
  std::int32_t k_groups = 0;              ///< slots of groups of 32 key tiles
  std::int32_t groups = 0;                ///< of a row of states
  std::int32_t rows = 0, columns = 0, key_groups = 0;  ///< of all lists
  std::int32_t parts = 1;  ///< warps that classify a row together: several where rows are few
  std::int32_t capacity = 0;                           ///< indices, were every tile visited
  bool transposed = false;
  Buffer row_offsets, row_order, row_indices;
  Buffer column_offsets, column_order, column_indices;
  std::uint64_t kept = 0;  ///< bytes of what is above
  Buffer spans, states, spare_order;
  std::uint64_t bytes = 0;  ///< of the whole workspace
};

/// Throws Error{argument} above 2^31 - 1 tiles, or slots of tiles.
TileLists tile_lists(const Pass& pass, const Spec& spec, const Shape& shape,
                     const ListTraits& traits);

/// CTAs of a phase; 0: it is not launched. Phases run in the order of TilePhase, each a launch of
/// its own on one stream, of tile_list_threads and tile_list_shared_bytes.
std::uint64_t blocks(const TileLists& lists, TilePhase phase);

/// Why the calls of a shape make no lists: what there is too much of to be numbered, whichever of
/// the legal schedules compiles best and whether each sequence has an offset of its own. "": they
/// do.
std::string list_limit(const Plan& plan, const Shape& shape);

/// Bytes that the tile lists of a call take at most, whichever of the legal schedules compiles best
/// and whether each sequence has an offset of its own.
std::uint64_t list_bytes(const Plan& plan, const Shape& shape);

/// What a pass is given that reads them.
TileReadArg read_arg(const TileLists& lists, const Shape& shape, const Spec& spec,
                     std::uint64_t workspace);

/// The argument of a phase, for a workspace at that address.
TileBuildArg build_arg(const TileLists& lists, std::uint64_t workspace, TilePhase phase);

}  // namespace lacuna::plan
