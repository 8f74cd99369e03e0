// Reading and writing elements: storage types, the tensors of a pattern, and the record of a read
// that leaves its tensor.
#pragma once
#include "abi.h"
#include "memory.cuh"
#include "ops.cuh"

namespace lacuna {

// Storage of Q, K, V, O and of the pattern's tensors: `Raw` is what a load moves, `value` what the
// program sees.
struct F32 {
  using Raw = float;
  static constexpr int digits = 24;
  LACUNA_MEMBER static float value(Raw x) { return x; }
  LACUNA_MEMBER static Raw raw(float x) { return x; }
};
struct F16 {
  using Raw = u16;
  static constexpr int digits = 11;
  LACUNA_MEMBER static float value(Raw x) { return float_of_f16(x); }
  LACUNA_MEMBER static Raw raw(float x) { return f16_of(x); }
  LACUNA_MEMBER static u32 pair(float lo, float hi) { return f16x2_of(lo, hi); }
};
struct BF16 {
  using Raw = u16;
  static constexpr int digits = 8;
  LACUNA_MEMBER static float value(Raw x) { return float_of_bf16(x); }
  LACUNA_MEMBER static Raw raw(float x) { return bf16_of(x); }
  LACUNA_MEMBER static u32 pair(float lo, float hi) { return bf16x2_of(lo, hi); }
};
template <class T>
struct Integer {
  using Raw = T;
  LACUNA_MEMBER static s32 value(Raw x) { return (s32)x; }
};
struct Boolean {
  using Raw = u8;
  LACUNA_MEMBER static bool value(Raw x) { return x != 0; }
};

template <class Storage>
LACUNA_DEVICE typename Storage::Raw load_element(u64 base, s64 index) {
  return load_global<typename Storage::Raw>(base +
                                            (u64)(index * (s64)sizeof(typename Storage::Raw)));
}

// An element of a tensor of the pattern at indices that lie inside it. A tensor without elements
// has no address, and reads as zero.
template <class Storage>
LACUNA_DEVICE auto read(const TensorArg& t, s32 i0 = 0, s32 i1 = 0, s32 i2 = 0, s32 i3 = 0,
                        s32 i4 = 0, s32 i5 = 0) {
  typename Storage::Raw raw = 0;
  if (t.data)
    raw = load_element<Storage>(t.data, i0 * t.stride[0] + i1 * t.stride[1] + i2 * t.stride[2] +
                                            i3 * t.stride[3] + i4 * t.stride[4] + i5 * t.stride[5]);
  return Storage::value(raw);
}

// Values side by side; one store where they may go together.
template <class Storage, bool together, int n>
LACUNA_DEVICE void store_columns(u64 to, const float (&x)[n]) {
  constexpr int size = (int)sizeof(typename Storage::Raw);
  if constexpr (together && size == 2 && n == 2) {
    store_global(to, Storage::pair(x[0], x[1]));
  } else if constexpr (together && size == 2 && n == 4) {
    store_global(to, U2{Storage::pair(x[0], x[1]), Storage::pair(x[2], x[3])});
  } else if constexpr (together && size == 4 && n == 2) {
    store_global(to, F2{x[0], x[1]});
  } else if constexpr (together && size == 4 && n == 4) {
    store_global(to, F4{x[0], x[1], x[2], x[3]});
  } else {
    LACUNA_UNROLL
    for (int e = 0; e < n; ++e) store_global(to + e * size, Storage::raw(x[e]));
  }
}

// Eight columns of a row; 16 bytes at once where rows start on as many.
LACUNA_DEVICE void unpack(u16* to, U4 v) {
  const u32 words[] = {v.x, v.y, v.z, v.w};
  LACUNA_UNROLL
  for (int i = 0; i < 8; ++i) to[i] = (u16)(words[i / 2] >> (i % 2 * 16));
}
LACUNA_DEVICE void unpack(float* to, U4 v) {
  to[0] = float_of_bits(v.x), to[1] = float_of_bits(v.y), to[2] = float_of_bits(v.z),
  to[3] = float_of_bits(v.w);
}
template <class Storage, bool aligned>
LACUNA_DEVICE void load_columns(float (&x)[8], u64 from) {
  using Raw = typename Storage::Raw;
  Raw raw[8];
  if (aligned) {
    constexpr int per_load = 16 / (int)sizeof(Raw);
    LACUNA_UNROLL
    for (int i = 0; i < 8; i += per_load)
      unpack(raw + i, load_global<U4>(from + (u64)(i * (int)sizeof(Raw))));
  } else {
    LACUNA_UNROLL
    for (int i = 0; i < 8; ++i) raw[i] = load_global<Raw>(from + (u64)(i * (int)sizeof(Raw)));
  }
  LACUNA_UNROLL
  for (int i = 0; i < 8; ++i) x[i] = Storage::value(raw[i]);
}

// No value in a tensor can fault a GPU: an index that is not proved to lie inside is clamped.
LACUNA_DEVICE s32 clamp_index(s32 index, s32 extent) {
  return max_of(0, min_of(index, extent - 1));
}

// Where a CTA stands: one head of one sequence. Positions of queries are row + offset (design §2).
struct Place {
  s32 b, h, g;
  s32 q_len, k_len;
  s32 q_start, k_start;  // first row in the tensors: 0 unless sequences are packed
  s32 offset;
};

// The row of a key in packed tensors; of a sequence without keys, one that exists.
LACUNA_DEVICE s32 packed_key(s32 key, const Place& at, const CallArg& call) {
  return min_of(key + at.k_start, call.keys - 1);
}

// Clamps as above, and records the first index that was outside (code compiled with checks only).
LACUNA_DEVICE s32 checked_index(const CallArg& call, const Place& at, s32 q, s32 k, s32 tensor,
                                s32 axis, s32 index, s32 extent) {
  if (index < 0 || index >= extent) {
    u32 before;
    asm volatile("atom.global.cas.b32 %0, [%1], 0, 1;"
                 : "=r"(before)
                 : "l"(call.report)
                 : "memory");
    if (before == 0) {
      const s32 record[] = {tensor, axis, index, extent, at.b, at.h, q, k};
      LACUNA_UNROLL
      for (int i = 0; i < 8; ++i) store_global(call.report + 4 + 4 * i, record[i]);
    }
  }
  return clamp_index(index, extent);
}

}  // namespace lacuna
