#pragma once
#include "compiler/ir/evaluate.h"
#include "compiler/plan/plan.h"

#include <vector>

namespace lacuna::plan {

enum class TileState : std::uint8_t { skipped, partial, full };

/// Which tiles of one head of one sequence a pass visits, and how: what templates/flash_forward.cuh
/// does, on the host.
struct TileMap {
  int tile_q = 0, tile_k = 0;
  std::int64_t rows = 0, columns = 0;  ///< in tiles
  std::vector<TileState> states;       ///< rows x columns
  std::int64_t count(TileState state) const;
  TileState at(std::int64_t row, std::int64_t column) const {
    return states[row * columns + column];
  }
};

/// `site` gives b, h, g, lengths and extents of the sequence; `offset` turns rows into positions.
TileMap tile_map(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
                 const ir::Bindings& bindings);

/// How many tiles there are of each state, without keeping them: for any lengths.
struct TileCounts {
  std::int64_t full = 0, partial = 0, skipped = 0;
};
TileCounts count_tiles(const Plan& plan, const Pass& pass, const ir::Site& site,
                       std::int32_t offset, const ir::Bindings& bindings);

}  // namespace lacuna::plan
