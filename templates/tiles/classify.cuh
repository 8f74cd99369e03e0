// States of tiles, 2 bits each: visited, FULL. Truth of each tile by interval analysis of its box,
// from spans of what its rows and its keys read, and where that is `some`, if the pattern asks for
// it, by its elements. A warp to a row of tiles; 32 tiles together first, so that most are never
// looked at where few are visited. Where rows are few, several warps of a CTA share each. Nothing
// of the size of the mask is ever stored.
#pragma once
#include "tiles/band.cuh"
#include "tiles/box.cuh"
#include "tiles/places.cuh"

namespace lacuna {

LACUNA_DEVICE constexpr s32 common_divisor(s32 a, s32 b) {
  return b == 0 ? a : common_divisor(b, a % b);
}

// What it asks of Config::Pattern, n = query_values and m = key_values, both perhaps 0:
//   query_at, key_at     the spans at a position of what depends on the query, or the key, alone
//   query_hull, key_hull widen spans by others; the order does not matter, nor how often
//   classify             of a box, from the hulls over its rows and keys: sound, whatever they are
//   needs_elements       `attends` shall settle what classify leaves open
//   narrow               closed-form ranges (band.cuh); only `visit` is used
template <class Config, class Params>
struct TileClassifier {
  using Pattern = typename Config::Pattern;
  static constexpr int tile_q = Config::tile_q, tile_k = Config::tile_k;
  static constexpr int query_spans = max_of(Pattern::query_values, 1),
                       key_spans = max_of(Pattern::key_values, 1);
  static_assert(!Config::packed_heads, "a list's rows are queries of one head");

  const Params& p;
  Places<Config::lengths, tile_q, tile_k> places;

  LACUNA_MEMBER explicit TileClassifier(const Params& params)
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

  // The states of row r in groups part, part + parts, ...; how many of their tiles are FULL, and
  // how many PARTIAL.
  LACUNA_MEMBER U2 classify_row(u32 r, s32 part) const {
    Row row = {};
    const bool visits = start(r, row);
    const s32 lane = (s32)lane_index(), parts = p.tiles.parts;
    u32 full = 0, partial = 0, open = 0;  // groups, of 32 at hand, with tiles to classify
    U2 state = {0, 0};                    // of this lane's group
    // By turns 32 groups, a lane to each, and the 32 tiles of a group that is not dead.
    s32 first = part - 32 * parts, mine = first + lane * parts;
    LACUNA_NOUNROLL
    for (;;) {
      const bool coarse = open == 0;
      if (coarse) {
        if (first >= 0 && mine < p.tiles.groups) store_global(state_address(r, mine), state);
        first += 32 * parts;
        mine += 32 * parts;
        if (first >= p.tiles.groups) break;
        state = {0, 0};
      }
      const s32 group = first + (s32)lowest(open) * parts,
                number = coarse ? mine : group * 32 + lane;
      const s32 size = coarse ? 32 : 1;
      Truth truth = Truth::none;
      if (visits && number * size < row.end && number * size + size > row.begin)
        truth = classify(row, coarse, number);
      if (coarse) {
        open = ballot(truth != Truth::none);
      } else {
        open &= open - 1;
        const U2 settled = settle(row, group, truth);
        if (mine == group) state = settled;
        full += popcount(settled.y);
        partial += popcount(settled.x & ~settled.y);
      }
    }
    return {full, partial};
  }
};

}  // namespace lacuna
