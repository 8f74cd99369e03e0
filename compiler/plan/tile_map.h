#pragma once
#include "compiler/ir/evaluate.h"
#include "compiler/plan/plan.h"

#include <vector>

namespace lacuna::plan {

enum class TileState : std::uint8_t { skipped, partial, full };

/// What decided about tiles.
struct Reasons {
  std::int64_t outside = 0;  ///< skipped by the closed form of bands
  std::int64_t tested = 0;   ///< left open by spans, and settled by elements:
  std::int64_t emptied = 0;  ///< skipped for it
  std::int64_t filled = 0;   ///< FULL for it
  Reasons& operator+=(const Reasons& more);
};

/// Which tiles of one head of one sequence a pass visits, and how: what templates/flash_forward.cuh
/// does, or templates/tiles/classify.cuh where the pass reads lists, on the host.
struct TileMap {
  int tile_q = 0, tile_k = 0;
  std::int64_t rows = 0, columns = 0;  ///< in tiles
  std::vector<TileState> states;       ///< rows x columns
  Reasons reasons;
  std::int64_t count(TileState state) const;
  TileState at(std::int64_t row, std::int64_t column) const {
    return states[row * columns + column];
  }
};

/// `site` gives b, h, g, lengths and extents of the sequence; `offset` turns rows into positions.
/// Where elements are tested, a read outside its tensor throws as `bindings` do.
TileMap tile_map(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
                 const ir::Bindings& bindings);

/// How many tiles there are of each state, without keeping them: for any lengths where bands alone
/// decide, else as many as can be classified.
struct TileCounts {
  std::int64_t full = 0, partial = 0, skipped = 0;
  Reasons reasons = {};
  std::int64_t visited() const { return full + partial; }
  std::int64_t all() const { return visited() + skipped; }
  TileCounts& operator+=(const TileCounts& more);
};
TileCounts count_tiles(const Plan& plan, const Pass& pass, const ir::Site& site,
                       std::int32_t offset, const ir::Bindings& bindings);

/// The fewest that any kernel could visit: tiles with a live element, and the FULL ones of them,
/// by their elements. `everywhere`: every tile is looked at; else those that the pass finds
/// PARTIAL, which is much less work, and relies on the others.
enum class Look : bool { partial, everywhere };
TileCounts least_tiles(const Plan& plan, const Pass& pass, const ir::Site& site,
                       std::int32_t offset, const ir::Bindings& bindings, Look look);

}  // namespace lacuna::plan
