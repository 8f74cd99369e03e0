// Interval rules of f32 operators, and of conversions from and to f32; see intervals.cuh.
//
// + - * / and sqrt round the exact result to nearest. Both the exact operation (in each operand)
// and rounding are monotone, so the rounded ends bound all rounded values between them: no directed
// rounding is needed. exp, log and tanh are within 2 ulp of a monotone function: the ends that are
// computed here may be 2 ulp off, and a value between them 2 more, the other way; the margin is
// that, doubled for a binade's edge. A zero stands for both zeros.
#pragma once
#include "ops.cuh"
#include "spans.cuh"

namespace lacuna {
namespace spans {

LACUNA_DEVICE bool holds_zero(Real a) {
  return a.lo <= 0 && a.hi >= 0;
}
LACUNA_DEVICE bool is_unbounded(Real a) {
  return a.lo == -infinity() || a.hi == infinity();
}
LACUNA_DEVICE Real add(Real a, Real b) {
  const bool clash =
      (a.lo == -infinity() && b.hi == infinity()) || (a.hi == infinity() && b.lo == -infinity());
  const float lo = a.lo + b.lo, hi = a.hi + b.hi;
  return {lo != lo ? -infinity() : lo, hi != hi ? infinity() : hi, a.nan || b.nan || clash};
}
LACUNA_DEVICE Real negate(Real a) {
  return {-a.hi, -a.lo, a.nan};
}
LACUNA_DEVICE Real subtract(Real a, Real b) {
  return add(a, negate(b));
}
// 0 * inf and inf / inf at a corner: beside it lie values of either factor's sign, or none, and 0
// bounds them.
LACUNA_DEVICE float or_zero(float x) {
  return x != x ? 0.0f : x;
}
LACUNA_DEVICE Real corners(float p, float q, float r, float s, bool nan) {
  p = or_zero(p), q = or_zero(q), r = or_zero(r), s = or_zero(s);
  return {min_of(min_of(p, q), min_of(r, s)), max_of(max_of(p, q), max_of(r, s)), nan};
}
LACUNA_DEVICE Real multiply(Real a, Real b) {
  const bool clash = (holds_zero(a) && is_unbounded(b)) || (is_unbounded(a) && holds_zero(b));
  return corners(a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi, a.nan || b.nan || clash);
}
LACUNA_DEVICE Real divide(Real a, Real b) {
  const bool clash = is_unbounded(a) && is_unbounded(b);
  if (holds_zero(b)) return {-infinity(), infinity(), a.nan || b.nan || clash || holds_zero(a)};
  return corners(lacuna::divide(a.lo, b.lo), lacuna::divide(a.lo, b.hi), lacuna::divide(a.hi, b.lo),
                 lacuna::divide(a.hi, b.hi), a.nan || b.nan || clash);
}
LACUNA_DEVICE Real absolute(Real a) {
  if (a.lo >= 0) return a;
  if (a.hi <= 0) return negate(a);
  return {0.0f, max_of(-a.lo, a.hi), a.nan};
}
// The number where the other is NaN.
LACUNA_DEVICE Real least(Real a, Real b) {
  float hi = min_of(a.hi, b.hi);
  if (a.nan) hi = max_of(hi, b.hi);
  if (b.nan) hi = max_of(hi, a.hi);
  return {min_of(a.lo, b.lo), hi, a.nan && b.nan};
}
LACUNA_DEVICE Real greatest(Real a, Real b) {
  return negate(least(negate(a), negate(b)));
}
LACUNA_DEVICE Real round_down(Real a) {
  return {floor_f32(a.lo), floor_f32(a.hi), a.nan};
}
// Where the operator has no number for any of `a`, any range will do: its values are all NaN.
LACUNA_DEVICE Real only_nan() {
  return {0.0f, 0.0f, true};
}
LACUNA_DEVICE Real root(Real a) {
  if (a.hi < 0) return only_nan();
  return {square_root(max_of(a.lo, 0.0f)), square_root(a.hi), a.nan || a.lo < 0};
}

// So many representable numbers up or down.
LACUNA_DEVICE float step(float x, s32 by) {
  const s32 bits = (s32)bits_of(x), infinite = 0x7f800000;
  s32 rank = bits < 0 ? -(bits & 0x7fffffff) : bits;
  rank = max_of(-infinite, min_of(infinite, rank + by));
  return float_of_bits(rank < 0 ? (u32)-rank | 0x80000000u : (u32)rank);
}
LACUNA_DEVICE Real within_margin(float lo, float hi, bool nan) {
  const s32 margin = 8;
  return {step(lo, -margin), step(hi, margin), nan};
}
LACUNA_DEVICE Real exponential(Real a) {
  const Real r = within_margin(lacuna::exponential(a.lo), lacuna::exponential(a.hi), a.nan);
  return {max_of(0.0f, r.lo), r.hi, r.nan};
}
LACUNA_DEVICE Real logarithm(Real a) {
  if (a.hi < 0) return only_nan();
  return within_margin(lacuna::logarithm(max_of(a.lo, 0.0f)), lacuna::logarithm(a.hi),
                       a.nan || a.lo < 0);
}
LACUNA_DEVICE Real hyperbolic_tangent(Real a) {
  return within_margin(lacuna::hyperbolic_tangent(a.lo), lacuna::hyperbolic_tangent(a.hi), a.nan);
}

LACUNA_DEVICE Bool equal(Real a, Real b) {
  return {a.lo <= b.hi && b.lo <= a.hi,
          a.nan || b.nan || a.lo != a.hi || b.lo != b.hi || a.lo != b.lo};
}
LACUNA_DEVICE Bool unequal(Real a, Real b) {
  return negation(equal(a, b));
}
LACUNA_DEVICE Bool less(Real a, Real b) {
  return {a.lo < b.hi, a.nan || b.nan || a.hi >= b.lo};
}
LACUNA_DEVICE Bool less_equal(Real a, Real b) {
  return {a.lo <= b.hi, a.nan || b.nan || a.hi > b.lo};
}

// Rounding to f32 is monotone, and so is rounding toward zero with the ends held; NaN becomes 0.
LACUNA_DEVICE Real real_of(Int a) {
  return {float_of(a.lo), float_of(a.hi), false};
}
LACUNA_DEVICE Real real_of(Bool a) {
  return {a.no ? 0.0f : 1.0f, a.yes ? 1.0f : 0.0f, false};
}
LACUNA_DEVICE Int int_of(Real a) {
  const Int r = {lacuna::int_of(a.lo), lacuna::int_of(a.hi)};
  return a.nan ? join(r, point(0)) : r;
}
LACUNA_DEVICE Int int_of(Bool a) {
  return {a.no ? 0 : 1, a.yes ? 1 : 0};
}

}  // namespace spans
}  // namespace lacuna
