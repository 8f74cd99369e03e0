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

LACUNA_DEVICE constexpr s32 common_divisor(s32 a, s32 b) {
  return b == 0 ? a : common_divisor(b, a % b);
}

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
               params.tiles.k_tiles, params.tiles.k_groups} {}

  LACUNA_MEMBER static u32 lowest(u32 bits) { return popcount(~bits & (bits - 1)); }

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

  // Of a column, or of a group of them.
  LACUNA_MEMBER u64 span_address(bool group, u32 index, int value) const {
    const u32 columns = places.columns(), groups = places.groups();
    const u64 first = group ? (u64)key_spans * columns + (u64)value * groups : (u64)value * columns;
    return p.tiles.spans + (first + index) * 8;
  }
  LACUNA_MEMBER void load_spans(bool group, u32 index, U2 (&spans)[key_spans]) const {
    if constexpr (Pattern::key_values > 0) {
      LACUNA_UNROLL
      for (int e = 0; e < key_spans; ++e) spans[e] = load_global<U2>(span_address(group, index, e));
    }
  }
  LACUNA_MEMBER u64 state_address(u32 row, s32 group) const {
    return p.tiles.states + ((u64)row * (u32)p.tiles.groups + (u32)group) * 8;
  }

  // The spans of a key tile, from its keys, or of a group, from its tiles.
  LACUNA_MEMBER void summarise_keys(bool group, u32 index) const {
    if constexpr (Pattern::key_values > 0) {
      Place at;
      s32 number;
      if (!(group ? places.group(index, at, number) : places.column(index, at, number))) return;
      U2 spans[key_spans] = {};
      const auto hull = [](U2(&into)[key_spans], const U2(&with)[key_spans]) {
        Pattern::key_hull(into, with);
      };
      if (group) {
        const s32 first = number * 32, count = min_of(32, places.tiles(at.k_len, tile_k) - first);
        const u32 column = places.column_of(index / (u32)p.tiles.k_groups, at) + (u32)first;
        summarise(
            spans, count,
            [&](s32 i, U2(&out)[key_spans]) { load_spans(false, column + (u32)i, out); }, hull);
      } else {
        const Params& params = p;
        const s32 first = number * tile_k;
        summarise(
            spans, min_of(tile_k, at.k_len - first),
            [&](s32 i, U2(&out)[key_spans]) { Pattern::key_at(params, at, first + i, out); }, hull);
      }
      if (lane_index() == 0) {
        LACUNA_UNROLL
        for (int e = 0; e < key_spans; ++e) store_global(span_address(group, index, e), spans[e]);
      }
    }
  }

  // One tile of queries and what its warp knows of it.
  struct Row {
    Place at;
    u32 column, group;  // of the first key tile
    s32 row0, count;    // rows that exist
    s32 q0, q1;         // their positions: all of i32 where they wrap
    s32 begin, end;     // the key tiles that its closed form leaves
    U2 spans[query_spans];
  };

  // False: it visits nothing.
  LACUNA_MEMBER bool start(u32 r, Row& row) const {
    s32 number;
    row.begin = row.end = 0;
    if (!places.row(r, row.at, number) || row.at.k_len == 0) return false;
    const Params& params = p;
    const Place& at = row.at;
    row.column = places.column_of(r / (u32)p.call.q_tiles, at);
    row.group = places.group_of(r / (u32)p.call.q_tiles, at);
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

  // The truth of a key tile, or of a group of them.
  LACUNA_MEMBER Truth classify(const Row& row, bool group, s32 number) const {
    U2 spans[key_spans] = {};
    load_spans(group, (group ? row.group : row.column) + (u32)number, spans);
    const s32 size = group ? places.group_keys : tile_k, k0 = number * size;
    const Box box = {row.q0, row.q1, k0, k0 + min_of(size, row.at.k_len - k0) - 1};
    return Pattern::classify(p, row.at, box, row.spans, spans);
  }

  // The truth of a tile by its elements, by the whole warp, until both kinds have been seen. Rows
  // far apart come first: neighbours are often alike.
  LACUNA_MEMBER Truth test(const Row& row, s32 tile) const {
    constexpr s32 stride = tile_q * 5 / 8 | 1;
    static_assert(common_divisor(stride, tile_q) == 1, "every row is met");
    const s32 k0 = tile * tile_k, last = min_of(tile_k, row.at.k_len - k0) - 1;
    const s32 step = row.count == tile_q ? stride : 1;
    s32 r = 0, column = 0;
    bool some = false, all = true;
    LACUNA_NOUNROLL
    for (s32 left = row.count; left > 0 && (all || !some);) {
      const s32 q = wrap_add(row.row0 + r, row.at.offset),
                k = k0 + min_of(column + (s32)lane_index(), last);
      const u32 attending = ballot(Pattern::attends(p, row.at, q, k));
      some |= attending != 0;
      all &= attending == 0xffffffffu;
      column += 32;
      if (column < tile_k) continue;
      column = 0;
      r += r + step < row.count ? step : step - row.count;
      --left;
    }
    return !some ? Truth::none : all ? Truth::all : Truth::some;
  }

  // Visited and FULL of the 32 tiles of a group, from the truth of this lane's tile. The reader
  // tells keys beyond the last from others in PARTIAL tiles only.
  LACUNA_MEMBER U2 settle(const Row& row, s32 group, Truth truth) const {
    u32 visited = ballot(truth != Truth::none), full = ballot(truth == Truth::all);
    if constexpr (Pattern::needs_elements) {
      u32 open = visited & ~full;
      LACUNA_NOUNROLL
      while (open != 0) {
        const u32 at = lowest(open), bit = 1u << at;
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
    const s32 lane = (s32)lane_index();
    u32 full = 0, partial = 0, open = 0;  // groups, of 32 at hand, with tiles to classify
    U2 state = {0, 0};                    // of this lane's group
    // By turns 32 groups, a lane to each, and the 32 tiles of a group that is not dead.
    s32 first = -32;
    LACUNA_NOUNROLL
    for (;;) {
      const bool coarse = open == 0;
      if (coarse) {
        if (first >= 0 && first + lane < p.tiles.groups)
          store_global(state_address(r, first + lane), state);
        first += 32;
        if (first >= p.tiles.groups) break;
        state = {0, 0};
      }
      const s32 group = first + (s32)lowest(open),
                number = coarse ? first + lane : group * 32 + lane;
      const s32 size = coarse ? 32 : 1;
      Truth truth = Truth::none;
      if (visits && number * size < row.end && number * size + size > row.begin)
        truth = classify(row, coarse, number);
      if (coarse) {
        open = ballot(truth != Truth::none);
      } else {
        open &= open - 1;
        const U2 settled = settle(row, group, truth);
        if (first + lane == group) state = settled;
        full += popcount(settled.y);
        partial += popcount(settled.x & ~settled.y);
      }
    }
    if (lane == 0) store_global(p.tiles.rows.offsets + (u64)r * 8, U2{full, partial});
  }

  // ---- Lists from states. ----
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
      if (mine < p.tiles.groups) state = load_global<U2>(state_address(r, mine));
      LACUNA_NOUNROLL
      for (u32 open = ballot(state.x != 0); open != 0; open &= open - 1) {
        const u32 i = lowest(open);
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
    if (!places.group(index, at, group)) return;
    const u32 list = index / (u32)p.tiles.k_groups, lane = lane_index();
    const s32 tile = group * 32 + (s32)lane, rows = places.tiles(at.q_len, tile_q);
    const bool exists = tile < places.tiles(at.k_len, tile_k);
    const u32 column = places.column_of(list, at) + (u32)tile;
    Cursor cursor = {0, 0};
    if (fill && exists) cursor = cursor_at(p.tiles.columns.offsets, column);
    LACUNA_NOUNROLL
    for (s32 first = 0; first < rows; first += 32) {
      const s32 mine = first + (s32)lane;
      U2 state = {0, 0};
      if (mine < rows) state = load_global<U2>(state_address(places.row_of(list, at, mine), group));
      LACUNA_NOUNROLL
      for (u32 open = ballot(state.x != 0); open != 0; open &= open - 1) {
        const u32 i = lowest(open);
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
    for (u64 c = warp * 32ull + lane_index(); c < places.columns(); c += warps * 32ull)
      store_global(p.tiles.columns.offsets + c * 8, U2{0, 0});
  }

  LACUNA_MEMBER void run(TilePhase phase, Ordering::Shared& shared) const {
    const bool ordering = phase == TilePhase::order_rows || phase == TilePhase::order_columns;
    const bool by_row = phase == TilePhase::classify || phase == TilePhase::order_rows ||
                        phase == TilePhase::fill_rows;
    if (ordering) {
      Ordering order = {shared, by_row ? p.tiles.rows.offsets : p.tiles.columns.offsets,
                        by_row ? p.tiles.rows.order : p.tiles.columns.order, p.tiles.order,
                        by_row ? places.rows() : places.columns()};
      order.scan();
      order.sort((u32)(by_row ? p.tiles.k_tiles : p.call.q_tiles));
      return;
    }
    const u32 index = block_index() * Ordering::warps + warp_index();
    const u32 count = by_row                          ? places.rows()
                      : phase == TilePhase::summarise ? places.columns()
                                                      : places.groups();
    if (phase == TilePhase::fill_rows && index < max_of(count, 1u))
      clear_columns(index, max_of(count, 1u));
    if (index >= count) return;
    if (phase == TilePhase::summarise || phase == TilePhase::summarise_groups)
      summarise_keys(phase == TilePhase::summarise_groups, index);
    else if (phase == TilePhase::classify)
      classify_row(index);
    else if (phase == TilePhase::fill_rows)
      fill_row(index);
    else
      walk_columns(index, phase == TilePhase::fill_columns);
  }
};

template <class Config, class Params>
LACUNA_DEVICE void tile_lists(const Params& p) {
  LACUNA_DYNAMIC_SHARED(memory);
  TileLists<Config, Params>(p).run((TilePhase)p.tiles.phase, *(Ordering::Shared*)memory);
}

}  // namespace lacuna
