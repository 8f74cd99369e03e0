// O_i = Σ_j p_ij v_j, p_ij = [c z_ij - τ_i]₊^β, of rows so short that all their scores stay in
// shared memory: one product with K, thresholds where the scores lie, one product with what of V
// has a weight, in one launch. Nothing is atomic but bits that are set: the same result every time.
#pragma once
#include "kept_scores.cuh"

namespace lacuna {

template <class Config, class Params>
struct ShortRows : KeptScores<Config, Params> {
  using Base = KeptScores<Config, Params>;
  using Machine = typename Base::Machine;
  using Pattern = typename Base::Pattern;
  using Row = typename Base::Row;
  using Base::at, Base::bad, Base::count, Base::exists, Base::first_key, Base::gap, Base::memory,
      Base::none, Base::norm, Base::own, Base::p, Base::row, Base::row0, Base::shared, Base::take,
      Base::top, Base::turn, Base::wrap;
  static constexpr int rows = Base::rows, keys = Base::keys, values = Machine::values;
  static constexpr int ahead = Base::ahead, key_warps = Base::key_warps;
  static constexpr int row_quads = Base::row_quads, quads = Base::quads;

  float factor[rows], of_w[rows];  // O is the sums times the one, the escort times the other
  float o[rows][values];

  LACUNA_MEMBER ShortRows(const Params& params, typename Base::Shared& all) : Base(params, all) {}

  LACUNA_MEMBER void run() {
    if (!locate<Config::lengths, Config::tile_q>(p.call, block_index(), at, row0)) return;
    const float alpha = Pattern::alpha(p, at);
    if (alpha == 1.0f) return store_no_gaps();
    Base::find(alpha);
    RowSums sums[rows];
    Base::weigh(sums);
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) finish(i, sums[i].f, sums[i].w);
    add_values<false>();
    store(p.call.o, factor);
    if constexpr (Config::escort) {
      cta_sync();  // every warp has read the last operands, or sums
      add_values<true>();
      store(p.entmax.escort, of_w);
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
                                : top[i] * Base::scale,
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
      Base::template load_keys<Config::value_dim, unrolled, 0>(v, p.call.v.row, first_key(t), to);
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
