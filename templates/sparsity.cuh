// What the threshold pass found of a tile of queries, and took, for calls that ask (SparsityArg of
// abi.h); for others, nothing. Keys are live by the same gates as tiles are.
#pragma once
#include "lengths.cuh"
#include "tiles/live.cuh"

namespace lacuna {

template <class Config, class Machine>
struct Tally {
  static constexpr bool wanted = Config::sparsity;
  static constexpr int threads = Config::warps * 32, granule = Config::granule_k;
  using Keys = LiveTiles<granule, threads, granule + 1>;  // its states alone
  Keys keys;
  s32 walks;

  template <class Params>
  LACUNA_MEMBER void begin(const Params& p, u32 block) {
    walks = 0;
    if constexpr (wanted)
      keys = {nullptr, p.sparsity.keys + (u64)block * (u32)p.sparsity.key_words * 8,
              p.sparsity.key_words};
  }
  LACUNA_MEMBER void begin_walk() { ++walks; }
  // Before a walk that notes keys; a barrier follows.
  LACUNA_MEMBER void clear() const {
    if constexpr (wanted) keys.clear_states();
  }
  // The keys of a tile whose distance to the gate of a row is not below 0.
  template <int rows, int columns>
  LACUNA_MEMBER void note(const float (&c)[rows][columns], s32 first) const {
    if constexpr (wanted) {
      LACUNA_UNROLL
      for (int k = 0; k < columns; ++k) {
        u32 all = ~0u;
        LACUNA_UNROLL
        for (int i = 0; i < rows; ++i) all &= bits_of(c[i][k]);
        if ((s32)all >= 0) keys.set_tile(first + Machine::key(k));
      }
    }
  }
  // Bits of the keys of a group of granules, by a warp; `noted`: beside those that a walk has.
  LACUNA_MEMBER void leave(const u32* bits, s32 group, bool noted) const {
    if constexpr (wanted) {
      LACUNA_NOUNROLL
      for (s32 w = (s32)lane_index(); w < granule; w += 32) {
        const u64 state = keys.states + (u64)(group * granule + w) * 8;
        const u32 before = noted ? load_written<u32>(state) : 0;
        store_global(state, U2{bits[w] | before, 0});
      }
    }
  }
  // `candidates`: this lane's of a row; all lanes meet in it.
  template <class Params>
  LACUNA_MEMBER void store_row(const Params& p, const Place& at, s32 row, bool exists,
                               u32 candidates) const {
    if constexpr (wanted) {
      const s32 all = (s32)Machine::row_sum((float)candidates);
      if (!exists || (int)lane_index() % Machine::row_lanes != 0) return;
      const u64 to = row_address<F32, Config::lengths>(p.sparsity.rows, at, at.h, at.q_start + row);
      store_global(to, walks);
      store_global(to + 4, all);
    }
  }
  template <class Params>
  LACUNA_MEMBER void store_tiles(const Params& p, u32 block, const u32 (&counts)[2]) const {
    if constexpr (wanted)
      if (thread_index() == 0)
        store_global(p.sparsity.tiles + (u64)block * 8, U2{counts[0], counts[1]});
  }
};

}  // namespace lacuna
