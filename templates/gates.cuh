// The gates of the rows of a lane: certified bounds below their thresholds, and the candidates
// above them, from which they rise. What is counted in which unit:
//   score     gates, candidates, top, width: q.k where no rule makes a score of it, else z
//   distance  score - gate, times `unit`: what is tested, raised to powers and added up
//   x         c z, whose threshold is τ, and whose distance 1 is `reach` in that of distances
//   natural   z: zmax as it is stored; the stored gap is one of x
#pragma once
#include "candidates.cuh"
#include "weights/entmax.cuh"

namespace lacuna {

// The first becomes the last. A loop over rows that shall be one piece of code works on the first
// place and turns every array that it uses, which after all rows is as before.
template <class T, int n>
LACUNA_DEVICE void rotate(T (&values)[n]) {
  const T first = values[0];
  LACUNA_UNROLL
  for (int i = 0; i + 1 < n; ++i) values[i] = values[i + 1];
  values[n - 1] = first;
}

template <class Machine_, int power, bool precise>
struct Gates {
  using Machine = Machine_;
  using Norm = Power<power, precise>;
  static constexpr int rows = Machine::rows, pairs = rows / 2;
  static constexpr u32 list_bytes = candidate_slots * list_pitch,
                       stage_bytes = candidate_blocks * block_pitch,
                       warp_bytes = rows * list_bytes + pairs * stage_bytes;
  // Distances of scores to a gate are counted in x = c z where powers of them may leave the range.
  static constexpr bool scaled = power == 0;
  // By how much a gate stays below what is known of its threshold. In x: less than a bf16 weight
  // shows, more than powers and their sums are off.
  static constexpr float of_x = 0x1p-12f;
  // And of the gate itself: sums that carry one are off by 2^-24 of it for each of their roundings,
  // of which D = 256 has 16 to 32. Candidates began with the gates before; sums of a walk all begin
  // with the same, and what is common to them moves no key against another.
  static constexpr float of_candidates = 0x1p-19f, of_walk = 0x1p-22f;
  static constexpr float last_digit = 0x1p-22f;  // of a gap: a step that is less moves nothing
  static constexpr float never = -0x1p120f;      // minus a gate that nothing reaches
  // Of Newton: on one tile, whose gate is only the first; and on all candidates.
  static constexpr int first_steps = 4, last_steps = 6;

  Norm norm;
  float unit;         // of a score, to distances
  float reach;        // the distance that is 1 of x
  float least;        // by which a gate stays below what is known of the threshold
  float minus[rows];  // the gate, negated
  u64 scratch;        // of the CTA
  u32 lists, staged;  // where those of this lane begin
  u32 end[rows], staged_end[pairs];

  LACUNA_MEMBER void place(u64 scratch_of_cta) {
    scratch = scratch_of_cta;
    lists = warp_index() * warp_bytes + lane_index() * 8;
    staged = warp_index() * warp_bytes + rows * list_bytes + lane_index() * 32;
    clear();
  }
  // x = c scale times a score.
  LACUNA_MEMBER void start(float c, float scale) {
    norm.beta = 1.0f / c;
    const float of_score = c * scale;
    unit = scaled ? of_score : 1.0f;
    reach = scaled ? 1.0f : 1.0f / of_score;
    least = of_x / of_score;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) minus[i] = 0;
    clear();
  }
  LACUNA_MEMBER void clear() {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) end[i] = lists + (u32)i * list_bytes;
    LACUNA_UNROLL
    for (int a = 0; a < pairs; ++a) staged_end[a] = staged + (u32)a * stage_bytes;
  }
  // Of this lane, of a row.
  LACUNA_MEMBER u32 candidates(int i) const {
    return (end[i] - lists - (u32)i * list_bytes) / list_pitch;
  }
  LACUNA_MEMBER float margin(float gate) const {
    return fma_rn(abs_f32(gate), of_candidates, least);
  }

  LACUNA_MEMBER float to_distance(float difference) const {
    return scaled ? difference * unit : difference;
  }

  // A gate for a row from its scores in a tile, the greatest of which is `most`.
  template <int keys>
  LACUNA_MEMBER float first(const float (&score)[keys], float most) const {
    float gate = most - reach / unit;
    LACUNA_NOUNROLL
    for (int n = 0; n < first_steps; ++n) {
      Above above;
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) above.add(norm, to_distance(score[j] - gate));
      above.meet<Machine>();
      gate += norm.step(above.f, above.slopes, reach) / unit;
    }
    return gate - margin(gate);
  }

  // Takes the hits among the distances of a tile. Returns whether it is time to sort them out: the
  // staging area may be too full for another tile, or there were some, and they are due.
  template <int keys>
  LACUNA_MEMBER bool collect(const float (&c)[rows][keys], s32 first, bool due) {
    constexpr int spans = keys / 2;
    static_assert(spans < candidate_blocks, "a tile fits the staging area");
    u32 signs[pairs][spans], all = ~0u;  // bits of each block of 2 x 2 distances, and-ed
    LACUNA_UNROLL
    for (int a = 0; a < pairs; ++a) {
      LACUNA_UNROLL
      for (int b = 0; b < spans; ++b) {
        signs[a][b] = and_of(bits_of(c[2 * a][2 * b]), bits_of(c[2 * a][2 * b + 1]),
                             bits_of(c[2 * a + 1][2 * b])) &
                      bits_of(c[2 * a + 1][2 * b + 1]);
        if (b % 2 == 1) all = and_of(all, signs[a][b - 1], signs[a][b]);
        if (b % 2 == 0 && b == spans - 1) all &= signs[a][b];
      }
    }
    if (!any_lane((s32)all >= 0)) return false;
    u32 fullest = 0;
    LACUNA_UNROLL
    for (int a = 0; a < pairs; ++a) {
      LACUNA_UNROLL
      for (int b = 0; b < spans; ++b)
        if (any_lane((s32)signs[a][b] >= 0))
          append_block(scratch, staged_end[a], signs[a][b], c[2 * a][2 * b], c[2 * a][2 * b + 1],
                       c[2 * a + 1][2 * b], c[2 * a + 1][2 * b + 1], first + Machine::key(2 * b));
      fullest = max_of(fullest, staged_end[a] - (staged + (u32)a * stage_bytes));
    }
    return due || any_lane(fullest > (u32)(candidate_blocks - spans) * block_pitch);
  }

  // Sorts candidates out, adds them up, and raises the gates by what they say. False: lists do not
  // do here, since one is full, or a sum is no number; gates stay where they are.
  template <class Pass>
  LACUNA_MEMBER bool rise(Pass& pass, Above (&above)[rows]) {
    bool well = true;
    LACUNA_NOUNROLL
    for (int n = 0; n < pairs; ++n) {
      Above of_pair[2];
      const u32 begin = lists + (u32)n * (2 * list_bytes);
      sweep(begin, of_pair);
      unload(pass, n, begin, of_pair);
      LACUNA_UNROLL
      for (int h = 0; h < 2; ++h) {
        of_pair[h].template meet<Machine>();
        well &= end[h] != begin + (u32)(h + 1) * list_bytes && of_pair[h].f < infinity();
        above[h] = of_pair[h];
      }
      turn_pairs(above);
    }
    if (!all_lanes(well)) return false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i)
      raise(i, norm.step(above[i].f, above[i].slopes, reach), least, of_candidates);
    return true;
  }
  // Rows take their turn in the first places, two at a time.
  LACUNA_MEMBER void turn_pairs(Above (&above)[rows]) {
    rotate(staged_end);
    LACUNA_UNROLL
    for (int h = 0; h < 2; ++h) {
      rotate(above);
      rotate(end);
      rotate(minus);
    }
  }
  // By a distance that is known not to pass the threshold, less a margin. Whether it was worth it.
  LACUNA_MEMBER bool raise(int i, float distance, float less, float of_gate) {
    const float d = distance / unit, step = fma_rn(abs_f32(minus[i]), of_gate, less);
    if (d > step) minus[i] -= d - step;
    return d > 2 * step;
  }
  // The lists of the first two rows: what lies above the gate stays, in its order.
  LACUNA_MEMBER void sweep(u32 begin, Above (&above)[2]) {
    const u32 before[2] = {end[0], end[1]};
    const u32 most = warp_max(max_of(before[0] - begin, before[1] - begin - list_bytes));
    end[0] = begin;
    end[1] = begin + list_bytes;
    LACUNA_NOUNROLL
    for (u32 r = 0; r < most; r += 2 * list_pitch) {
      float score[4];
      s32 key[4];
      LACUNA_UNROLL
      for (int e = 0; e < 4; ++e)
        load_candidate(scratch, begin + (u32)(e / 2) * list_bytes + r + (u32)(e % 2) * list_pitch,
                       before[e / 2], score[e], key[e]);
      LACUNA_UNROLL
      for (int e = 0; e < 4; ++e) {
        const float distance = to_distance(score[e] + minus[e / 2]);
        above[e / 2].add(norm, distance);
        append_candidate(scratch, end[e / 2], distance, score[e], key[e]);
      }
    }
  }
  // Their staging area into their lists.
  template <class Pass>
  LACUNA_MEMBER void unload(Pass& pass, int n, u32 begin, Above (&above)[2]) {
    const u32 stage = staged + (u32)n * stage_bytes;
    typename Pass::OfProducts products;
    products.take(pass, n);
    const u32 before = staged_end[0], most = warp_max(before - stage);
    staged_end[0] = stage;
    LACUNA_NOUNROLL
    for (u32 r = 0; r < most; r += block_pitch) {
      float x[4];
      s32 key;
      load_block(scratch, stage + r, before, x, key);
      products.to_scores(pass, x, key);
      LACUNA_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int h = e / 2;
        above[h].add(norm, to_distance(x[e]));
        append_candidate(scratch, end[h], begin + (u32)(h + 1) * list_bytes, x[e], x[e] - minus[h],
                         key + e % 2 * Machine::key_step);
      }
    }
  }

  // Gates for a list of keys: those from which sums are taken lie too low.
  LACUNA_MEMBER void come_near(const float (&top)[rows], const float (&width)[rows]) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      if (top[i] == -infinity()) continue;
      const float gate = top[i] - width[i], less = min_f32(least, width[i] * 0x1p-9f);
      minus[i] = fma_rn(abs_f32(gate), of_walk, less - gate);
    }
  }

  // Does something with every candidate of a row, whose score is -inf where a lane has fewer.
  template <class Visitor>
  LACUNA_MEMBER void each_candidate(u32 begin, u32 behind, const Visitor& visitor) const {
    const u32 most = warp_max(behind - begin);
    LACUNA_NOUNROLL
    for (u32 r = 0; r < most; r += 2 * list_pitch) {
      float score[2];
      s32 key[2];
      LACUNA_UNROLL
      for (int e = 0; e < 2; ++e)
        load_candidate(scratch, begin + r + (u32)e * list_pitch, behind, score[e], key[e]);
      LACUNA_UNROLL
      for (int e = 0; e < 2; ++e) visitor(score[e], key[e]);
    }
  }
  // The thresholds, exactly: candidates relative to the greatest of them. One piece of code for all
  // rows, which take their turn in the first place.
  LACUNA_MEMBER void solve(float (&top)[rows], float (&width)[rows]) {
    LACUNA_NOUNROLL
    for (u32 begin = lists; begin != lists + rows * list_bytes; begin += list_bytes) {
      float most = -infinity();
      each_candidate(begin, end[0], [&](float score, s32) { most = max_f32(most, score); });
      most = Machine::row_max(most);
      float gap = min_f32(most + minus[0], reach / unit);
      LACUNA_NOUNROLL
      for (int n = 0; n < last_steps; ++n) {
        Above above;
        each_candidate(begin, end[0],
                       [&](float score, s32) { above.add(norm, to_distance(score - most + gap)); });
        above.meet<Machine>();
        const float d = norm.step(above.f, above.slopes, reach) / unit;
        gap -= d;
        if (!any_lane(d > gap * last_digit)) break;
      }
      top[0] = most;
      width[0] = gap;
      rotate(top);
      rotate(width);
      rotate(end);
      rotate(minus);
    }
  }
};

}  // namespace lacuna
