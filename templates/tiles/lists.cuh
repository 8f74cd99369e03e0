// Lists of the tiles that a mask leaves, by row of tiles, and transposed by column: FULL ascending,
// then PARTIAL ascending. From the states of classify.cuh, so that nothing is classified twice; no
// atomics: the same bits every time. Or from states that another pass left: then nothing is
// classified. One kernel for all phases; TileBuildArg::phase says which of
// them a launch is (abi.h).
#pragma once
#include "tiles/classify.cuh"
#include "tiles/order.cuh"

namespace lacuna {

template <class Config, class Params>
struct TileLists {
  const Params& p;
  const TileClassifier<Config, Params> tiles;

  LACUNA_MEMBER explicit TileLists(const Params& params) : p(params), tiles(params) {}

  // Where the next FULL and PARTIAL tile of a list go.
  struct Cursor {
    u32 full, partial;
  };
  LACUNA_MEMBER void put(u64 indices, u32 at, s32 tile) const {
    if (at < (u32)p.tiles.capacity) store_global(indices + (u64)at * 4, tile);
  }

  LACUNA_MEMBER static Cursor cursor_at(u64 offsets, u32 row) {
    const U2 begin = load_global<U2>(offsets + (u64)row * 8);
    return {begin.x, begin.y};
  }

  // Of another lane.
  LACUNA_MEMBER static U2 state_of(const U2& state, u32 lane) {
    return {shuffle_idx(state.x, lane), shuffle_idx(state.y, lane)};
  }

  LACUNA_MEMBER void fill_row(u32 r) const {
    Cursor cursor = cursor_at(p.tiles.rows.offsets, r);
    const u32 bit = 1u << lane_index();
    LACUNA_NOUNROLL
    for (s32 first = 0; first < p.tiles.groups; first += 32) {
      const s32 mine = first + (s32)lane_index();
      U2 state = {0, 0};
      if (mine < p.tiles.groups) state = load_global<U2>(tiles.state_address(r, mine));
      LACUNA_NOUNROLL
      for (u32 open = ballot(state.x != 0); open != 0; open &= open - 1) {
        const u32 i = tiles.lowest(open);
        const U2 group = state_of(state, i);
        const u32 part = group.x & ~group.y, full = group.y & bit;
        const u32 at = full != 0 ? cursor.full + popcount(group.y & (bit - 1))
                                 : cursor.partial + popcount(part & (bit - 1));
        if ((group.x & bit) != 0)
          put(p.tiles.rows.indices, at, (first + (s32)i) * 32 + (s32)lane_index());
        cursor.full += popcount(group.y);
        cursor.partial += popcount(part);
      }
    }
  }

  // Counts the tiles of the columns of a group, a lane to each, or, once their cursors are known,
  // appends them.
  LACUNA_MEMBER void walk_columns(u32 index, bool fill) const {
    Place at;
    s32 group;
    if (!tiles.places.group(index, at, group)) return;
    const u32 list = index / (u32)p.tiles.k_groups, lane = lane_index();
    const s32 tile = group * 32 + (s32)lane, rows = tiles.places.tiles(at.q_len, Config::tile_q);
    const bool exists = tile < tiles.places.tiles(at.k_len, Config::tile_k);
    const u32 column = tiles.places.column_of(list, at) + (u32)tile;
    Cursor cursor = {0, 0};
    if (fill && exists) cursor = cursor_at(p.tiles.columns.offsets, column);
    LACUNA_NOUNROLL
    for (s32 first = 0; first < rows; first += 32) {
      const s32 mine = first + (s32)lane;
      U2 state = {0, 0};
      if (mine < rows)
        state = load_global<U2>(tiles.state_address(tiles.places.row_of(list, at, mine), group));
      LACUNA_NOUNROLL
      for (u32 open = ballot(state.x != 0); open != 0; open &= open - 1) {
        const u32 i = tiles.lowest(open);
        const U2 row = state_of(state, i);
        const u32 visited = row.x >> lane & 1, full = row.y >> lane & 1;
        if (fill && visited != 0)
          put(p.tiles.columns.indices, full != 0 ? cursor.full : cursor.partial, first + (s32)i);
        cursor.full += full;
        cursor.partial += visited & ~full;
      }
    }
    if (!fill && exists)
      store_global(p.tiles.columns.offsets + (u64)column * 8, U2{cursor.full, cursor.partial});
  }

  // Packed: slots that no sequence uses count nothing.
  LACUNA_MEMBER void clear_columns(u32 warp, u32 warps) const {
    if (p.tiles.columns.offsets == 0) return;
    LACUNA_NOUNROLL
    for (u64 c = warp * 32ull + lane_index(); c < tiles.places.columns(); c += warps * 32ull)
      store_global(p.tiles.columns.offsets + c * 8, U2{0, 0});
  }

  LACUNA_MEMBER void run(TilePhase phase, Ordering::Shared& shared) const {
    const bool ordering = phase == TilePhase::order_rows || phase == TilePhase::order_columns;
    const bool by_row = phase == TilePhase::classify || phase == TilePhase::order_rows ||
                        phase == TilePhase::fill_rows;
    if (ordering) {
      Ordering order = {shared, by_row ? p.tiles.rows.offsets : p.tiles.columns.offsets,
                        by_row ? p.tiles.rows.order : p.tiles.columns.order, p.tiles.order,
                        by_row ? tiles.places.rows() : tiles.places.columns()};
      order.scan();
      order.sort((u32)(by_row ? p.tiles.k_tiles : p.call.q_tiles));
      return;
    }
    const u32 index = block_index() * Ordering::warps + warp_index();
    const u32 count = by_row                          ? tiles.places.rows()
                      : phase == TilePhase::summarise ? tiles.places.columns()
                                                      : tiles.places.groups();
    if (phase == TilePhase::fill_rows && index < max_of(count, 1u))
      clear_columns(index, max_of(count, 1u));
    if (index >= count) return;
    if (phase == TilePhase::fill_rows)
      fill_row(index);
    else if (phase == TilePhase::count_columns || phase == TilePhase::fill_columns)
      walk_columns(index, phase == TilePhase::fill_columns);
    if constexpr (Config::classifies) {
      if (phase == TilePhase::summarise || phase == TilePhase::summarise_groups)
        tiles.summarise_keys(phase == TilePhase::summarise_groups, index);
      else if (phase == TilePhase::classify)
        tiles.classify_row(index);
    }
  }
};

template <class Config, class Params>
LACUNA_DEVICE void tile_lists(const Params& p) {
  LACUNA_DYNAMIC_SHARED(memory);
  TileLists<Config, Params>(p).run((TilePhase)p.tiles.phase, *(Ordering::Shared*)memory);
}

}  // namespace lacuna
