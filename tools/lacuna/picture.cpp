#include "tools/lacuna/picture.h"

#include <algorithm>

namespace lacuna::tool {
namespace {

using plan::TileState;

/// The state of the tiles that rows [row, row + step) and columns [column, column + step) touch.
TileState state_of(const Picture& picture, std::int64_t row, std::int64_t column,
                   std::int64_t step) {
  const plan::TileMap& tiles = picture.tiles;
  std::int64_t last_row = std::min(row + step, picture.rows) - 1;
  std::int64_t last_column = std::min(column + step, picture.columns) - 1;
  TileState first = tiles.at(row / tiles.tile_q, column / tiles.tile_k);
  for (std::int64_t i = row / tiles.tile_q; i <= last_row / tiles.tile_q; ++i) {
    for (std::int64_t j = column / tiles.tile_k; j <= last_column / tiles.tile_k; ++j) {
      if (tiles.at(i, j) != first) return TileState::partial;
    }
  }
  return first;
}

float density_of(const Picture& picture, std::int64_t row, std::int64_t column, std::int64_t step) {
  std::int64_t last_row = std::min(row + step, picture.rows);
  std::int64_t last_column = std::min(column + step, picture.columns);
  std::int64_t live = 0;
  for (std::int64_t i = row; i < last_row; ++i) {
    for (std::int64_t j = column; j < last_column; ++j)
      live += picture.live[i * picture.columns + j];
  }
  return static_cast<float>(live) / static_cast<float>((last_row - row) * (last_column - column));
}

}  // namespace

Cells shrink(const Picture& picture, std::int64_t most_rows, std::int64_t most_columns) {
  auto parts = [](std::int64_t whole, std::int64_t part) { return (whole + part - 1) / part; };
  Cells cells;
  cells.step = std::max(
      {std::int64_t{1}, parts(picture.rows, most_rows), parts(picture.columns, most_columns)});
  cells.rows = parts(picture.rows, cells.step);
  cells.columns = parts(picture.columns, cells.step);
  for (std::int64_t row = 0; row < cells.rows; ++row) {
    for (std::int64_t column = 0; column < cells.columns; ++column) {
      std::int64_t i = row * cells.step, j = column * cells.step;
      cells.cells.push_back(
          {density_of(picture, i, j, cells.step), state_of(picture, i, j, cells.step)});
    }
  }
  return cells;
}

plan::TileMap classify(const Picture& picture, const plan::Schedule& schedule) {
  plan::TileMap map{schedule.tile_q, schedule.tile_k, 0, 0, {}};
  map.rows = (picture.rows + map.tile_q - 1) / map.tile_q;
  map.columns = (picture.columns + map.tile_k - 1) / map.tile_k;
  for (std::int64_t i = 0; i < map.rows; ++i) {
    for (std::int64_t j = 0; j < map.columns; ++j) {
      std::int64_t live = 0, pairs = 0;
      for (std::int64_t q = i * map.tile_q; q < std::min((i + 1) * map.tile_q, picture.rows); ++q) {
        for (std::int64_t k = j * map.tile_k; k < std::min((j + 1) * map.tile_k, picture.columns);
             ++k) {
          live += picture.live[q * picture.columns + k];
          ++pairs;
        }
      }
      map.states.push_back(live == 0       ? TileState::skipped
                           : live == pairs ? TileState::full
                                           : TileState::partial);
    }
  }
  return map;
}

double Counts::share(std::int64_t tiles) const {
  std::int64_t all = full + partial + skipped;
  return all > 0 ? 100 * static_cast<double>(tiles) / static_cast<double>(all) : 0;
}

Counts count(const Picture& picture) {
  const plan::TileMap& tiles = picture.tiles;
  Counts counts{tiles.count(TileState::full), tiles.count(TileState::partial),
                tiles.count(TileState::skipped)};
  counts.pairs = picture.rows * picture.columns;
  counts.live = std::count(picture.live.begin(), picture.live.end(), 1);
  for (std::int64_t i = 0; i < tiles.rows; ++i) {
    for (std::int64_t j = 0; j < tiles.columns; ++j) {
      if (tiles.at(i, j) == TileState::skipped) continue;
      std::int64_t height = std::min<std::int64_t>(tiles.tile_q, picture.rows - i * tiles.tile_q);
      std::int64_t width = std::min<std::int64_t>(tiles.tile_k, picture.columns - j * tiles.tile_k);
      counts.visited += height * width;
    }
  }
  return counts;
}

}  // namespace lacuna::tool
