// The threshold of one row of α-entmax from scores that lie at hand: it stays below the greatest
// score, top, by a gap, which is the root of
//   Σ [z_j - top + gap]₊^β = reach^β.
// From any gap that is not too small, steps of Newton make it smaller and never too small: that of
// some of a row's scores is one for the row.
#pragma once
#include "candidates.cuh"
#include "weights/entmax.cuh"

namespace lacuna {

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
      const float d = norm.step(above.f, above.slopes, reach) / unit;
      gap -= d;
      if (d <= gap * enough) break;
    }
    return gap;
  }
  // What is left of the gap after one more step, where f and w are Σ u^β and Σ u^(β-1),
  // u = [(z - top) / gap + 1]₊.
  LACUNA_MEMBER float refined(float gap, float f, float w) const {
    const float move = w > 0.0f ? (f - norm.root(f) * divide(farthest, gap)) / w : 0.0f;
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

// What a row has of scores: in the lanes of a warp, in order.
struct Sifted {
  // Scores [0, count) at `scores`, of which those stay, in their order, that a gap below top does
  // not exclude; bit k of `kept` says that score k did. Returns how many did. For all lanes.
  LACUNA_MEMBER static s32 sift(float* scores, s32 count, u32* kept, float top, float gap) {
    const s32 lane = (s32)lane_index();
    s32 left = 0;
    LACUNA_NOUNROLL
    for (s32 first = 0; first < count; first += 32) {
      const s32 k = first + lane;
      const float score = k < count ? scores[k] : -infinity();
      const bool above = score - top + gap > 0.0f;
      const u32 mask = ballot(above);
      warp_sync();  // all have read what is overwritten
      if (above) scores[left + (s32)popcount(mask & lanes_below())] = score;
      if (lane == 0) kept[first / 32] = mask;
      left += (s32)popcount(mask);
    }
    warp_sync();
    return left;
  }
  // Calls take(score, k, rank) for those that a smaller gap does not exclude either; rank counts
  // from 0. Returns how many.
  template <class Take>
  LACUNA_MEMBER static s32 each(const float* scores, s32 count, const u32* kept, float top,
                                float gap, const Take& take) {
    s32 before = 0, rank = 0;
    LACUNA_NOUNROLL
    for (s32 first = 0; first < count; first += 32) {
      const u32 mask = kept[first / 32];
      if (mask == 0) continue;
      const bool here = (mask >> lane_index() & 1) != 0;
      const float score = here ? scores[before + (s32)popcount(mask & lanes_below())] : -infinity();
      const u32 live = ballot(score - top + gap > 0.0f);
      if ((live >> lane_index() & 1) != 0)
        take(score, first + (s32)lane_index(), rank + (s32)popcount(live & lanes_below()));
      before += (s32)popcount(mask);
      rank += (s32)popcount(live);
    }
    return rank;
  }
};

}  // namespace lacuna
