// p = exp(z - lse), online (Milakov and Gimelshein 2018) in base 2: with y = z log2 e, a row keeps
// m = max y and l = Σ 2^(y - m); a new maximum rescales what was summed. lse = (m + log2 l) ln 2.
#pragma once
#include "prelude.cuh"

namespace lacuna {

struct Softmax {
  static constexpr float log2_e = 1.4426950408889634f, ln_2 = 0.6931471805599453f;
  float max, sum;  // sum is this lane's share

  LACUNA_MEMBER void start() {
    max = -infinity();
    sum = 0;
  }
  // Takes the maximum of a row's new scores; returns the factor for what was accumulated before.
  LACUNA_MEMBER float raise(float tile_max) {
    const float before = max;
    max = max_f32(before, tile_max);
    const float factor = max == before ? 1.0f : exp2_approx(before - max);
    sum *= factor;
    return factor;
  }
  // A row without a live score has max = -inf; its weights are 0, never NaN.
  LACUNA_MEMBER float weight(float y) {
    const float p = exp2_approx(y - (max == -infinity() ? 0.0f : max));
    sum += p;
    return p;
  }
};

// The end of a row: `total` is the sum over lanes. A sink (natural logits, -inf: none) joins
// maximum and sum.
struct SoftmaxEnd {
  float factor, lse;  // O = factor * accumulated
};
// A row that is absent, or that no key answers.
LACUNA_DEVICE SoftmaxEnd nothing() { return {0.0f, -infinity()}; }
LACUNA_DEVICE SoftmaxEnd finish(float max, float total, float sink) {
  if (max == -infinity()) return nothing();
  const float y = sink * Softmax::log2_e, top = max_f32(max, y);
  const float shrink = exp2_approx(max - top), sum = fma_rn(total, shrink, exp2_approx(y - top));
  return {divide(shrink, sum), (top + log2_approx(sum)) * Softmax::ln_2};
}

}  // namespace lacuna
