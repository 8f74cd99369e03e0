// Counts become offsets, and rows are ordered by their length: one CTA, any number of rows, the
// same bits every time.
#pragma once
#include "abi.h"
#include "memory.cuh"

namespace lacuna {

struct Ordering {
  static constexpr u32 threads = tile_list_threads, warps = threads / 32;
  static constexpr u32 digit_bits = 8, digits = 1 << digit_bits;
  struct Shared {
    u32 places[digits * warps];  // [digit][warp]: rows, then where the next of them goes
    u32 sums[warps];
    U2 counts[warps];  // of classify
  };
  static_assert(sizeof(Shared) == tile_list_shared_bytes, "what the host reserves");

  Shared& shared;
  u64 offsets, order, spare;
  u32 rows;

  // The sum of `value` over the threads before this one, and over all.
  LACUNA_MEMBER u32 sum_before(u32 value, u32& all) {
    u32 sum = value;
    LACUNA_NOUNROLL
    for (u32 distance = 1; distance < 32; distance *= 2) {
      const u32 other = shuffle_idx(sum, lane_index() - distance & 31);
      sum += lane_index() >= distance ? other : 0;
    }
    if (lane_index() == 31) shared.sums[warp_index()] = sum;
    cta_sync();
    all = 0;
    LACUNA_NOUNROLL
    for (u32 w = 0; w < warps; ++w) {
      const u32 other = shared.sums[w];
      sum += w < warp_index() ? other : 0;
      all += other;
    }
    cta_sync();
    return sum - value;
  }

  // offsets: from (FULL, PARTIAL) of each row to where they begin.
  LACUNA_MEMBER void scan() {
    u32 total = 0;
    LACUNA_NOUNROLL
    for (u32 first = 0; first < rows; first += threads) {
      const u32 row = first + thread_index();
      const u64 at = offsets + (u64)row * 8;
      const u32 full = row < rows ? load_written<u32>(at) : 0,
                partial = row < rows ? load_written<u32>(at + 4) : 0;
      u32 all;
      const u32 begin = total + sum_before(full + partial, all);
      if (row < rows) store_global(at, U2{begin, begin + full});
      total += all;
    }
    if (thread_index() == 0) store_global(offsets + (u64)rows * 8, total);
    cta_sync();
  }

  // A stable sort by digits, least first, each counted by warp over its part of the rows. `most`:
  // no row is longer.
  LACUNA_MEMBER void sort(u32 most) {
    const u32 bits = 32 - count_leading_zeros(most | 1);
    u64 from = 0, to = ceil_div(bits, digit_bits) % 2 == 0 ? spare : order;
    LACUNA_NOUNROLL
    for (u32 shift = 0; shift < bits; shift += digit_bits) {
      LACUNA_NOUNROLL
      for (u32 i = thread_index(); i < digits * warps; i += threads) shared.places[i] = 0;
      cta_sync();
      LACUNA_NOUNROLL
      for (int scatter = 0; scatter < 2; ++scatter) {
        if (scatter) to_places();
        walk(from, to, shift, scatter != 0);
        cta_sync();
      }
      from = to;
      to = to == order ? spare : order;
    }
  }

  LACUNA_MEMBER void to_places() {
    constexpr u32 each = digits * warps / threads;
    u32* mine = shared.places + thread_index() * each;
    u32 sum = 0, all;
    LACUNA_NOUNROLL
    for (u32 i = 0; i < each; ++i) sum += mine[i];
    u32 place = sum_before(sum, all);
    LACUNA_NOUNROLL
    for (u32 i = 0; i < each; ++i) {
      const u32 count = mine[i];
      mine[i] = place;
      place += count;
    }
    cta_sync();
  }

  LACUNA_MEMBER void walk(u64 from, u64 to, u32 shift, bool scatter) {
    const u32 part = ceil_div(ceil_div(rows, 32u), warps) * 32,
              first = min_of(rows, part * warp_index()), end = min_of(rows, first + part);
    LACUNA_NOUNROLL
    for (u32 i = first; i < end; i += 32) {
      const u32 index = i + lane_index();
      const bool present = index < end;
      u32 row = present ? index : first;
      if (from != 0) row = load_written<u32>(from + (u64)(present ? index : first) * 4);
      // The longest rows have the smallest digits.
      const u64 at = offsets + (u64)row * 8;
      const u32 digit =
          ~(load_written<u32>(at + 8) - load_written<u32>(at)) >> shift & (digits - 1);
      u32 peers = ballot(present);
      LACUNA_NOUNROLL
      for (u32 bit = 0; bit < digit_bits; ++bit) {
        const bool set = (digit >> bit & 1) != 0;
        const u32 with = ballot(set);
        peers &= set ? with : ~with;
      }
      const u32 before = popcount(peers & ((1u << lane_index()) - 1));
      u32& place = shared.places[digit * warps + warp_index()];
      const u32 next = place;
      warp_sync();
      if (present && before == 0) place = next + popcount(peers);
      warp_sync();
      if (present && scatter) store_global(to + (u64)(next + before) * 4, row);
    }
  }
};

}  // namespace lacuna
