// The ring of tiles of K of a pass that walks the first, then from the last one back.
#pragma once
#include "scores.cuh"

namespace lacuna {

template <class Config, class Params>
struct KeyRing : TileScores<Config, Params> {
  using Scores = TileScores<Config, Params>;
  using Machine = typename Scores::Machine;
  using Scores::at, Scores::p, Scores::visit;
  static constexpr int stages = Machine::stages, ahead = stages - 1;

  u64 next_k;
  s32 next_tile;
  int slot, spare;  // the next to read, and to fill

  LACUNA_MEMBER KeyRing(const Params& params, typename Machine::Shared& memory)
      : Scores(params, memory) {}

  LACUNA_MEMBER static int wrap(int index) { return index >= stages ? index - stages : index; }
  // Where tiles lie one behind another, next_k goes back with them.
  static constexpr int stride = Scores::listed ? 0 : -1;
  LACUNA_MEMBER void find_tile(s32 t) {
    next_tile = t;
    next_k = Scores::template address_of<typename Config::In>(
        p.call.k, at.g, at.k_start + (Scores::listed ? 0 : visit.first_key(t)));
  }
  // Asks for the tile that is walked when `left` are.
  template <bool unrolled>
  LACUNA_MEMBER void fetch(s32 left, int to) {
    if (left > 0) {
      Scores::template load_keys<Config::head_dim, unrolled, stride>(
          next_k, p.call.k.row, visit.first_key(next_tile), to);
      --next_tile;
      if ((!unrolled || ahead == 0) && left == visit.count) find_tile(visit.count - 1);
    }
    Machine::commit();
  }
  LACUNA_MEMBER void begin_walk() {
    slot = 0;
    spare = ahead;
    find_tile(0);
    LACUNA_NOUNROLL
    for (int n = 0; n < ahead; ++n) fetch<false>(visit.count - n, n);
  }
  // Makes a tile visible to all, and asks for another.
  LACUNA_MEMBER void turn(s32 left) {
    if constexpr (ahead > 0) Machine::template wait<ahead - 1>();
    cta_sync();
    fetch<true>(left - ahead, spare);
    if constexpr (ahead == 0) {
      Machine::template wait<0>();
      cta_sync();
    }
  }
  // FULL are those tiles whose place is less than fulls: one comparison.
  LACUNA_MEMBER u32 fulls() const {
    if constexpr (Scores::listed)
      return (u32)visit.fulls;
    else
      return (u32)max_of(max_of(visit.full.end - visit.full.begin, 0) - Config::tile_k + 1, 0);
  }
  LACUNA_MEMBER u32 full_place(s32 t, s32 first) const {
    if constexpr (Scores::listed)
      return (u32)t;
    else
      return (u32)(first - visit.full.begin);
  }
  LACUNA_MEMBER int take_slot() {
    spare = slot;
    slot = wrap(slot + 1);
    return spare;
  }
};

}  // namespace lacuna
