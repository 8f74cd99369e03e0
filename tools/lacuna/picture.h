#pragma once
#include "compiler/plan/tile_map.h"
#include "tools/lacuna/report.h"

#include <string>
#include <vector>

namespace lacuna::tool {

/// The mask of one head of one sequence, pair by pair, and the tiles that a kernel visits for it.
struct Picture {
  std::string title;               ///< "local_docs"
  std::string subtitle;            ///< "head 0 of 4, 67 queries, 131 keys"
  std::vector<std::string> masks;  ///< as written
  std::int64_t rows = 0, columns = 0;
  std::int32_t first_position = 0;  ///< q of row 0
  std::vector<std::uint8_t> live;   ///< rows x columns
  plan::TileMap tiles;
  std::string tiled_by;  ///< "flash_forward on sm_90"
  std::string no_plan;   ///< why no kernel visits them; usually ""
  std::string_view pairs_are = "attend";  ///< those of `live`
};

/// A picture made of square cells, each `step` x `step` pairs.
struct Cells {
  struct Cell {
    float density = 0;  ///< the share of its pairs that attend
    plan::TileState state =
        plan::TileState::skipped;  ///< partial where tiles of several states meet
  };
  std::int64_t step = 1, rows = 0, columns = 0;
  std::vector<Cell> cells;
  const Cell& at(std::int64_t row, std::int64_t column) const {
    return cells[row * columns + column];
  }
};
/// The smallest step with which no side exceeds its limit.
Cells shrink(const Picture& picture, std::int64_t most_rows, std::int64_t most_columns);

/// Every tile by looking at its pairs.
plan::TileMap classify(const Picture& picture, const plan::Schedule& schedule);

/// What the legend says.
struct Counts {
  std::int64_t full = 0, partial = 0, skipped = 0, live = 0, pairs = 0,
               visited = 0;  ///< visited: pairs in tiles
  double share(std::int64_t tiles) const;
};
Counts count(const Picture& picture);

/// With half blocks and colours, or plain: half blocks where a pair fits a cell, else dithered
/// braille.
std::string draw_text(const Picture& picture, const Terminal& terminal);
/// Of at most `cells` cells along the longer side: more are finer, and a larger file.
std::string draw_svg(const Picture& picture, std::int64_t cells);
/// Two of the same extents, side by side.
std::string draw_svg(const Picture& left, const Picture& right, std::int64_t cells);

}  // namespace lacuna::tool
