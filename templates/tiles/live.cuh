// States of the tiles that hold a live key (templates/tiles/classify.cuh has the same of a mask),
// as one CTA finds them for its tile of queries: bits of keys, or of tiles at once, then two bits
// for each granule of keys: visited, FULL.
#pragma once
#include "memory.cuh"

namespace lacuna {

LACUNA_DEVICE void set_bits(u64 word, u32 bits) {
  asm volatile("red.global.or.b32 [%0], %1;" ::"l"(word), "r"(bits) : "memory");
}
LACUNA_DEVICE void set_bits(u32& word, u32 bits) {
  asm volatile("red.shared.or.b32 [%0], %1;" ::"r"(shared_address(&word)), "r"(bits) : "memory");
}
LACUNA_DEVICE void add_shared(u32& word, u32 value) {
  asm volatile("red.shared.add.u32 [%0], %1;" ::"r"(shared_address(&word)), "r"(value) : "memory");
}

template <int granule, int threads, s32 words>
struct LiveTiles {
  static constexpr s32 group_keys = 32 * granule;
  // Groups of 32 granules whose bits of keys, and of FULL granules, fit the words at once.
  static constexpr s32 most = words / (granule + 1);
  static_assert(most > 0, "a group fits");

  u32* bits;
  u64 states;  // of this row of tiles
  s32 groups;
  s32 first = 0;  // group at hand

  // Before any bit is set, by all threads; a barrier follows.
  LACUNA_MEMBER void clear_states() const {
    LACUNA_NOUNROLL
    for (s32 i = (s32)thread_index(); i < 2 * groups; i += threads)
      store_global(states + (u64)i * 4, 0u);
  }
  LACUNA_MEMBER void clear_bits() const {
    const s32 here = min_of(groups - first, most);
    LACUNA_NOUNROLL
    for (s32 i = (s32)thread_index(); i < here * granule; i += threads) bits[i] = 0;
    LACUNA_NOUNROLL
    for (s32 i = (s32)thread_index(); i < here; i += threads) bits[most * granule + i] = 0;
  }
  LACUNA_MEMBER void set_tile(s32 tile) const {
    set_bits(states + (u64)(tile / 32) * 8, 1u << tile % 32);
  }
  // Where value > from.
  LACUNA_MEMBER void set_key(s32 key, float value, float from) const {
    const u32 bit = (u32)(key - first * group_keys);
    asm volatile(
        "{ .reg .pred p; .reg .b32 one; setp.gt.f32 p, %0, %1; setp.lt.and.u32 p, %2, %3, p; "
        "shf.l.wrap.b32 one, 0, 1, %2; @p red.shared.or.b32 [%4], one; }" ::"f"(value),
        "f"(from), "r"(bit), "r"((u32)(most * group_keys)), "r"(shared_address(bits) + bit / 32 * 4)
        : "memory");
  }
  LACUNA_MEMBER void set_full(s32 tile) const {
    const u32 bit = (u32)(tile - first * 32);
    if (bit < (u32)most * 32) set_bits(bits[most * granule + (s32)(bit / 32)], 1u << bit % 32);
  }

  // Bits of the keys of a group, `granule` words.
  LACUNA_MEMBER const u32* keys_of(s32 group) const { return bits + (group - first) * granule; }
  // Whether a key of this lane's granule of a group is set.
  LACUNA_MEMBER bool has_key(s32 group) const {
    const u32* const of_group = keys_of(group);
    const s32 lane = (s32)lane_index();
    if constexpr (granule < 32) {
      const s32 bit = lane * granule;
      return (of_group[bit / 32] >> bit % 32 & ((1u << granule) - 1)) != 0;
    } else {
      u32 any = 0;
      LACUNA_UNROLL
      for (s32 w = 0; w < granule / 32; ++w) any |= of_group[lane * (granule / 32) + w];
      return any != 0;
    }
  }
  LACUNA_MEMBER u32 fulls(s32 group) const { return bits[most * granule + group - first]; }
};

}  // namespace lacuna
