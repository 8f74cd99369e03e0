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

// `scores`: lists keep those; else distances to the gate at which they were sorted out last, which
// is less to compute, and by a rounding or two worse.
template <class Machine_, int power, bool precise, bool scores>
struct Gates {
  using Machine = Machine_;
  using Norm = Power<power, precise>;
  static constexpr int rows = Machine::rows, pairs = rows / 2;
  // A list is full where a block may find no room in it.
  static constexpr u32 list_bytes = candidate_slots * list_pitch,
                       full_bytes = list_bytes - 2 * list_pitch,
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
  static constexpr float last_digit = 0x1p-22f;   // of a gap: a step that is less moves nothing
  static constexpr float of_step = 1 - 0x1p-14f;  // of Newton's: what is certainly not too far
  // The step that is the last: the next would be some of its square, where powers are smooth.
  static constexpr float last_step = power > 1 ? 0x1p-11f : last_digit;
  static constexpr float never = -0x1p120f;  // minus a gate that nothing reaches
  static constexpr int last_steps = 24;      // of Newton, on all candidates, at most
  // Candidates that were staged as distances have the digits of the gate of then: too few, where
  // that was greater than twice the gate of now and so many reaches.
  static constexpr float far = 16;

  Norm norm;
  float unit;            // of a score, to distances
  float reach;           // the distance that is 1 of x
  float least;           // by which a gate stays below what is known of the threshold
  float minus[rows];     // the gate, negated
  float rose[rows];      // by what it rose since lists were sorted out
  float farthest[rows];  // the greatest size of a gate that candidates were staged with
  u64 scratch;           // of the CTA
  u32 lists, staged;     // where those of this lane begin
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
    for (int i = 0; i < rows; ++i) minus[i] = rose[i] = farthest[i] = 0;
    clear();
  }
  LACUNA_MEMBER void clear() {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) end[i] = lists + (u32)i * list_bytes;
    LACUNA_UNROLL
    for (int a = 0; a < pairs; ++a) staged_end[a] = staged + (u32)a * stage_bytes;
  }
  // Of this lane, of row i, which stands in the first place.
  LACUNA_MEMBER u32 candidates(int i) const {
    return (end[0] - lists - (u32)i * list_bytes) / list_pitch;
  }
  LACUNA_MEMBER float margin(float gate) const {
    return fma_rn(abs_f32(gate), of_candidates, least);
  }

  LACUNA_MEMBER float to_distance(float difference) const {
    return scaled ? difference * unit : difference;
  }
  // What makes of a value that a list keeps its difference to the gate.
  LACUNA_MEMBER float to_gate(int i) const { return scores ? minus[i] : -rose[i]; }

  // The gate of a row from its scores in a tile, of which `top` is the greatest, by a step of
  // Newton: the candidates soon say more.
  template <int keys>
  LACUNA_MEMBER float first(const float (&score)[keys], float top) const {
    const float below = top - reach / unit;
    Above above;
    LACUNA_UNROLL
    for (int j = 0; j < keys; ++j) above.add(norm, to_distance(score[j] - below));
    above.meet<Machine>();
    const float gate = below + norm.step(above.f, above.slopes, reach) / unit;
    return gate - margin(gate);
  }

  // Takes the hits among the distances of a tile, or among its scores. Returns whether it is time
  // to sort them out: the staging area may be too full for another tile, or there were some, and
  // they are due.
  template <bool of_scores, int keys>
  LACUNA_MEMBER bool collect(const float (&c)[rows][keys], s32 first, bool due) {
    constexpr int spans = keys / 2;
    static_assert(spans < candidate_blocks, "a tile fits the staging area");
    u32 signs[pairs][spans], all = ~0u;  // bits of each block of 2 x 2 distances, and-ed
    LACUNA_UNROLL
    for (int a = 0; a < pairs; ++a) {
      LACUNA_UNROLL
      for (int b = 0; b < spans; ++b) {
        const auto sign = [&](int i, int j) {
          return bits_of(of_scores ? c[i][j] + minus[i] : c[i][j]);
        };
        signs[a][b] = and_of(sign(2 * a, 2 * b), sign(2 * a, 2 * b + 1), sign(2 * a + 1, 2 * b)) &
                      sign(2 * a + 1, 2 * b + 1);
        if (b % 2 == 1) all = and_of(all, signs[a][b - 1], signs[a][b]);
        if (b % 2 == 0 && b == spans - 1) all &= signs[a][b];
      }
    }
    if (!any_lane((s32)all >= 0)) return false;
    bool crowded = false;
    LACUNA_UNROLL
    for (int a = 0; a < pairs; ++a) {
      LACUNA_UNROLL
      for (int b = 0; b < spans; ++b)
        append_block(scratch, staged_end[a], signs[a][b], c[2 * a][2 * b], c[2 * a][2 * b + 1],
                     c[2 * a + 1][2 * b], c[2 * a + 1][2 * b + 1], first + Machine::key(0),
                     Machine::key(2 * b) - Machine::key(0));
      crowded |= staged_end[a] >
                 staged + (u32)a * stage_bytes + (u32)(candidate_blocks - spans) * block_pitch;
    }
    return due || any_lane(crowded);
  }

  // Sorts candidates out, adds them up, and raises the gates by what they say. False: lists do not
  // do here, since one is full, a sum is no number, or candidates lack digits; gates stay.
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
        well &= end[h] < begin + full_bytes + (u32)h * list_bytes && of_pair[h].f < infinity();
        above[h] = of_pair[h];
      }
      turn_pairs(above);
    }
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) rose[i] = 0;
    if (!all_lanes(well)) return false;
    float before[rows];
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      before[i] = minus[i];
      raise(i, norm.step(above[i].f, above[i].slopes, reach), least, of_candidates);
      rose[i] = before[i] - minus[i];
      farthest[i] = max_f32(farthest[i], before[i] == never ? 0.0f : abs_f32(before[i]));
      well &= farthest[i] <= 2 * abs_f32(minus[i]) + far * reach / unit;
    }
    if (Pass::of_scores || all_lanes(well)) return true;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) minus[i] = before[i], rose[i] = 0;
    return false;
  }
  // The same until none leaps.
  template <class Pass>
  LACUNA_MEMBER bool settle(Pass& pass, Above (&above)[rows]) {
    LACUNA_NOUNROLL
    for (;;) {
      if (!rise(pass, above)) return false;
      if (Pass::of_scores || !leapt()) return true;
    }
  }
  // Whether one rose so far that it may not be near its threshold yet.
  LACUNA_MEMBER bool leapt() const {
    bool any = false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) any |= rose[i] > reach / unit;
    return any_lane(any);
  }
  // Rows take their turn in the first places, two at a time.
  LACUNA_MEMBER void turn_pairs(Above (&above)[rows]) {
    rotate(staged_end);
    LACUNA_UNROLL
    for (int h = 0; h < 2; ++h) {
      rotate(above);
      rotate(end);
      rotate(minus);
      rotate(rose);
    }
  }
  // By a distance that is known not to pass the threshold but by its roundings, less a margin, also
  // of a gate that is small beside it. Whether it was worth it.
  LACUNA_MEMBER bool raise(int i, float distance, float less, float of_gate) {
    const float d = distance / unit, step = fma_rn(max_f32(abs_f32(minus[i]), d), of_gate, less);
    if (d > step) minus[i] -= d - step;
    return d > 2 * step;
  }
  // The lists of the first two rows: what lies above the gate stays, in its order.
  LACUNA_MEMBER void sweep(u32 begin, Above (&above)[2]) {
    const u32 lengths[2] = {end[0] - begin, end[1] - begin - list_bytes};
    const u32 last = begin + warp_max(max_of(lengths[0], lengths[1]));
    const u32 ends[2] = {begin + lengths[0], begin + lengths[1]};
    const float to_gates[2] = {to_gate(0), to_gate(1)};
    end[0] = begin;
    end[1] = begin + list_bytes;
    LACUNA_NOUNROLL
    for (u32 r = begin; r < last; r += 2 * list_pitch) {
      float value[4];
      s32 key[4];
      load_candidate<0>(scratch, r, ends[0], value[0], key[0]);
      load_candidate<list_pitch>(scratch, r, ends[0] - list_pitch, value[1], key[1]);
      load_candidate<list_bytes>(scratch, r, ends[1], value[2], key[2]);
      load_candidate<list_bytes + list_pitch>(scratch, r, ends[1] - list_pitch, value[3], key[3]);
      LACUNA_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int h = e / 2;
        const float difference = value[e] + to_gates[h], x = to_distance(difference);
        above[h].append(scratch, end[h], x, norm.slope_above(x), scores ? value[e] : difference,
                        key[e]);
      }
    }
  }
  // Their staging area into their lists, of which a full one loses what is new. `n`: which pair of
  // rows stands first.
  template <class Pass>
  LACUNA_MEMBER void unload(Pass& pass, int n, u32 begin, Above (&above)[2]) {
    const u32 stage = staged + (u32)n * stage_bytes;
    typename Pass::OfProducts products;
    products.take(pass, n);
    const u32 before = staged_end[0], last = stage + warp_max(before - stage);
    staged_end[0] = stage;
    LACUNA_NOUNROLL
    for (u32 r = stage; r < last; r += block_pitch) {
      float value[4];
      s32 key;
      load_block(scratch, r, before, value, key);
      products.to_scores(pass, value, key);
      LACUNA_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int h = e / 2;
        const float x = to_distance(scores ? value[e] + minus[h] : value[e]);
        above[h].append(scratch, end[h], x, norm.slope_above(x), value[e],
                        key + e % 2 * Machine::key_step);
      }
      LACUNA_UNROLL
      for (int h = 0; h < 2; ++h) end[h] = min_of(end[h], begin + full_bytes + (u32)h * list_bytes);
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

  // Does something with every candidate of a row; what is kept of one is -inf where a lane has
  // fewer.
  template <class Visitor>
  LACUNA_MEMBER void each_candidate(u32 begin, u32 behind, const Visitor& visitor) const {
    const u32 last = begin + warp_max(behind - begin);
    LACUNA_NOUNROLL
    for (u32 r = begin; r < last; r += 2 * list_pitch) {
      float value[2];
      s32 key[2];
      load_candidate<0>(scratch, r, behind, value[0], key[0]);
      load_candidate<list_pitch>(scratch, r, behind - list_pitch, value[1], key[1]);
      LACUNA_UNROLL
      for (int e = 0; e < 2; ++e) visitor(value[e], key[e]);
    }
  }
  // The thresholds, exactly. One piece of code for all rows, which take their turn in the first
  // place. `live`: of what lists keep, what is above may have a weight, however the last bit of a
  // score is rounded.
  LACUNA_MEMBER void solve(float (&top)[rows], float (&width)[rows], float (&live)[rows]) {
    LACUNA_NOUNROLL
    for (int n = 0; n < rows; ++n) {
      const u32 begin = lists + (u32)n * list_bytes;
      float most = -infinity(), base = 0, gap = to_gate(0);
      LACUNA_NOUNROLL
      for (int k = 0; k < last_steps; ++k) {
        Above above;
        each_candidate(begin, end[0], [&](float value, s32) {
          most = max_f32(most, value);
          above.add(norm, to_distance(value - base + gap));
        });
        if (k == 0) {
          base = most = Machine::row_max(most);
          gap += most;
        }
        above.meet<Machine>();
        // No gap is longer than the reach, which says more than sums that overflow, or steps from
        // far off, whose last digits may be longer than it.
        const float before = gap, d = norm.step(above.f, above.slopes, reach) / unit;
        gap = min_f32(fma_rn(d, -of_step, gap), reach / unit);
        if (!any_lane(before - gap > gap * last_step)) break;
      }
      top[0] = scores ? most : most - (minus[0] + rose[0]);
      width[0] = gap;
      live[0] = most - gap - margin(top[0]);
      rotate(top);
      rotate(width);
      rotate(live);
      rotate(end);
      rotate(minus);
      rotate(rose);
    }
  }
};

}  // namespace lacuna
