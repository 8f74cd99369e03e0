// Where the rows of a list set stand: the tile slots of queries as locate() numbers them
// (lengths.cuh), and those of keys: tile j of a sequence is slot j, or, packed, cu[s]/tile + s + j.
// Key tiles go in groups of 32, a word of bits; the groups of a sequence have slots likewise.
#pragma once
#include "lengths.cuh"

namespace lacuna {

template <Lengths kind, int tile_q, int tile_k>
struct Places {
  const CallArg& call;
  s32 list_batch, list_heads, k_tiles, k_groups;

  static constexpr int group_keys = 32 * tile_k;

  LACUNA_MEMBER u32 lists() const { return (u32)list_batch * (u32)list_heads; }
  LACUNA_MEMBER u32 rows() const { return lists() * (u32)call.q_tiles; }
  LACUNA_MEMBER u32 columns() const { return lists() * (u32)k_tiles; }
  LACUNA_MEMBER u32 groups() const { return lists() * (u32)k_groups; }

  // The tile of queries that row r is. False: it has none.
  LACUNA_MEMBER bool row(u32 r, Place& at, s32& tile) const {
    const s32 slot = (s32)(r % (u32)call.q_tiles);
    start(r / (u32)call.q_tiles, call.q_lens, call.queries, tile_q, slot, at);
    tile = kind == Lengths::packed ? slot - first_slot(at.q_start, tile_q, at.b)
                                   : call.q_tiles - 1 - slot;
    return tile >= 0 && tile < tiles(at.q_len, tile_q);
  }
  // The tile of keys that column c is, or the group of them.
  LACUNA_MEMBER bool column(u32 c, Place& at, s32& tile) const {
    return key_slot(c, k_tiles, tile_k, at, tile);
  }
  LACUNA_MEMBER bool group(u32 g, Place& at, s32& number) const {
    return key_slot(g, k_groups, group_keys, at, number);
  }

  LACUNA_MEMBER static s32 tiles(s32 length, s32 tile) {
    return (s32)(((u32)max_of(length, 0) + (u32)tile - 1) / (u32)tile);
  }
  // Of a sequence of a list: the row of a tile of queries, the column of its first tile of keys,
  // and its first group.
  LACUNA_MEMBER u32 row_of(u32 list, const Place& at, s32 tile) const {
    const s32 slot = kind == Lengths::packed ? first_slot(at.q_start, tile_q, at.b) + tile
                                             : call.q_tiles - 1 - tile;
    return list * (u32)call.q_tiles + (u32)slot;
  }
  LACUNA_MEMBER u32 column_of(u32 list, const Place& at) const {
    return list * (u32)k_tiles + key_start(at, tile_k);
  }
  LACUNA_MEMBER u32 group_of(u32 list, const Place& at) const {
    return list * (u32)k_groups + key_start(at, group_keys);
  }

 private:
  LACUNA_MEMBER static s32 first_slot(s32 start, s32 tile, s32 sequence) {
    return start / tile + sequence;
  }

  LACUNA_MEMBER static u32 key_start(const Place& at, s32 size) {
    return kind == Lengths::packed ? (u32)first_slot(at.k_start, size, at.b) : 0;
  }
  LACUNA_MEMBER bool key_slot(u32 index, s32 slots, s32 size, Place& at, s32& number) const {
    const s32 slot = (s32)(index % (u32)slots);
    start(index / (u32)slots, call.k_lens, call.keys, size, slot, at);
    number = slot - (s32)key_start(at, size);
    return number >= 0 && number < tiles(at.k_len, size);
  }

  LACUNA_MEMBER void start(u32 list, const IndexArg& cu, s32 limit, s32 tile, s32 slot,
                           Place& at) const {
    at.h = (s32)(list % (u32)list_heads);
    if (list_heads == call.kv_heads) at.h *= call.group;  // the first of those that share it
    at.g = at.h / (call.heads / call.kv_heads);
    at.b = (s32)(list / (u32)list_heads);
    if (kind == Lengths::packed) at.b = owner(cu, limit, tile, slot);
    measure(at);
  }

  // Packed: the last sequence whose slots begin no later.
  LACUNA_MEMBER s32 owner(const IndexArg& cu, s32 limit, s32 tile, s32 slot) const {
    s32 low = 0, high = call.batch - 1;
    while (low < high) {
      const s32 middle = (low + high + 1) / 2;
      const bool reached =
          first_slot(clamp_length(index_at(cu, middle), limit), tile, middle) <= slot;
      low = reached ? middle : low;
      high = reached ? high : middle - 1;
    }
    return low;
  }

  // Where the sequence at.b lies, how long it is, and what its positions are offset by.
  LACUNA_MEMBER void measure(Place& at) const {
    at.q_start = at.k_start = 0;
    at.q_len = call.queries;
    at.k_len = call.keys;
    if (kind == Lengths::padded) {
      if (call.q_lens.data) at.q_len = clamp_length(index_at(call.q_lens, at.b), call.queries);
      if (call.k_lens.data) at.k_len = clamp_length(index_at(call.k_lens, at.b), call.keys);
    }
    if (kind == Lengths::packed) {
      at.q_start = clamp_length(index_at(call.q_lens, at.b), call.queries);
      at.q_len = clamp_length(index_at(call.q_lens, at.b + 1), call.queries) - at.q_start;
      at.k_start = clamp_length(index_at(call.k_lens, at.b), call.keys);
      at.k_len = max_of(0, clamp_length(index_at(call.k_lens, at.b + 1), call.keys) - at.k_start);
    }
    at.offset = call.offsets.data ? index_at(call.offsets, at.b)
                : call.has_offset ? call.offset
                                  : at.k_len - at.q_len;
  }
};

}  // namespace lacuna
