// A bound of scores taken back through a score statement, to one of the sums of products that it is
// made of. Where what a step gives, as it is computed, is above the bound, what it takes is above
// the new one:
//   + - * /   are rounded to nearest, and what is so rounded lies above a number only where it did
//             before: the exact inverse, rounded down (division by a constant is not where a score
//             is nearly subnormal: by less than gates are rounded)
//   min, max  are exact
//   tanh      is within 2 ulp (math.cuh): the exact inverse of what is 2^-22 of the bound below it,
//             or lower
// A factor that is not positive makes the bound NaN; one below all that a step gives is -inf.
#pragma once
#include "prelude.cuh"

namespace lacuna {

struct Unscored {
  float bound;
  float slope;  // at most so steeply rises the score with what it is made of, as far as steps went

  // No more than what x is rounded from.
  LACUNA_MEMBER static float below(float x) { return x - fma_rn(abs_f32(x), 0x1p-22f, 0x1p-126f); }
  LACUNA_MEMBER static bool is_factor(float c) { return c > 0.0f && c < infinity(); }
  LACUNA_MEMBER static Unscored none() { return {float_of_bits(0x7fffffffu), 0.0f}; }

  LACUNA_MEMBER Unscored plus(float c) const { return {below(bound - c), slope}; }
  LACUNA_MEMBER Unscored minus(float c) const { return {below(bound + c), slope}; }
  LACUNA_MEMBER Unscored times(float c) const {
    return is_factor(c) ? Unscored{below(divide(bound, c)), slope * c} : none();
  }
  LACUNA_MEMBER Unscored over(float c) const {
    return is_factor(c) ? Unscored{below(bound * c), divide(slope, c)} : none();
  }
  LACUNA_MEMBER Unscored least(float) const { return *this; }
  LACUNA_MEMBER Unscored greatest(float c) const {
    return {c > bound ? -infinity() : bound, slope};
  }
  // artanh(x) = x + x^3/3 + ... near 0, whatever is added there; else log((1 + x)/(1 - x))/2, off
  // by 2^-21 at most: of the quotient, and of log2. No tanh is above 1, and 1 - 2^-20 is below it.
  LACUNA_MEMBER Unscored tanh() const {
    constexpr float most = 1.0f - 0x1p-20f;
    const float lower = bound - fma_rn(abs_f32(bound), 0x1p-20f, 0x1p-126f);
    const float x = lower > most ? most : lower, s = x * x;
    if (x <= -1.0f) return {-infinity(), slope};
    float series = fma_rn(s, 0x1.c71c72p-4f, 0x1.24924ap-3f);
    series = fma_rn(fma_rn(s, series, 0x1.99999ap-3f), s, 0x1.555556p-2f);
    const bool small = s < 0x1p-8f;
    const float y = small ? fma_rn(x * s, series, x)
                          : 0x1.62e430p-2f * log2_approx((1.0f + x) * rcp_approx(1.0f - x));
    return {y - fma_rn(abs_f32(y), 0x1p-18f, small ? 0x1p-126f : 0x1p-20f), slope};
  }
};

}  // namespace lacuna
