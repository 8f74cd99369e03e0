// O_i = Σ_j p_ij v_j, p_ij = [c z_ij - τ_i]₊^β, of rows so short that all their scores stay in
// shared memory: one product with K, thresholds where the scores lie, one product with what of V
// has a weight, in one launch. Several warps may share rows, each with tiles of keys of its own; a
// score lies where the lane that computed it, and no other, finds it again. Warps tell each other
// of a row what bounds its threshold, then sums, in an order that is always the same.
#pragma once
#include "scores.cuh"
#include "tiles/live.cuh"
#include "weights/entmax_row.cuh"

namespace lacuna {

template <class Config, class Params>
struct ShortRows : TileScores<Config, Params> {
  using Base = TileScores<Config, Params>;
  using Machine = typename Base::Machine;
  using Pattern = typename Base::Pattern;
  using Row = EntmaxRow<Config::power, Config::precise>;
  using Base::at, Base::exists, Base::p, Base::raw, Base::row, Base::row0, Base::shared,
      Base::tile_rows, Base::visit;
  static constexpr int rows = Base::rows, keys = Base::keys, values = Machine::values;
  static constexpr int stages = Machine::stages, ahead = stages - 1;
  static constexpr int threads = Config::warps * 32;
  static constexpr int key_warps = Machine::stage_keys / Config::tile_k;  // that share rows
  static constexpr int turns = Config::turns;  // a warp has so many tiles of keys at most
  static constexpr int row_quads = keys / 4, quads = rows * row_quads;  // of a lane's in a tile
  // The greatest of so many parts of a lane's keys say where to begin.
  static constexpr int parts = keys < 8 ? 1 : 4, first_steps = 3;
  static constexpr int most_steps = 24, most_bends = 8;
  // Of a gap: what it may be off by.
  static constexpr float enough = Config::precise ? 0x1p-21f : 0x1p-13f;
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
  float scale;                     // of a score, to natural logits
  s32 count;                       // turns of this CTA
  float most[rows][parts];         // of this lane's scores
  float top[rows], gap[rows];      // of rows; where none is finite, no score comes near the top
  float factor[rows], of_w[rows];  // O is the sums times the one, the escort times the other
  u32 bad, none;                   // bits of rows: with a NaN or infinite score, or without a key
  u32 told;                        // which of two was told last
  u64 own;                         // turns in which this warp has a weight
  float o[rows][values];

  LACUNA_MEMBER ShortRows(const Params& params, Shared& all)
      : Base(params, all.tiles), memory(all) {}

  LACUNA_MEMBER void run() {
    if (!locate<Config::lengths, Config::tile_q>(p.call, block_index(), at, row0)) return;
    const float alpha = Pattern::alpha(p, at);
    if (alpha == 1.0f) return store_no_gaps();
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
    weigh();
    add_values<false>();
    store(p.call.o, factor);
    if constexpr (Config::escort) {
      cta_sync();  // every warp has read the last operands, or sums
      add_values<true>();
      store(p.entmax.escort, of_w);
    }
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
      if (!full)
        Base::template to_scores<false>(z, live, first);
      else if (!Pattern::plain_score || !raw)
        Base::template to_scores<true>(z, live, first);
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
      none |= (u32)(top[i] == -infinity()) << i;
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
        more |= next.off > next.gap * enough;
        gap[i] = next.gap;
      }
      if (!cta_any(more)) break;
    }
  }

  // ---- Weights. ----
  // Scores become u^β; where both are wanted, u.
  LACUNA_MEMBER void weigh() {
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
    for (int i = 0; i < rows; ++i) {
      const RowSums all = heard(i);
      finish(i, all.f, all.w);
    }
  }
  LACUNA_MEMBER void finish(int i, float f, float w) {
    const float nan = float_of_bits(0x7fffffffu);
    const bool is_bad = (bad >> i & 1) != 0 && exists(i), is_none = (none >> i & 1) != 0;
    factor[i] = is_bad ? nan : is_none ? 0.0f : Row::ratio(1.0f, f);
    of_w[i] = is_bad ? nan : is_none ? 0.0f : Row::ratio(1.0f, w);
    if constexpr (Config::statistic) {
      const float better = norm.refined(gap[i], f, w) / norm.farthest;
      store_statistic(i,
                      is_bad    ? nan
                      : is_none ? -infinity()
                                : top[i] * scale,
                      is_bad    ? nan
                      : is_none ? 1.0f
                                : better);
    }
  }
  LACUNA_MEMBER bool stores(int i) const {
    return Machine::part() == 0 && row(i) < rows_of<Config::lengths>(p.call, at);
  }
  LACUNA_MEMBER void store_statistic(int i, float zmax, float gap_of_row) const {
    if (!stores(i) || (int)lane_index() % Machine::row_lanes != 0) return;
    const s64 r = (s64)at.q_start + row(i);
    store_global(Base::template address_of<F32>(p.entmax.zmax, at.h, r), zmax);
    store_global(Base::template address_of<F32>(p.entmax.gap, at.h, r), gap_of_row);
  }
  // Of rows that are softmax's, whose lse zmax takes.
  LACUNA_MEMBER void store_no_gaps() const {
    if constexpr (!Config::statistic) return;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i)
      if (stores(i) && (int)lane_index() % Machine::row_lanes == 0)
        store_global(Base::template address_of<F32>(p.entmax.gap, at.h, (s64)at.q_start + row(i)),
                     exists(i) ? 0.0f : 1.0f);
  }

  // ---- Values. ----
  LACUNA_MEMBER s32 next_live(s32 t, u64 live) const {
    do ++t;
    while (t < count && (live >> t & 1) == 0);
    return t;
  }
  template <bool unrolled>
  LACUNA_MEMBER void fetch_values(u64 v, s32 t, int to) {
    if (t < count)
      Base::template load_keys<Config::value_dim, unrolled, false>(v, p.call.v.row, first_key(t),
                                                                   to);
    Machine::commit();
  }
  // O, or with `slopes` the escort, of all warps that share a row, in the first of them.
  template <bool slopes>
  LACUNA_MEMBER void add_values() {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c) o[i][c] = 0;
    }
    const u64 live = memory.live[0] | (u64)memory.live[1] << 32;
    const u64 v = Base::template address_of<typename Config::In>(p.call.v, at.g, at.k_start);
    s32 ask = next_live(-1, live), t = ask;
    LACUNA_NOUNROLL
    for (int n = 0; n < ahead; ++n, ask = next_live(ask, live)) fetch_values<false>(v, ask, n);
    int slot = 0;
    LACUNA_NOUNROLL
    for (; t < count; t = next_live(t, live)) {
      turn(slot, [&](int to) {
        fetch_values<true>(v, ask, to);
        ask = next_live(ask, live);
      });
      if ((own >> t & 1) != 0) accumulate<slopes>(t, slot);
      slot = wrap(slot + 1);
    }
    Machine::template wait<0>();
    if constexpr (key_warps > 1) join();
  }
  template <bool slopes>
  LACUNA_MEMBER void accumulate(s32 t, int slot) {
    float weight[rows][keys];
    LACUNA_UNROLL
    for (int e = 0; e < quads; ++e) {
      float x[4];
      take(t, e, x);
      LACUNA_UNROLL
      for (int n = 0; n < 4; ++n) {
        const float slope = Config::escort ? norm.norm.slope(x[n]) : 0.0f;
        weight[e / row_quads][e % row_quads * 4 + n] = !Config::escort ? x[n]
                                                       : slopes        ? slope
                                                                : norm.norm.value(x[n], slope);
      }
    }
    Machine::accumulate(o, weight, shared, slot);
  }
  LACUNA_MEMBER float& sum(int n) { return o[n / values][n % values]; }
  // Half of the warps that share a row hand theirs to the other half, until one has all.
  LACUNA_MEMBER void join() {
    constexpr int all = rows * values / 4, pairs = Config::warps / 2, pitch = pairs * 32;
    constexpr int room = (int)sizeof(typename Machine::Shared) / 16 / pitch;
    constexpr int at_once = room < all ? room : all;
    static_assert(at_once > 0, "sums have room");
    F4* const sums = (F4*)&memory.tiles + lane_index();
    LACUNA_NOUNROLL
    for (int half = key_warps / 2; half > 0; half /= 2) {
      const int part = Machine::part(), group = (int)warp_index() / key_warps;
      F4* const mine = sums + (group * (key_warps / 2) + part % half) * 32;
      LACUNA_UNROLL
      for (int first = 0; first < all; first += at_once) {
        cta_sync();  // those before have been read
        LACUNA_UNROLL
        for (int n = first; n < min_of(first + at_once, all); ++n) {
          if (part >= half && part < 2 * half)
            mine[(n - first) * pitch] = {sum(4 * n), sum(4 * n + 1), sum(4 * n + 2),
                                         sum(4 * n + 3)};
        }
        cta_sync();
        LACUNA_UNROLL
        for (int n = first; n < min_of(first + at_once, all); ++n) {
          if (part >= half) continue;
          const F4 x = mine[(n - first) * pitch];
          sum(4 * n) += x.x, sum(4 * n + 1) += x.y;
          sum(4 * n + 2) += x.z, sum(4 * n + 3) += x.w;
        }
      }
    }
  }
  LACUNA_MEMBER void store(const MatrixArg& to, const float (&by)[rows]) const {
    using Out = typename Config::Out;
    constexpr int size = (int)sizeof(typename Out::Raw);
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      if (!stores(i)) continue;
      const u64 first = Base::template address_of<Out>(to, at.h, (s64)at.q_start + row(i)) +
                        (u64)(Machine::column(0) * size);
      LACUNA_UNROLL
      for (int c = 0; c < values; c += Machine::run) {
        float x[Machine::run];
        LACUNA_UNROLL
        for (int e = 0; e < Machine::run; ++e) x[e] = o[i][c + e] * by[i];
        store_columns<Out, Config::aligned>(first + (u64)(Machine::after(c) * size), x);
      }
    }
  }
};

template <class Config, class Params>
LACUNA_DEVICE void short_rows(const Params& p) {
  using Pass = ShortRows<Config, Params>;
  LACUNA_DYNAMIC_SHARED(memory);
  Pass pass(p, *(typename Pass::Shared*)memory);
  pass.run();
}

}  // namespace lacuna
