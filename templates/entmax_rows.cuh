// p = [c x - τ]₊^β of every row of a matrix, with τ such that Σ p = 1; or softmax. A CTA, or a warp
// of it, to a row. A row that fits stays in shared memory; of a longer one, scores that the
// greatest does not exclude go to lists, one to a warp; where one is full, every step reads the row
// again.
#pragma once
#include "tensor.cuh"
#include "weights/entmax_row.cuh"

namespace lacuna {

template <class Config, class Params>
struct RowWeights {
  using In = typename Config::In;
  using Out = typename Config::Out;
  using Row = EntmaxRow<Config::power, Config::precise>;
  static constexpr int warps = Config::warps, row_warps = Config::row_warps;
  static constexpr int capacity = Config::capacity, list = Config::list, threads = row_warps * 32;
  static constexpr int rows = warps / row_warps;  // of a CTA
  static_assert(row_warps == 1 || row_warps == warps,
                "the warps of a row meet at the CTA's barrier");

  struct Shared {
    float scores[rows][capacity];
    float listed[warps][list];
    F2 sums[2][warps];
  };

  const Params& p;
  Shared& memory;
  u64 x, to;
  s32 n, me;    // of the threads of this row
  bool kept;    // in shared memory
  bool listed;  // in lists
  s32 count;    // of this warp's list
  float top, gap;
  u32 turn = 0;  // of two places for sums
  Row row;

  LACUNA_MEMBER RowWeights(const Params& params, Shared& shared) : p(params), memory(shared) {}

  LACUNA_MEMBER void run() {
    const s64 r = (s64)block_index() * rows + (row_warps == 1 ? (s64)warp_index() : 0);
    if (r >= p.arg.rows) return;
    n = p.arg.n;
    me = (s32)(thread_index() % threads);
    x = row_of(p.arg.x, (u32)r, (int)sizeof(typename In::Raw));
    to = row_of(p.arg.p, (u32)r, (int)sizeof(typename Out::Raw));
    kept = n <= capacity;
    find();
    if (top == -infinity()) return store_same(0.0f);
    if (!(top < infinity())) return store_same(float_of_bits(0x7fffffffu));
    if constexpr (Config::softmax) {
      const float whole = sum([&](float score) { return exponential(score - top); });
      const float factor = divide(1.0f, whole);
      store([&](float score) { return exponential(score - top) * factor; });
    } else {
      row.start(p.arg.alpha - 1.0f, 1.0f);
      gap = row.farthest;
      sift();
      solve();
      weigh();
    }
  }
  LACUNA_MEMBER static u64 row_of(const TensorArg& t, u32 row, int size) {
    s64 at = 0;
    LACUNA_UNROLL
    for (int axis = 5; axis >= 0; --axis) {
      const u32 extent = (u32)t.extent[axis], before = row / extent;
      at += (s64)(row - before * extent) * t.stride[axis];
      row = before;
    }
    return t.data + (u64)(at * size);
  }

  LACUNA_MEMBER float* scores() const { return memory.scores[row_warps == 1 ? warp_index() : 0]; }
  LACUNA_MEMBER float read(s32 k) const { return In::value(load_element<In>(x, k)); }
  LACUNA_MEMBER float score(s32 k) const { return kept ? scores()[k] : read(k); }

  // ---- What the threads of the row have, for all of them. ----
  LACUNA_MEMBER F2* post(F2 mine) {
    F2* const sums = memory.sums[turn];
    turn ^= 1;  // those of the time before are read until the next barrier
    if (lane_index() == 0) sums[warp_index()] = mine;
    cta_sync();
    return sums;
  }
  LACUNA_MEMBER F2 sum_of_all(F2 mine) {
    mine = {warp_sum(mine.x), warp_sum(mine.y)};
    if constexpr (row_warps == 1) return mine;
    const F2* const sums = post(mine);
    F2 all = {0.0f, 0.0f};
    LACUNA_UNROLL
    for (int w = 0; w < warps; ++w) {
      all.x += sums[w].x;
      all.y += sums[w].y;
    }
    return all;
  }
  LACUNA_MEMBER float max_of_all(float mine) {
    mine = warp_max_or_nan(mine);
    if constexpr (row_warps == 1) return mine;
    const F2* const sums = post({mine, 0.0f});
    LACUNA_UNROLL
    for (int w = 0; w < warps; ++w) mine = max_or_nan(mine, sums[w].x);
    return mine;
  }

  // The greatest score, on the way of all of them to shared memory.
  LACUNA_MEMBER void find() {
    top = -infinity();
    LACUNA_NOUNROLL
    for (s32 k = me; k < n; k += threads) {
      const float z = read(k);
      if (kept) scores()[k] = z;
      top = max_or_nan(top, z);
    }
    warp_sync();
    top = max_of_all(top);  // and a barrier, where others read them
  }
  // Lists of what may have a weight; a list that is full leaves `listed` false.
  LACUNA_MEMBER void sift() {
    float* const mine = memory.listed[warp_index()];
    count = 0;
    bool full = false;
    LACUNA_NOUNROLL
    for (s32 first = me - (s32)lane_index(); first < n && !full; first += threads) {
      const s32 k = first + (s32)lane_index();
      const float z = k < n ? score(k) : -infinity();
      const u32 mask = ballot(z - top + gap > 0.0f);
      const s32 more = (s32)popcount(mask);
      full = count + more > list;
      if (!full && (mask >> lane_index() & 1) != 0)
        mine[count + (s32)popcount(mask & lanes_below())] = z;
      count += full ? 0 : more;
    }
    warp_sync();
    listed = max_of_all(full ? 1.0f : 0.0f) == 0.0f;
  }
  // Score k of those that are weighed: of this warp's list, or of the row.
  LACUNA_MEMBER s32 first() const { return listed ? (s32)lane_index() : me; }
  LACUNA_MEMBER s32 stride() const { return listed ? 32 : threads; }
  LACUNA_MEMBER s32 weighed() const { return listed ? count : n; }
  LACUNA_MEMBER float weighed_score(s32 k) const {
    return listed ? memory.listed[warp_index()][k] : score(k);
  }
  LACUNA_MEMBER void solve() {
    gap = row.narrowed(
        top, gap, 32, 0x1p-22f, first(), stride(), weighed(),
        [&](s32 k) { return weighed_score(k); },
        [&](Above& above) {
          const F2 all = sum_of_all({above.f, above.slopes});
          above.f = all.x;
          above.slopes = all.y;
        });
  }
  LACUNA_MEMBER float weight_of(float z, float gain) const {
    const float u = fma_saturated(z - top, gain, 1.0f);
    return row.norm.value(u, row.norm.slope(u));
  }
  LACUNA_MEMBER void weigh() {
    const float gain = divide(1.0f, gap);
    float all = 0;
    LACUNA_NOUNROLL
    for (s32 k = first(); k < weighed();) {
      float part = 0;
      LACUNA_NOUNROLL
      for (s32 left = 64; left > 0 && k < weighed(); --left, k += stride())
        part += weight_of(weighed_score(k), gain);
      all += part;
    }
    const float factor = divide(1.0f, sum_of_all({all, 0.0f}).x);
    store([&](float z) { return weight_of(z, gain) * factor; });
  }
  template <class Value>
  LACUNA_MEMBER float sum(const Value& value) {
    float all = 0;
    LACUNA_NOUNROLL
    for (s32 k = me; k < n;) {
      float part = 0;
      LACUNA_NOUNROLL
      for (s32 left = 64; left > 0 && k < n; --left, k += threads) part += value(score(k));
      all += part;
    }
    return sum_of_all({all, 0.0f}).x;
  }

  template <class Value>
  LACUNA_MEMBER void store(const Value& value) const {
    constexpr int size = (int)sizeof(typename Out::Raw);
    LACUNA_NOUNROLL
    for (s32 k = me; k < n; k += threads)
      store_global(to + (u64)((s64)k * size), Out::raw(value(score(k))));
  }
  LACUNA_MEMBER void store_same(float value) const {
    constexpr int size = (int)sizeof(typename Out::Raw);
    LACUNA_NOUNROLL
    for (s32 k = me; k < n; k += threads) store_global(to + (u64)((s64)k * size), Out::raw(value));
  }
};

template <class Config, class Params>
LACUNA_DEVICE void entmax_rows(const Params& p) {
  using Pass = RowWeights<Config, Params>;
  LACUNA_DYNAMIC_SHARED(memory);
  Pass pass(p, *(typename Pass::Shared*)memory);
  pass.run();
}

}  // namespace lacuna
