// Which rows a CTA works on, and which query and head each of them is. Uniform: every sequence is
// the whole tensor. Padded: lengths per sequence. Packed: sequences lie behind one another and
// cu_seqlens says where; a sequence s owns the tile slots from cu[s]/tile + s on, which are enough
// for any lengths and found by bisection, so that no maximum length is needed.
#pragma once
#include "tensor.cuh"

namespace lacuna {

enum class Lengths { uniform, padded, packed };

LACUNA_DEVICE s32 index_at(const IndexArg& a, s32 i) {
  return load_global<s32>(a.data + (u64)(i * a.stride * 4));
}

LACUNA_DEVICE u32 quotient(u32 n, const Divisor& d) {
  return ((u32)((u64)n * d.multiplier >> 32) + n) >> d.shift;
}

// Lengths in device memory are trusted by nobody: a row that does not exist is absent.
LACUNA_DEVICE s32 clamp_length(s32 value, s32 limit) {
  return max_of(0, min_of(value, limit));
}

// The rows of query tiles. Each is a query of one head; or, with packed heads, a pair of a query
// and a head of the group that shares K and V, the heads of a query behind one another.
template <bool packed_heads>
struct Rows {
  s32 group;  // rows of a query
  Divisor by_group;

  LACUNA_MEMBER explicit Rows(const CallArg& call)
      : group(packed_heads ? call.group : 1), by_group(call.by_group) {}
  LACUNA_MEMBER s32 count(s32 queries) const { return packed_heads ? queries * group : queries; }
  LACUNA_MEMBER s32 query(s32 row) const {
    return packed_heads ? (s32)quotient((u32)row, by_group) : row;
  }
  // Where `at` is the place of the CTA, whose head is the first of its group.
  LACUNA_MEMBER s32 head(const Place& at, s32 row) const {
    return packed_heads ? at.h + row - query(row) * group : at.h;
  }
};

// The tile of rows and the place of a CTA. False: this slot has no rows.
template <Lengths kind, int tile_q, bool packed_heads = false>
LACUNA_DEVICE bool locate(const CallArg& call, u32 block, Place& at, s32& row0) {
  const Rows<packed_heads> rows(call);
  const u32 slot = block % (u32)call.q_tiles, rest = block / (u32)call.q_tiles;
  const u32 heads = (u32)(packed_heads ? call.kv_heads : call.heads);
  at.h = (s32)(rest % heads) * rows.group;
  at.g = packed_heads ? (s32)(rest % heads) : at.h / (call.heads / call.kv_heads);
  at.b = (s32)(rest / heads);
  at.q_start = at.k_start = 0;
  at.q_len = call.queries;
  at.k_len = call.keys;
  // The last tiles of a causal mask see most keys: start them first.
  row0 = (call.q_tiles - 1 - (s32)slot) * tile_q;
  if (kind == Lengths::padded) {
    if (call.q_lens.data) at.q_len = clamp_length(index_at(call.q_lens, at.b), call.queries);
    if (call.k_lens.data) at.k_len = clamp_length(index_at(call.k_lens, at.b), call.keys);
  }
  if (kind == Lengths::packed) {
    s32 low = 0, high = call.batch - 1;
    while (low < high) {
      const s32 middle = (low + high + 1) / 2;
      const bool reached =
          rows.count(clamp_length(index_at(call.q_lens, middle), call.queries)) / tile_q + middle <=
          (s32)slot;
      low = reached ? middle : low;
      high = reached ? high : middle - 1;
    }
    at.b = low;
    at.q_start = clamp_length(index_at(call.q_lens, low), call.queries);
    at.q_len = clamp_length(index_at(call.q_lens, low + 1), call.queries) - at.q_start;
    at.k_start = clamp_length(index_at(call.k_lens, low), call.keys);
    at.k_len = max_of(0, clamp_length(index_at(call.k_lens, low + 1), call.keys) - at.k_start);
    row0 = ((s32)slot - (rows.count(at.q_start) / tile_q + low)) * tile_q;
    if (row0 < 0 || row0 >= rows.count(at.q_len)) return false;
  }
  at.offset = call.offsets.data ? index_at(call.offsets, at.b)
              : call.has_offset ? call.offset
                                : at.k_len - at.q_len;
  return true;
}

// Rows of the tensor that this sequence owns: outputs of rows in [q_len, rows) are written as
// absent.
template <Lengths kind>
LACUNA_DEVICE s32 rows_of(const CallArg& call, const Place& at) {
  return kind == Lengths::packed ? at.q_len : call.queries;
}

// The address of a row of Q, K, V, O or of the statistic; packed sequences share a batch axis of
// extent 1.
template <class Storage, Lengths kind>
LACUNA_DEVICE u64 row_address(const MatrixArg& m, const Place& at, s64 h, s64 row) {
  const s64 b = kind == Lengths::packed ? 0 : at.b;
  return m.data +
         (u64)((b * m.batch + h * m.head + row * m.row) * (s64)sizeof(typename Storage::Raw));
}

}  // namespace lacuna
