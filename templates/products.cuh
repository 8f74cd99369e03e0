// Gates in the unit of products, where z rises with them: sums begin with minus the gate taken back
// through the score statement (inverse.cuh), so that a clear sign bit tells a candidate, and
// candidates alone have their scores computed, once they leave the staging area.
#pragma once
#include "gates.cuh"

namespace lacuna {

// What is staged is what lists keep.
template <class Pass, bool inverts>
struct Products {
  LACUNA_MEMBER static void begin(Pass& pass) {
    LACUNA_UNROLL
    for (int i = 0; i < Pass::rows; ++i) pass.from[i] = pass.gated ? pass.gates.minus[i] : 0.0f;
  }
  LACUNA_MEMBER void take(Pass&, int) {}
  LACUNA_MEMBER void to_scores(const Pass&, float (&)[4], s32) const {}
};

template <class Pass>
struct Products<Pass, true> {
  static constexpr int rows = Pass::rows;
  // In x: by how much the size of a product, times the slope of the score, may exceed that of the
  // gate. Sums that carry the product are off by of_candidates of it, so that a score is off by an
  // eighth of of_x more than where z is the plain product.
  static constexpr float far = 0x1p4f;

  // Nothing may be staged. Where a gate of a warp has no way back, its scores are computed.
  LACUNA_MEMBER static void begin(Pass& pass) {
    pass.gated = pass.goal == Pass::Goal::candidates && !any_lane(pass.open != 0);
    if (pass.gated) {
      bool well = true;
      LACUNA_NOUNROLL
      for (int i = 0; i < rows; ++i) {
        pass.from[0] = taken_back(pass, i, pass.gates.minus[0]);
        well &= abs_f32(pass.from[0]) <= 0x1p120f;
        rotate(pass.from);
        rotate(pass.gates.minus);
      }
      pass.gated = all_lanes(well);
    }
    if (pass.gated) return;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) pass.from[i] = 0;
  }
  // What sums of a row begin with: no score above its gate leaves them negative. NaN where that is
  // not known.
  LACUNA_MEMBER static float taken_back(const Pass& pass, int i, float minus) {
    if (minus == Pass::Rising::never) return minus;
    const s32 r = min_of(pass.row(i), pass.tile_rows.count(pass.at.q_len) - 1);
    const auto gate = Pass::Pattern::unscore(pass.p, pass.place_of(r), pass.query_of(r), -minus)
                          .times(pass.p.call.scale);
    const float size = abs_f32(gate.bound);
    const float most = fma_rn(far, pass.gates.reach / pass.gates.unit, abs_f32(minus));
    return gate.slope * size <= most ? fma_rn(size, Pass::Rising::of_candidates, -gate.bound)
                                     : float_of_bits(0x7fffffffu);
  }

  // Two rows of a lane.
  int first;
  typename Pass::RowValues of_row[2];
  float from[2], minus[2];

  // The n-th two, whose gates stand in the first places: taken in turn.
  LACUNA_MEMBER void take(Pass& pass, int n) {
    first = 2 * n;
    LACUNA_UNROLL
    for (int h = 0; h < 2; ++h) {
      const s32 r = min_of(pass.row(first + h), pass.tile_rows.count(pass.at.q_len) - 1);
      of_row[h] =
          Pass::Pattern::template row_values<true>(pass.p, pass.place_of(r), pass.query_of(r));
      from[h] = pass.from[0];
      minus[h] = pass.gates.minus[h];
      rotate(pass.from);
    }
  }
  // Distances of products above their gates become scores, which are computed as any pass does; no
  // other score is evaluated. Where scores were computed first, theirs become what they were.
  LACUNA_MEMBER void to_scores(const Pass& pass, float (&x)[4], s32 key) const {
    LACUNA_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int h = e / 2, i = first + h;
      if (!pass.gated) {
        x[e] -= minus[h];
      } else if (x[e] < 0.0f) {
        x[e] = -infinity();
      } else {
        x[e] = Pass::Pattern::score(
            pass.p, pass.place(i), pass.query(i), key + e % 2 * Pass::Machine::key_step, of_row[h],
            typename Pass::KeyValues(), (x[e] - from[h]) * pass.p.call.scale);
      }
    }
  }
};

}  // namespace lacuna
