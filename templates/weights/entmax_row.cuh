// The threshold of one row of α-entmax from scores that lie at hand: it stays below the greatest
// score, top, by a gap, which is the root of
//   Σ [z_j - top + gap]₊^β = reach^β.
// From any gap that is not too small, steps of Newton make it smaller and never too small: that of
// some of a row's scores is one for the row.
#pragma once
#include "candidates.cuh"
#include "weights/entmax.cuh"

namespace lacuna {

// Σ u^β, Σ u^(β-1) and, where that is a product, Σ u^(β-2) of a row, u = [(z - top) / gap + 1]₊.
struct RowSums {
  float f = 0, w = 0, h = 0;

  template <class Norm>
  LACUNA_MEMBER void add(const Norm& norm, float u) {
    const float slope = norm.slope(u);
    f = norm.sum(f, u, slope);
    w += slope;
    if constexpr (Norm::power_of > 1) h = norm.bend(h, u);
  }
};

template <int power, bool precise>
struct EntmaxRow {
  using Norm = Power<power, precise>;
  // Distances are counted in x = c z where powers of them may leave the range.
  static constexpr bool scaled = power == 0;
  Norm norm;
  float unit;      // of a score, to distances
  float reach;     // the distance that is 1 of x
  float farthest;  // the gap of a lone score, in its unit: no other is greater

  // x = c scale times a score.
  LACUNA_MEMBER void start(float c, float scale) {
    const float of_score = c * scale;
    norm.beta = 1.0f / c;
    farthest = 1.0f / of_score;
    unit = scaled ? of_score : 1.0f;
    reach = scaled ? 1.0f : farthest;
  }
  LACUNA_MEMBER static float ratio(float a, float b) {
    return precise ? divide(a, b) : a * rcp_approx(b);
  }
  LACUNA_MEMBER float distance(float score, float top, float gap) const {
    const float d = score - top + gap;
    return scaled ? d * unit : d;
  }

  // At most `steps` steps, until one is no more than `enough` of the gap. Of scores
  // [0, count), score(k) each, this thread has every stride-th from `first` on; `meet` adds what
  // the threads of the row have, for all of them.
  template <class Score, class Meet>
  LACUNA_MEMBER float narrowed(float top, float gap, int steps, float enough, s32 first, s32 stride,
                               s32 count, const Score& score, const Meet& meet) const {
    LACUNA_NOUNROLL
    for (int n = 0; n < steps; ++n) {
      Above above;
      LACUNA_NOUNROLL
      for (s32 k = first; k < count;) {
        Above part;  // long sums of numbers that are alike are rounded to one side
        LACUNA_NOUNROLL
        for (s32 left = 64; left > 0 && k < count; --left, k += stride)
          part.add(norm, distance(score(k), top, gap));
        above.f += part.f;
        above.slopes += part.slopes;
      }
      meet(above);
      // A long step may pass the threshold by a rounding: the next one comes back.
      const float to = norm.toward(above.f, above.slopes, reach);
      const float d = above.slopes > 0.0f && to < reach ? to / unit : 0.0f;
      gap -= d;
      if (abs_f32(d) <= gap * enough) break;
    }
    return gap;
  }
  // The gap that such sums say, and what the first term of it may be that they do not know. F as
  // a function of the gap is modelled: right in value, slope and curvature, or without Σ u^(β-2) in
  // where it ends. Or a step of Newton, which always comes nearer. A fall is the way on which F
  // changes by itself.
  struct Solved {
    float gap, off, fall;
  };
  LACUNA_MEMBER Solved solved(float gap, const RowSums& sums, bool by_model) const {
    constexpr bool curved = Norm::power_of > 1;
    const float per_w = ratio(1.0f, sums.w), root = ratio(1.0f, norm.beta);
    const float fall = gap * sums.f * per_w * root;
    if (!by_model) {
      const float next = refined(gap, sums.f, sums.w);
      return {next, abs_f32(next - gap), fall};
    }
    const float bend = curved ? 1.0f - (1.0f - root) * sums.f * sums.h * per_w * per_w
                              : min_f32(sums.f * per_w * root, root);
    const Decline model = {fall, bend};
    const float x =
        (log2_approx(sums.f) + norm.beta * log2_approx(ratio(gap, farthest))) * Decline::log_2;
    const float next = min_f32(max_f32(gap - model.way(model.bounded(x)), gap * 0x1p-6f), farthest);
    const float off = model.way_off(x, curved, gap * root);
    return {next, off + 2.0f * kink(abs_f32(next - gap), gap, per_w * root), fall};
  }
  // What a key on the way of a gap, which no model knows of, may make of it at most: u^β / (β W).
  LACUNA_MEMBER float kink(float way, float gap, float per_w) const {
    return way * norm.slope(ratio(way, gap)) * per_w;
  }
  // What is left of the gap after one more step, where f and w are Σ u^β and Σ u^(β-1),
  // u = [(z - top) / gap + 1]₊.
  LACUNA_MEMBER float refined(float gap, float f, float w) const {
    const float move = w > 0.0f ? ratio(f - norm.root(f) * ratio(farthest, gap), w) : 0.0f;
    return min_f32(gap * (1.0f - move), farthest);
  }
};

// ---- Sums and maxima over a warp, the same in every lane. ----
LACUNA_DEVICE float warp_sum(float x) {
  LACUNA_UNROLL
  for (u32 lanes = 16; lanes > 0; lanes /= 2) x += shuffle_xor(x, lanes);
  return x;
}
LACUNA_DEVICE float warp_max_or_nan(float x) {
  LACUNA_UNROLL
  for (u32 lanes = 16; lanes > 0; lanes /= 2) x = max_or_nan(x, shuffle_xor(x, lanes));
  return x;
}
LACUNA_DEVICE u32 lanes_below() {
  return (1u << lane_index()) - 1;
}

// Scores of a row in shared memory, and the keys that they are of, as a warp sorts them out.
struct Sifted {
  float* scores;
  s32* keys;

  // Of scores [0, count), of as many keys from `first` on, those stay that a gap below top does not
  // exclude, behind one another in an order that is always the same. count is a multiple of 4.
  // Returns how many. For all lanes.
  LACUNA_MEMBER s32 sift(s32 first, s32 count, float top, float gap) const {
    s32 left = 0;
    LACUNA_NOUNROLL
    for (s32 k = 4 * (s32)lane_index(); any_lane(k < count); k += 128) {
      F4 four = {-infinity(), -infinity(), -infinity(), -infinity()};
      if (k < count) four = *(const F4*)(scores + k);
      const float score[] = {four.x, four.y, four.z, four.w};
      u32 above[4];
      LACUNA_UNROLL
      for (int e = 0; e < 4; ++e) above[e] = ballot(score[e] - top + gap > 0.0f);
      if ((above[0] | above[1] | above[2] | above[3]) == 0) continue;
      warp_sync();  // all have read what is overwritten
      LACUNA_UNROLL
      for (int e = 0; e < 4; ++e) {
        const s32 to = left + (s32)popcount(above[e] & lanes_below());
        if ((above[e] >> lane_index() & 1) != 0) {
          scores[to] = score[e];
          keys[to] = first + k + e;
        }
        left += (s32)popcount(above[e]);
      }
    }
    warp_sync();
    return left;
  }
  // Stores {score, key} of those of the first `count` that a smaller gap does not exclude either.
  // Returns how many.
  LACUNA_MEMBER s32 store(u64 to, s32 count, float top, float gap) const {
    s32 stored = 0;
    LACUNA_NOUNROLL
    for (s32 k = (s32)lane_index(); any_lane(k < count); k += 32) {
      const float score = k < count ? scores[k] : -infinity();
      const u32 above = ballot(score - top + gap > 0.0f);
      if ((above >> lane_index() & 1) != 0)
        store_global(to + (u64)((stored + (s32)popcount(above & lanes_below())) * 8),
                     U2{bits_of(score), (u32)keys[k]});
      stored += (s32)popcount(above);
    }
    return stored;
  }
};

}  // namespace lacuna
