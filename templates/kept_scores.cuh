// All scores of a tile of queries, in shared memory, and the thresholds that they have:
//   Σ_j [c z_ij - τ_i]₊^β = 1.
// Several warps may share rows, each with tiles of keys of its own; a score lies where the lane
// that computed it, and no other, finds it again. Warps tell each other of a row its greatest
// score and a gap to begin with, then sums, in an order that is always the same.
#pragma once
#include "scores.cuh"
#include "tiles/live.cuh"
#include "weights/entmax_row.cuh"

namespace lacuna {

template <class Config, class Params>
struct KeptScores : TileScores<Config, Params> {
  using Base = TileScores<Config, Params>;
  using Machine = typename Base::Machine;
  using Pattern = typename Base::Pattern;
  using Row = EntmaxRow<Config::power, Config::precise>;
  using Base::at, Base::exists, Base::p, Base::raw, Base::row, Base::row0, Base::shared,
      Base::tile_rows, Base::visit;
  static constexpr int rows = Base::rows, keys = Base::keys;
  static constexpr int stages = Machine::stages, ahead = stages - 1;
  static constexpr int threads = Config::warps * 32;
  static constexpr int key_warps = Machine::stage_keys / Config::tile_k;  // that share rows
  static constexpr int turns = Config::turns;  // a warp has so many tiles of keys at most
  static constexpr int row_quads = keys / 4, quads = rows * row_quads;  // of a lane's in a tile
  // The greatest of so many parts of a lane's keys say where to begin.
  static constexpr int parts = keys < 8 ? 1 : 4, first_steps = 3;
  static constexpr int most_steps = 24, most_bends = 8;
  // Of a gap, or of four falls where many keys lie about the threshold: what it may be off by.
  static constexpr float enough = Config::precise           ? 0x1p-21f
                                  : Config::In::digits == 8 ? 0x1p-11f
                                                            : 0x1p-13f;
  static_assert(keys % 4 == 0, "four scores are read at once");
  static_assert(turns <= 64, "a bit to a turn");

  struct Shared {
    typename Machine::Shared tiles;
    F4 told[2][key_warps][Config::tile_q];  // by warps of a row, two by turns
    u32 live[2];                            // bits of turns in which a warp has a weight
    u32 unused[2];
    F4 scores[turns][quads][threads];  // as many turns as the launch has room for
  };

  Shared& memory;
  Row norm;
  float scale;                 // of a score, to natural logits
  s32 count;                   // turns of this CTA
  float most[rows][parts];     // of this lane's scores
  float top[rows], gap[rows];  // of rows; where none is finite, no score comes near the top
  u32 bad, none;               // bits of rows: with a NaN or infinite score, or without a key
  u32 told;                    // which of two was told last
  u64 own;                     // turns in which this warp has a weight

  LACUNA_MEMBER KeptScores(const Params& params, Shared& all)
      : Base(params, all.tiles), memory(all) {}

  // Scores and thresholds of the tile of queries at `at`. The α of its rows is not 1.
  LACUNA_MEMBER void find(float alpha) {
    const EntmaxUnit unit = entmax_unit(Pattern::plain_score, p.call.scale);
    raw = unit.raw;
    scale = unit.scale;
    norm.start(alpha - 1.0f, scale);
    visit.find(p, at, tile_rows, row0);
    count = ceil_div(visit.count, key_warps);
    if (thread_index() < 2) memory.live[thread_index()] = 0;
    read_keys();
    begin(is_alpha(alpha));
    solve();
  }

  // ---- Scores. ----
  LACUNA_MEMBER static int wrap(int index) { return index >= stages ? index - stages : index; }
  template <bool unrolled>
  LACUNA_MEMBER void fetch_keys(u64& next, s32 t, int to) {
    if (t < count)
      Base::template load_keys<Config::head_dim, unrolled>(next, p.call.k.row, first_key(t), to);
    Machine::commit();
  }
  // Makes what was asked for visible to all, and then asks for more: fetch(slot).
  template <class Fetch>
  LACUNA_MEMBER static void turn(int slot, const Fetch& fetch) {
    if constexpr (ahead == 0) {
      cta_sync();  // every warp has read what was there
      fetch(slot);
      Machine::template wait<0>();
      cta_sync();
    } else {
      Machine::template wait<ahead - 1>();
      cta_sync();
      fetch(wrap(slot + ahead));
    }
  }
  LACUNA_MEMBER s32 first_key(s32 t) const { return visit.first_key(t * key_warps); }
  LACUNA_MEMBER void read_keys() {
    if constexpr (Pattern::only_bands)
      Base::sight.find(p, at, tile_rows, row0 + Machine::first_row());
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int part = 0; part < parts; ++part) most[i][part] = -infinity();
    }
    if (count == 0) return;
    u64 next =
        Base::template address_of<typename Config::In>(p.call.k, at.g, at.k_start + visit.key0);
    Base::load_queries();
    LACUNA_NOUNROLL
    for (int n = 0; n < ahead; ++n) fetch_keys<false>(next, n, n);
    int slot = 0;
    LACUNA_NOUNROLL
    for (s32 t = 0; t < count; ++t) {
      turn(slot, [&](int to) { fetch_keys<true>(next, t + ahead, to); });
      score(t, slot);
      slot = wrap(slot + 1);
    }
    Machine::template wait<0>();
  }
  LACUNA_MEMBER void score(s32 t, int slot) {
    const s32 tile = t * key_warps + Machine::part(), first = visit.first_key(tile);
    const bool here = tile < visit.count, full = here && visit.is_full(tile, first);
    u32 live[rows];  // bits of keys, of rolled masks
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) live[i] = 0xffffffffu;
    float z[rows][keys];
    if (full || (here && Base::sees(live, first))) {
      Machine::scores(z, shared, slot);
      Base::become_scores(z, live, first, full);
    } else {
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) {
        LACUNA_UNROLL
        for (int j = 0; j < keys; ++j) z[i][j] = -infinity();
      }
    }
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) {
        float& greatest = most[i][j * parts / keys];
        greatest = max_or_nan(greatest, z[i][j]);
      }
    }
    put(t, z);
  }
  LACUNA_MEMBER void put(s32 t, const float (&z)[rows][keys]) {
    LACUNA_UNROLL
    for (int e = 0; e < quads; ++e) {
      const float(&x)[keys] = z[e / row_quads];
      const int j = e % row_quads * 4;
      memory.scores[t][e][thread_index()] = {x[j], x[j + 1], x[j + 2], x[j + 3]};
    }
  }
  // Four of them, of row e / row_quads.
  LACUNA_MEMBER void take(s32 t, int e, float (&x)[4]) const {
    const F4 four = memory.scores[t][e][thread_index()];
    x[0] = four.x, x[1] = four.y, x[2] = four.z, x[3] = four.w;
  }

  // ---- Thresholds. ----
  // What the lanes of each row add up to becomes known, after a barrier, to all warps that share
  // it.
  LACUNA_MEMBER void tell(const RowSums (&sums)[rows]) {
    told ^= 1;  // what was told before may still be read
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i)
      say(i, {Machine::row_sum(sums[i].f), Machine::row_sum(sums[i].w), Machine::row_sum(sums[i].h),
              0.0f});
  }
  LACUNA_MEMBER void say(int i, F4 x) {
    if ((int)lane_index() % Machine::row_lanes == 0)
      memory.told[told][Machine::part()][Machine::row(i)] = x;
  }
  LACUNA_MEMBER F4 of_part(int i, int part) const {
    return memory.told[told][part][Machine::row(i)];
  }
  LACUNA_MEMBER RowSums heard(int i) const {
    RowSums all;
    LACUNA_UNROLL
    for (int part = 0; part < key_warps; ++part) {
      const F4 x = of_part(i, part);
      all.f += x.x;
      all.w += x.y;
      all.h += x.z;
    }
    return all;
  }
  // The greatest score of each row, and a gap to begin with: what some of the greatest have.
  LACUNA_MEMBER void begin(bool weighs) {
    told = 0;
    bad = none = 0;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      float mine = most[i][0];
      LACUNA_UNROLL
      for (int part = 1; part < parts; ++part) mine = max_or_nan(mine, most[i][part]);
      LACUNA_UNROLL
      for (u32 lanes = 1; lanes < Machine::row_lanes; lanes *= 2)
        mine = max_or_nan(mine, shuffle_xor(mine, lanes));
      say(i, {mine, gap_of(most[i], mine), 0.0f, 0.0f});
    }
    cta_sync();
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      top[i] = of_part(i, 0).x;
      LACUNA_UNROLL
      for (int part = 1; part < key_warps; ++part) top[i] = max_or_nan(top[i], of_part(i, part).x);
      none |= (u32)(top[i] == -infinity() || !exists(i)) << i;  // FULL tiles score absent rows
      bad |= (u32)(!(top[i] < infinity()) || !weighs) << i;
      if (((none | bad) >> i & 1) != 0) top[i] = 0x1p120f;
      gap[i] = norm.farthest;
      LACUNA_UNROLL
      for (int part = 0; part < key_warps; ++part) {
        const F4 of = of_part(i, part);
        gap[i] = min_f32(gap[i], top[i] - of.x + of.y);  // inf where it saw no key
      }
    }
  }
  // Of a few scores of a row, the greatest of which is known: no less than that of all.
  LACUNA_MEMBER float gap_of(const float (&scores)[parts], float greatest) const {
    const float from = abs_f32(greatest) < infinity() ? greatest : 0.0f;
    float below = norm.farthest;
    LACUNA_NOUNROLL
    for (int n = 0; n < first_steps; ++n) {
      RowSums sums;
      const float gain = rcp_approx(below);
      LACUNA_UNROLL
      for (int part = 0; part < parts; ++part)
        sums.add(norm.norm, fma_saturated(scores[part] - from, gain, 1.0f));
      below = norm.refined(below, Machine::row_sum(sums.f), Machine::row_sum(sums.w));
    }
    return below;
  }
  // Sums over all that lie above the gaps, until those say where thresholds are.
  LACUNA_MEMBER void solve() {
    LACUNA_NOUNROLL
    for (int n = 0; n < most_steps; ++n) {
      RowSums sums[rows];
      float gain[rows];
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) gain[i] = Row::ratio(1.0f, gap[i]);
      LACUNA_NOUNROLL
      for (s32 t = 0; t < count; ++t) {
        LACUNA_UNROLL
        for (int e = 0; e < quads; ++e) {
          const int i = e / row_quads;
          float x[4];
          take(t, e, x);
          LACUNA_UNROLL
          for (int k = 0; k < 4; ++k)
            sums[i].add(norm.norm, fma_saturated(x[k] - top[i], gain[i], 1.0f));
        }
      }
      tell(sums);
      cta_sync();
      bool more = false;
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) {
        const typename Row::Solved next = norm.solved(gap[i], heard(i), n < most_bends);
        more |= next.off > enough * min_f32(next.gap, 4.0f * next.fall);
        gap[i] = next.gap;
      }
      if (!cta_any(more)) break;
    }
  }

  // ---- Weights. ----
  // Scores become u^β; where u^(β-1) is wanted too, u. `all`: their sums over rows.
  LACUNA_MEMBER void weigh(RowSums (&all)[rows]) {
    RowSums sums[rows];
    float gain[rows];
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) gain[i] = Row::ratio(1.0f, gap[i]);
    own = 0;
    LACUNA_NOUNROLL
    for (s32 t = 0; t < count; ++t) {
      u32 any = 0;
      LACUNA_UNROLL
      for (int e = 0; e < quads; ++e) {
        const int i = e / row_quads;
        float x[4];
        take(t, e, x);
        LACUNA_UNROLL
        for (int n = 0; n < 4; ++n) {
          const float u = fma_saturated(x[n] - top[i], gain[i], 1.0f);
          const float slope = norm.norm.slope(u), weight = norm.norm.value(u, slope);
          sums[i].f += weight;
          sums[i].w += slope;
          x[n] = Config::escort ? u : weight;
          any |= bits_of(x[n]);
        }
        memory.scores[t][e][thread_index()] = {x[0], x[1], x[2], x[3]};
      }
      if (any_lane(any != 0)) own |= 1ull << t;
    }
    if (lane_index() < 2) set_bits(memory.live[lane_index()], (u32)(own >> lane_index() * 32));
    tell(sums);
    cta_sync();
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) all[i] = heard(i);
  }
};

}  // namespace lacuna
