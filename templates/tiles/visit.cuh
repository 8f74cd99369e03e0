// Which tiles of keys a CTA visits, and which of them need no mask: those of the closed-form range
// of the pattern's bands, or those of a list that was made of any mask (tiles/lists.cuh).
#pragma once
#include "lengths.cuh"
#include "tiles/band.cuh"

namespace lacuna {

template <class Config, bool listed>
struct Visit;

template <class Config>
struct Visit<Config, false> {
  using Pattern = typename Config::Pattern;
  s32 count;
  s32 key0;    // first key of the first tile
  Range full;  // what every query of the tile of rows sees

  template <class Params>
  LACUNA_MEMBER u32 take(const Params&, u32 block) {
    return block;
  }
  // `rows` are those of the CTA's tile, from row0 on.
  template <class Params, class TileRows>
  LACUNA_MEMBER void find(const Params& p, const Place& at, const TileRows& rows, s32 row0) {
    key0 = count = 0;
    full = {0, 0};
    // The last row that exists.
    const s32 last = min_of(row0 + Config::tile_q, rows.count(at.q_len)) - 1;
    if (last < row0 || at.k_len == 0) return;
    Tile tile = {wrap_add(rows.query(row0), at.offset),
                 wrap_add(rows.query(last), at.offset),
                 at.k_len,
                 {0, at.k_len},
                 {0, at.k_len}};
    Pattern::narrow(p, at, tile);
    if (!Pattern::only_bands) tile.full.end = tile.full.begin;
    key0 = tile.visit.begin / Config::tile_k * Config::tile_k;
    count = tile.visit.begin < tile.visit.end ? ceil_div(tile.visit.end - key0, Config::tile_k) : 0;
    full = tile.full;
  }
  // Keeps the share of one of several CTAs, which may be none.
  LACUNA_MEMBER void take_part(s32 part, s32 parts) {
    const s32 each = count / parts, more = count % parts;
    key0 += (part * each + min_of(part, more)) * Config::tile_k;
    count = each + (part < more);
  }
  LACUNA_MEMBER s32 first_key(s32 t) const { return key0 + t * Config::tile_k; }
  LACUNA_MEMBER bool is_full(s32, s32 first) const {
    return first >= full.begin && first + Config::tile_k <= full.end;
  }
};

template <class Config>
struct Visit<Config, true> {
  static constexpr s32 key0 = 0;
  s32 count, fulls;
  u64 list;

  // Of a row of the lists, longest first. Returns the block that would work on it without lists.
  template <class Params>
  LACUNA_MEMBER u32 take(const Params& p, u32 block) {
    const TileListArg& rows = p.lists.rows;
    const u32 rank = quotient(block, p.lists.by_copies), copy = block - rank * (u32)p.lists.copies;
    const u32 row = load_global<u32>(rows.order + (u64)rank * 4);
    const U2 first = load_global<U2>(rows.offsets + (u64)row * 8);
    list = rows.indices + (u64)first.x * 4;
    count = (s32)(load_global<u32>(rows.offsets + (u64)row * 8 + 8) - first.x);
    fulls = (s32)(first.y - first.x);
    const u32 number = quotient(row, p.call.by_q_tiles), heads = (u32)p.call.heads;
    const u32 slot = row - number * (u32)p.call.q_tiles;
    // A list is of one sequence or of all, and of some heads side by side.
    const u32 list_b = quotient(number, p.lists.by_list_heads),
              list_h = number - list_b * (u32)rows.list_heads;
    const u32 copy_b = quotient(copy, p.lists.by_heads),
              copy_h = copy - copy_b * (u32)p.lists.heads;
    const u32 sequence = list_b + copy_b, head = list_h * (u32)p.lists.heads + copy_h;
    return (sequence * heads + head) * (u32)p.call.q_tiles + slot;
  }
  template <class Params, class TileRows>
  LACUNA_MEMBER void find(const Params&, const Place&, const TileRows&, s32) {}
  LACUNA_MEMBER s32 first_key(s32 t) const {
    return load_global<s32>(list + (u64)t * 4) * Config::tile_k;
  }
  LACUNA_MEMBER bool is_full(s32 t, s32) const { return t < fulls; }
};

// The keys that each row of a warp sees, where bands alone decide: a row or more to a lane.
template <class Config>
struct Sight {
  static constexpr int warp_rows = Config::Machine::warp_rows, rounds = (warp_rows + 31) / 32;
  Range of[rounds];  // of row 32 n + lane
  bool exact;        // else the bands do not say it

  template <class Params, class TileRows>
  LACUNA_MEMBER void find(const Params& p, const Place& at, const TileRows& rows, s32 first_row) {
    exact = true;
    LACUNA_UNROLL
    for (int n = 0; n < rounds; ++n) {
      const s32 r = first_row + 32 * n + (s32)lane_index();
      const s32 q = wrap_add(rows.query(r), at.offset);
      Tile one = {q, q, at.k_len, {0, at.k_len}, {0, at.k_len}};
      Config::Pattern::narrow(p, at, one);
      const bool mine = 32 * (n + 1) <= warp_rows || 32 * n + (s32)lane_index() < warp_rows;
      const bool here = mine && r < rows.count(at.q_len);
      of[n] = {one.visit.begin, here ? one.visit.end : 0};
      // For one query, what may be seen and what is seen are the same, unless a sum would wrap.
      const bool same = one.visit.begin == one.full.begin && one.visit.end == one.full.end;
      exact &= same || one.visit.begin >= one.visit.end || !here;
    }
    exact = all_lanes(exact);
  }
  // Whether any row of the warp may see a key of the tile that begins with key `first`.
  LACUNA_MEMBER bool meets(s32 first) const {
    bool met = false;
    LACUNA_UNROLL
    for (int n = 0; n < rounds; ++n)
      met |= max_of(of[n].begin, first) < min_of(of[n].end, first + Config::tile_k);
    return any_lane(met);
  }
  // Of the warp's row r.
  LACUNA_MEMBER Range keys(int r) const {
    const Range& mine = of[rounds == 1 ? 0 : r / 32];
    const u32 from = (u32)r % 32;
    const s32 begin = Config::Pattern::from_first_key ? 0 : (s32)shuffle_idx((u32)mine.begin, from);
    return {begin, (s32)shuffle_idx((u32)mine.end, from)};
  }
};

}  // namespace lacuna
