// The tiles that a mask leaves, as lists: Truth of each tile by interval analysis of its box, from
// spans of what its rows and its keys read, and where that is `some`, if the pattern asks for it,
// by its elements. A warp to a row of tiles; nothing of the size of the mask is ever stored:
//   states   2 bits for each tile: visited, FULL
//   lists    by row, and transposed by column: FULL ascending, then PARTIAL ascending
// One kernel; TileBuildArg::phase says which of its phases a launch is (abi.h).
#pragma once
#include "tiles/band.cuh"
#include "tiles/box.cuh"
#include "tiles/order.cuh"
#include "tiles/places.cuh"

namespace lacuna {

template <class Config, class Params>
struct TileLists {
  using Pattern = typename Config::Pattern;
  static constexpr int tile_q = Config::tile_q, tile_k = Config::tile_k;
  static constexpr int query_spans = max_of(Pattern::query_values, 1),
                       key_spans = max_of(Pattern::key_values, 1);
  static_assert(!Config::packed_heads, "a list's rows are queries of one head");

  const Params& p;
  Places<Config::lengths, tile_q, tile_k> places;

  LACUNA_MEMBER explicit TileLists(const Params& params)
      : p(params),
        places{params.call, params.tiles.rows.list_batch, params.tiles.rows.list_heads,
               params.tiles.k_tiles} {}

  // The hull of the packed spans of `count` points, one or more. A lane without one of its own
  // takes the last one again.
  template <int n, class At, class Hull>
  LACUNA_MEMBER static void summarise(U2 (&spans)[n], s32 count, At at, Hull hull) {
    U2 with[n] = {};
    LACUNA_NOUNROLL
    for (s32 i = 0; i < count; i += 32) {
      at(min_of(i + (s32)lane_index(), count - 1), with);
      LACUNA_UNROLL
      for (int e = 0; e < n; ++e) spans[e] = i == 0 ? with[e] : spans[e];
      hull(spans, with);
    }
    LACUNA_NOUNROLL
    for (u32 mask = 16; mask != 0; mask /= 2) {
      LACUNA_UNROLL
      for (int e = 0; e < n; ++e)
        with[e] = {shuffle_xor(spans[e].x, mask), shuffle_xor(spans[e].y, mask)};
      hull(spans, with);
    }
  }

  LACUNA_MEMBER u64 span_address(u32 column, int value) const {
    return p.tiles.spans + ((u64)value * places.columns() + column) * 8;
  }
  LACUNA_MEMBER u64 state_address(u32 row, s32 group) const {
    return p.tiles.states + ((u64)row * (u32)p.tiles.groups + (u32)group) * 8;
  }

  LACUNA_MEMBER void summarise_keys(u32 column) const {
    if constexpr (Pattern::key_values > 0) {
      Place at;
      s32 tile;
      if (!places.column(column, at, tile)) return;
      const Params& params = p;
      const s32 first = tile * tile_k;
      U2 spans[key_spans] = {};
      summarise(
          spans, min_of(tile_k, at.k_len - first),
          [&](s32 i, U2(&out)[key_spans]) { Pattern::key_at(params, at, first + i, out); },
          [](U2(&into)[key_spans], const U2(&with)[key_spans]) { Pattern::key_hull(into, with); });
      if (lane_index() == 0) {
        LACUNA_UNROLL
        for (int e = 0; e < key_spans; ++e) store_global(span_address(column, e), spans[e]);
      }
    }
  }

  // One tile of queries and what its warp knows of it.
  struct Row {
    Place at;
    u32 list;
    s32 row0, count;  // rows that exist
    s32 q0, q1;       // their positions: all of i32 where they wrap
    s32 begin, end;   // the key tiles that its closed form leaves
    U2 spans[query_spans];
  };

  // False: it visits nothing.
  LACUNA_MEMBER bool start(u32 r, Row& row) const {
    s32 number;
    row.begin = row.end = 0;
    if (!places.row(r, row.at, number) || row.at.k_len == 0) return false;
    const Params& params = p;
    const Place& at = row.at;
    row.list = r / (u32)p.call.q_tiles;
    row.row0 = number * tile_q;
    row.count = min_of(tile_q, at.q_len - row.row0);
    row.q0 = wrap_add(row.row0, at.offset);
    row.q1 = wrap_add(row.row0 + row.count - 1, at.offset);
    Tile tile = {row.q0, row.q1, at.k_len, {0, at.k_len}, {0, at.k_len}};
    Pattern::narrow(p, at, tile);
    if (tile.visit.begin >= tile.visit.end) return false;
    row.begin = tile.visit.begin / tile_k;
    row.end = (tile.visit.end - 1) / tile_k + 1;
    if (row.q1 < row.q0) {
      row.q0 = -2147483647 - 1;
      row.q1 = 2147483647;
    }
    if constexpr (Pattern::query_values > 0) {
      const s32 row0 = row.row0;
      summarise(
          row.spans, row.count,
          [&](s32 i, U2(&out)[query_spans]) {
            Pattern::query_at(params, at, wrap_add(row0 + i, at.offset), out);
          },
          [](U2(&into)[query_spans], const U2(&with)[query_spans]) {
            Pattern::query_hull(into, with);
          });
    }
    return true;
  }

  LACUNA_MEMBER Truth classify(const Row& row, s32 tile) const {
    U2 spans[key_spans] = {};
    if constexpr (Pattern::key_values > 0) {
      const u32 column = places.column_of(row.list, row.at, tile);
      LACUNA_UNROLL
      for (int e = 0; e < key_spans; ++e) spans[e] = load_global<U2>(span_address(column, e));
    }
    const s32 k0 = tile * tile_k, keys = min_of(tile_k, row.at.k_len - k0);
    return Pattern::classify(p, row.at, Box{row.q0, row.q1, k0, k0 + keys - 1}, row.spans, spans);
  }

  // The truth of a tile by its elements, by the whole warp, until both kinds have been seen.
  LACUNA_MEMBER Truth test(const Row& row, s32 tile) const {
    constexpr s32 steps = (tile_k + 31) / 32;  // of a query
    const s32 k0 = tile * tile_k, last = min_of(tile_k, row.at.k_len - k0) - 1;
    bool some = false, all = true;
    LACUNA_NOUNROLL
    for (s32 i = 0; i < row.count * steps && (all || !some); ++i) {
      const s32 q = wrap_add(row.row0 + i / steps, row.at.offset),
                k = k0 + min_of(i % steps * 32 + (s32)lane_index(), last);
      const u32 attending = ballot(Pattern::attends(p, row.at, q, k));
      some |= attending != 0;
      all &= attending == 0xffffffffu;
    }
    return !some ? Truth::none : all ? Truth::all : Truth::some;
  }

  // Visited and FULL of the 32 tiles of a group. The reader tells keys beyond the last from others
  // in PARTIAL tiles only.
  LACUNA_MEMBER U2 classify_group(const Row& row, s32 group) const {
    const s32 tile = group * 32 + (s32)lane_index();
    Truth truth = Truth::none;
    if (tile >= row.begin && tile < row.end) truth = classify(row, tile);
    u32 visited = ballot(truth != Truth::none), full = ballot(truth == Truth::all);
    if constexpr (Pattern::needs_elements) {
      u32 open = visited & ~full;
      LACUNA_NOUNROLL
      while (open != 0) {
        const u32 at = 31 - count_leading_zeros(open), bit = 1u << at;
        open ^= bit;
        const Truth exact = test(row, group * 32 + (s32)at);
        if (exact == Truth::none) visited ^= bit;
        if (exact == Truth::all) full |= bit;
      }
    }
    const s32 whole = row.at.k_len / tile_k - group * 32;  // tiles with all their keys
    if (whole < 32) full &= whole <= 0 ? 0 : (1u << whole) - 1;
    return {visited, full};
  }

  LACUNA_MEMBER void classify_row(u32 r) const {
    Row row = {};
    const bool visits = start(r, row);
    u32 full = 0, partial = 0;
    LACUNA_NOUNROLL
    for (s32 group = 0; group < p.tiles.groups; ++group) {
      U2 state = {0, 0};
      if (visits && group * 32 < row.end && group * 32 + 32 > row.begin)
        state = classify_group(row, group);
      if (lane_index() == 0) store_global(state_address(r, group), state);
      full += popcount(state.y);
      partial += popcount(state.x & ~state.y);
    }
    if (lane_index() == 0) store_global(p.tiles.rows.offsets + (u64)r * 8, U2{full, partial});
  }

  // ---- Lists from states. ----
  // Where the next FULL and PARTIAL tile of a list go.
  struct Cursor {
    u32 full, partial;
  };
  // Appends 32 tiles, of which this lane's is `tile`.
  LACUNA_MEMBER void append(Cursor& cursor, const U2& state, s32 tile, u64 to) const {
    const u32 lane = 1u << lane_index(), part = state.x & ~state.y;
    if (to != 0 && (state.x & lane) != 0) {
      const u32 at = (state.y & lane) != 0 ? cursor.full + popcount(state.y & (lane - 1))
                                           : cursor.partial + popcount(part & (lane - 1));
      if (at < (u32)p.tiles.capacity) store_global(to + (u64)at * 4, tile);
    }
    cursor.full += popcount(state.y);
    cursor.partial += popcount(part);
  }

  LACUNA_MEMBER static Cursor cursor_at(u64 offsets, u32 row) {
    const U2 begin = load_global<U2>(offsets + (u64)row * 8);
    return {begin.x, begin.y};
  }

  LACUNA_MEMBER void fill_row(u32 r) const {
    Cursor cursor = cursor_at(p.tiles.rows.offsets, r);
    LACUNA_NOUNROLL
    for (s32 group = 0; group < p.tiles.groups; ++group) {
      const U2 state = load_global<U2>(state_address(r, group));
      if (state.x != 0) append(cursor, state, group * 32 + (s32)lane_index(), p.tiles.rows.indices);
    }
  }

  // Counts a column's tiles, or, once its cursor is known, appends them.
  LACUNA_MEMBER void walk_column(u32 column, bool fill) const {
    Place at;
    s32 tile;
    Cursor cursor = {0, 0};
    if (fill) cursor = cursor_at(p.tiles.columns.offsets, column);
    if (places.column(column, at, tile)) {
      const u32 list = column / (u32)p.tiles.k_tiles;
      const s32 tiles = places.tiles(at.q_len, tile_q);
      LACUNA_NOUNROLL
      for (s32 first = 0; first < tiles; first += 32) {
        const s32 mine = first + (s32)lane_index();
        U2 state = {0, 0};
        if (mine < tiles)
          state = load_global<U2>(state_address(places.row_of(list, at, mine), tile / 32));
        const u32 bit = 1u << (tile & 31);
        const U2 states = {ballot((state.x & bit) != 0), ballot((state.y & bit) != 0)};
        append(cursor, states, mine, fill ? p.tiles.columns.indices : 0);
      }
    }
    if (!fill && lane_index() == 0)
      store_global(p.tiles.columns.offsets + (u64)column * 8, U2{cursor.full, cursor.partial});
  }

  LACUNA_MEMBER void run(TilePhase phase, Ordering::Shared& shared) const {
    const bool ordering = phase == TilePhase::order_rows || phase == TilePhase::order_columns;
    const bool by_row = phase == TilePhase::classify || phase == TilePhase::order_rows ||
                        phase == TilePhase::fill_rows;
    const u32 rows = by_row ? places.rows() : places.columns();
    if (ordering) {
      Ordering order = {shared, by_row ? p.tiles.rows.offsets : p.tiles.columns.offsets,
                        by_row ? p.tiles.rows.order : p.tiles.columns.order, p.tiles.order, rows};
      order.scan();
      order.sort((u32)(by_row ? p.tiles.k_tiles : p.call.q_tiles));
      return;
    }
    const u32 row = block_index() * Ordering::warps + warp_index();
    if (row >= rows) return;
    if (phase == TilePhase::summarise)
      summarise_keys(row);
    else if (phase == TilePhase::classify)
      classify_row(row);
    else if (phase == TilePhase::fill_rows)
      fill_row(row);
    else
      walk_column(row, phase == TilePhase::fill_columns);
  }
};

template <class Config, class Params>
LACUNA_DEVICE void tile_lists(const Params& p) {
  LACUNA_DYNAMIC_SHARED(memory);
  TileLists<Config, Params>(p).run((TilePhase)p.tiles.phase, *(Ordering::Shared*)memory);
}

}  // namespace lacuna
