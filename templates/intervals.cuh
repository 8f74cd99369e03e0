// Interval analysis: what an operator makes of the spans of its operands. If each operand lies in
// its span, the result lies in the span that the rule gives: for every operator and for all values,
// wrapped, infinite and NaN ones too. One text for the device and for the planner on the host
// (compiler/plan/spans.h), so that both classify every tile the same way, bit for bit. The rules
// are the words of the `interval` column of compiler/ir/ops.def.
#pragma once
#include "intervals_f32.cuh"
#include "intervals_i32.cuh"

namespace lacuna {
namespace spans {

// x % divisor == rest, of one divisor and one rest: exact where x takes every value of its span.
LACUNA_DEVICE Bool congruent(Int x, Int divisor, Int rest) {
  const s64 d = divisor.lo, r = rest.lo, m = d < 0 ? -d : d;
  if (d == 0) return equal(x, rest);
  if (d > 0 ? r < 0 || r >= d : r > 0 || r <= d) return {false, true};
  const s64 ahead = r - floor_mod(x.lo, divisor.lo);  // of the first such x, modulo m
  const bool some = (s64)x.hi - x.lo >= (ahead < 0 ? ahead + m : ahead);
  return {some, !some || (x.lo != x.hi && m != 1)};
}

// ---- What is left of x where a comparison with y holds; x itself where nothing can be. ----
LACUNA_DEVICE Int meet(Int x, Int y) {
  const Int r = {max_of(x.lo, y.lo), min_of(x.hi, y.hi)};
  return r.lo <= r.hi ? r : x;
}
LACUNA_DEVICE Int at_most(Int x, Int y) {
  return meet(x, {whole_int().lo, y.hi});
}
LACUNA_DEVICE Int at_least(Int x, Int y) {
  return meet(x, {y.lo, whole_int().hi});
}
LACUNA_DEVICE Int below(Int x, Int y) {
  return y.hi == whole_int().lo ? x : at_most(x, point(y.hi - 1));
}
LACUNA_DEVICE Int above(Int x, Int y) {
  return y.lo == whole_int().hi ? x : at_least(x, point(y.lo + 1));
}

}  // namespace spans
}  // namespace lacuna
