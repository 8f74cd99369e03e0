// O_i = Σ_j u_ij^β v_j / Σ_j u_ij^β over the candidates of all splits of a row (materialise.cuh),
// whose threshold they give exactly. A CTA to a row; of V it reads the keys that have a weight, and
// no others. Each warp has the candidates of some splits, side by side; all is added in one order.
#pragma once
#include "materialise.cuh"

namespace lacuna {

template <class Config, class Params>
struct Gather {
  using Pattern = typename Config::Pattern;
  using Row = EntmaxRow<Config::power, Config::precise>;
  using In = typename Config::In;
  static constexpr int warps = Config::warps;
  static constexpr int outputs = Config::escort ? 2 : 1;  // O, and values by u^(β-1)
  // Eight columns of V to a lane; the lanes that this leaves over take other keys.
  static constexpr int columns = 8, chunks = Config::value_dim / columns;
  static constexpr int row_lanes = chunks > 16  ? 32
                                   : chunks > 8 ? 16
                                   : chunks > 4 ? 8
                                   : chunks > 2 ? 4
                                   : chunks > 1 ? 2
                                                : 1;
  static constexpr int side = 32 / row_lanes;  // keys that a warp takes at once
  static_assert(chunks <= 32 && Config::value_dim % columns == 0, "a lane has a chunk at most");

  struct Shared {
    F2 sums[2][warps];
    float o[outputs][warps][Config::value_dim];
  };

  const Params& p;
  Shared& memory;
  Place at;
  s32 query;
  Row row;
  float scale, top, gap;
  u64 list;      // of this warp
  s32 count;     // of its candidates
  u32 turn = 0;  // of two places for sums

  LACUNA_MEMBER Gather(const Params& params, Shared& shared) : p(params), memory(shared) {}

  LACUNA_MEMBER void run() {
    if (!locate<Config::lengths, 1>(p.call, block_index(), at, query) ||
        query >= rows_of<Config::lengths>(p.call, at))
      return;
    const bool exists = query < at.q_len;
    const float alpha = Pattern::alpha(p, at);
    if (alpha == 1.0f) {
      // A row of softmax, whose lse zmax takes.
      if (Config::statistic && thread_index() == 0)
        store_global(statistic(p.materialised.entmax.gap), exists ? 0.0f : 1.0f);
      return;
    }
    const float nan = float_of_bits(0x7fffffffu);
    if (!exists) return store_same(0.0f, -infinity(), 1.0f);
    if (!is_alpha(alpha)) return store_same(nan, nan, nan);
    scale = entmax_unit(Pattern::plain_score, p.call.scale).scale;
    row.start(alpha - 1.0f, scale);
    find();
    if (top != top) return store_same(nan, nan, nan);
    if (top == -infinity()) return store_same(0.0f, -infinity(), 1.0f);
    take();
    solve();
    add();
  }

  LACUNA_MEMBER F4 found(s32 split) const {
    const CandidateLists<Config::lengths, Params> lists(p, at, at.h, query);
    return load_global<F4>(lists.found(split));
  }
  // The greatest score of all splits, and the least gap that any of them allows. Every warp for
  // itself.
  LACUNA_MEMBER void find() {
    top = -infinity();
    LACUNA_NOUNROLL
    for (s32 s = (s32)lane_index(); s < p.call.splits; s += 32) top = max_or_nan(top, found(s).x);
    top = warp_max_or_nan(top);
    gap = row.farthest;
    LACUNA_NOUNROLL
    for (s32 s = (s32)lane_index(); s < p.call.splits; s += 32) {
      const F4 part = found(s);
      gap = min_f32(gap, top - part.x + part.y);  // inf where it saw no key
    }
    gap = -warp_max_or_nan(-gap);
  }
  // The candidates of this warp's splits that the gap does not exclude, one behind the other from
  // the first list on: what is overwritten has been read.
  LACUNA_MEMBER void take() {
    const CandidateLists<Config::lengths, Params> lists(p, at, at.h, query);
    const s32 warp = (s32)warp_index(), splits = p.call.splits;
    const s32 first = warp * splits / warps, last = (warp + 1) * splits / warps;
    list = lists.list(first);
    count = 0;
    LACUNA_NOUNROLL
    for (s32 s = first; s < last; ++s) {
      const u64 from = lists.list(s);
      const s32 given = (s32)bits_of(found(s).z);
      LACUNA_NOUNROLL
      for (s32 n = 0; n < given; n += 32) {
        const s32 k = n + (s32)lane_index();
        F2 one = {-infinity(), 0.0f};
        if (k < given) one = load_written<F2>(from + (u64)(k * 8));
        const bool above = one.x - top + gap > 0.0f;
        const u32 mask = ballot(above);
        warp_sync();
        if (above)
          store_global(list + (u64)((count + (s32)popcount(mask & lanes_below())) * 8), one);
        count += (s32)popcount(mask);
      }
    }
    warp_sync();
  }
  // Two sums over the CTA, for all threads.
  LACUNA_MEMBER F2 meet(float a, float b) {
    a = warp_sum(a);
    b = warp_sum(b);
    F2(&sums)[warps] = memory.sums[turn];
    turn ^= 1;  // those of the time before are read until the next barrier
    if (lane_index() == 0) sums[warp_index()] = {a, b};
    cta_sync();
    F2 all = {0.0f, 0.0f};
    LACUNA_UNROLL
    for (int w = 0; w < warps; ++w) {
      all.x += sums[w].x;
      all.y += sums[w].y;
    }
    return all;
  }
  LACUNA_MEMBER void solve() {
    gap = row.narrowed(
        top, gap, 24, 0x1p-22f, (s32)lane_index(), 32, count,
        [&](s32 k) { return load_written<F2>(list + (u64)(k * 8)).x; },
        [&](Above& above) {
          const F2 all = meet(above.f, above.slopes);
          above.f = all.x;
          above.slopes = all.y;
        });
  }

  // Sums over the keys that have a weight, and the end of the row.
  LACUNA_MEMBER void add() {
    constexpr int size = (int)sizeof(typename In::Raw);
    const int lane = (int)lane_index(), chunk = lane % row_lanes;
    const bool has_columns = chunk < chunks;
    const u64 v = row_address<In, Config::lengths>(p.call.v, at, at.g, at.k_start) +
                  (u64)(chunk * columns * size);
    const float gain = divide(1.0f, gap);
    float o[outputs][columns] = {}, f = 0, w = 0;
    LACUNA_NOUNROLL
    for (s32 n = lane / row_lanes; n < count; n += side) {
      const F2 one = load_written<F2>(list + (u64)(n * 8));
      const float u = fma_saturated(one.x - top, gain, 1.0f);
      const float slope = row.norm.slope(u), weight = row.norm.value(u, slope);
      if ((Config::escort ? slope : weight) > 0.0f && has_columns) {
        float x[columns];
        load_columns<In, Config::aligned>(
            x, v + (u64)((s64)(s32)bits_of(one.y) * p.call.v.row * size));
        LACUNA_UNROLL
        for (int c = 0; c < columns; ++c) {
          o[0][c] = fma_rn(weight, x[c], o[0][c]);
          if constexpr (Config::escort) o[1][c] = fma_rn(slope, x[c], o[1][c]);
        }
      }
      f += weight;
      w += slope;
    }
    // Lanes with the same columns; what a row of lanes has of f and w is the same in all of them.
    LACUNA_UNROLL
    for (u32 lanes = row_lanes; lanes < 32; lanes *= 2) {
      LACUNA_UNROLL
      for (int c = 0; c < columns * outputs; ++c)
        o[c / columns][c % columns] += shuffle_xor(o[c / columns][c % columns], lanes);
    }
    const F2 all = meet(chunk == 0 ? f : 0.0f, chunk == 0 ? w : 0.0f);
    if (lane < chunks) {
      LACUNA_UNROLL
      for (int c = 0; c < columns * outputs; ++c)
        memory.o[c / columns][warp_index()][lane * columns + c % columns] =
            o[c / columns][c % columns];
    }
    cta_sync();
    store_sums(p.call.o, memory.o[0], divide(1.0f, all.x));
    if constexpr (Config::escort)
      store_sums(p.materialised.entmax.escort, memory.o[1], divide(1.0f, all.y));
    store_statistic(top * scale, row.refined(gap, all.x, all.y) / row.farthest);
  }

  LACUNA_MEMBER void store_sums(const MatrixArg& to, const float (&sums)[warps][Config::value_dim],
                                float factor) const {
    store(to, [&](s32 column) {
      float sum = 0;
      LACUNA_UNROLL
      for (int n = 0; n < warps; ++n) sum += sums[n][column];
      return sum * factor;
    });
  }
  LACUNA_MEMBER void store_same(float o, float zmax, float gap_of_row) const {
    store(p.call.o, [=](s32) { return o; });
    if constexpr (Config::escort) store(p.materialised.entmax.escort, [=](s32) { return o; });
    store_statistic(zmax, gap_of_row);
  }
  template <class Value>
  LACUNA_MEMBER void store(const MatrixArg& m, const Value& value) const {
    using Out = typename Config::Out;
    const u64 to = row_address<Out, Config::lengths>(m, at, at.h, (s64)at.q_start + query);
    LACUNA_NOUNROLL
    for (s32 c = (s32)thread_index(); c < Config::value_dim; c += warps * 32)
      store_global(to + (u64)c * sizeof(typename Out::Raw), Out::raw(value(c)));
  }
  LACUNA_MEMBER u64 statistic(const MatrixArg& m) const {
    return row_address<F32, Config::lengths>(m, at, at.h, (s64)at.q_start + query);
  }
  LACUNA_MEMBER void store_statistic(float zmax, float gap_of_row) const {
    if (!Config::statistic || thread_index() != 0) return;
    store_global(statistic(p.materialised.entmax.zmax), zmax);
    store_global(statistic(p.materialised.entmax.gap), gap_of_row);
  }
};

template <class Config, class Params>
LACUNA_DEVICE void gather(const Params& p) {
  using Pass = Gather<Config, Params>;
  LACUNA_DYNAMIC_SHARED(memory);
  Pass pass(p, *(typename Pass::Shared*)memory);
  pass.run();
}

}  // namespace lacuna
