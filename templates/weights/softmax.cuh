// p = exp(z - lse), online (Milakov and Gimelshein 2018): a row keeps m = max z and l = Σ exp(z -
// m); a new maximum rescales what was summed. lse = m + log l. Scores stay natural and only
// differences go to base 2: the largest finite scores are no more than that.
#pragma once
#include "prelude.cuh"

namespace lacuna {

// exp(x), for differences of scores.
LACUNA_DEVICE float exp_of(float x) {
  return exp2_approx(x * 1.4426950408889634f);
}

struct Softmax {
  float max, sum;  // sum is this lane's share

  LACUNA_MEMBER void start() {
    max = -infinity();
    sum = 0;
  }
  // Takes the maximum of a row's new scores; returns the factor for what was accumulated before.
  LACUNA_MEMBER float raise(float tile_max) {
    const float before = max;
    max = max_f32(before, tile_max);
    const float factor = max == before ? 1.0f : exp_of(before - max);
    sum *= factor;
    return factor;
  }
  // A row without a live score has max = -inf; its weights are 0, never NaN.
  LACUNA_MEMBER float weight(float z) {
    const float p = exp_of(z - (max == -infinity() ? 0.0f : max));
    sum += p;
    return p;
  }
};

// The end of a row: `total` is the sum over lanes.
struct SoftmaxEnd {
  float factor, lse;  // O = factor * accumulated
};

// Whether some key answers the row. A row of NaN scores has no maximum, but a sum.
LACUNA_DEVICE bool is_answered(float max, float total) {
  return max != -infinity() || total != 0.0f;
}
// A sink (natural logits, -inf: none) joins maximum and sum.
LACUNA_DEVICE SoftmaxEnd finish(float max, float total, float sink) {
  const float top = max_f32(max, sink), shrink = exp_of(max - top);
  const float sum = fma_rn(total, shrink, exp_of(sink - top));
  return {divide(shrink, sum), fma_rn(log2_approx(sum), 0.6931471805599453f, top)};
}

}  // namespace lacuna
