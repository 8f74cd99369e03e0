// What an interval analysis knows of a value over a box of positions: spans, how they join, and the
// 8 bytes that hold one.
#pragma once
#include "prelude.cuh"

namespace lacuna {
namespace spans {

struct Int {
  s32 lo, hi;
};
struct Real {
  float lo, hi;  // of the numbers among its values
  bool nan;      // may be NaN
};
struct Bool {
  bool yes, no;  // may be true, may be false
};

// A read at indices that are known as spans is exact over a box of so many elements.
constexpr s64 most_reads = 64;

LACUNA_DEVICE Int whole_int() {
  return {-2147483647 - 1, 2147483647};
}
LACUNA_DEVICE Real whole_real() {
  return {-infinity(), infinity(), true};
}
LACUNA_DEVICE Bool whole_bool() {
  return {true, true};
}
LACUNA_DEVICE Int whole_like(Int) {
  return whole_int();
}
LACUNA_DEVICE Real whole_like(Real) {
  return whole_real();
}
LACUNA_DEVICE Bool whole_like(Bool) {
  return whole_bool();
}

// ---- One value; several; and 8 bytes that hold a span. ----
LACUNA_DEVICE Int point(s32 x) {
  return {x, x};
}
LACUNA_DEVICE Real point(float x) {
  return x != x ? whole_real() : Real{x, x, false};
}
LACUNA_DEVICE Bool point(bool x) {
  return {x, !x};
}
LACUNA_DEVICE Int join(Int a, Int b) {
  return {min_of(a.lo, b.lo), max_of(a.hi, b.hi)};
}
LACUNA_DEVICE Real join(Real a, Real b) {
  return {min_of(a.lo, b.lo), max_of(a.hi, b.hi), a.nan || b.nan};
}
LACUNA_DEVICE Bool join(Bool a, Bool b) {
  return {a.yes || b.yes, a.no || b.no};
}
LACUNA_DEVICE U2 pack(Int a) {
  return {(u32)a.lo, (u32)a.hi};
}
LACUNA_DEVICE U2 pack(Real a) {
  return a.nan ? U2{0x7fc00000u, 0x7fc00000u} : U2{bits_of(a.lo), bits_of(a.hi)};
}
LACUNA_DEVICE U2 pack(Bool a) {
  return {(u32)a.yes, (u32)a.no};
}
LACUNA_DEVICE void unpack(U2 x, Int& to) {
  to = {(s32)x.x, (s32)x.y};
}
LACUNA_DEVICE void unpack(U2 x, Real& to) {
  const float lo = float_of_bits(x.x);
  to = lo != lo ? whole_real() : Real{lo, float_of_bits(x.y), false};
}
LACUNA_DEVICE void unpack(U2 x, Bool& to) {
  to = {x.x != 0, x.y != 0};
}
template <class Span>
LACUNA_DEVICE Span unpacked(U2 x) {
  Span span;
  unpack(x, span);
  return span;
}
template <class Span>
LACUNA_DEVICE U2 hull(U2 a, U2 b) {
  return pack(join(unpacked<Span>(a), unpacked<Span>(b)));
}

// ---- Bools. The second operand of `both` counts where the first is true, of `either` where it is
// false: it may have been computed under that assumption. ----
LACUNA_DEVICE Bool negation(Bool a) {
  return {a.no, a.yes};
}
LACUNA_DEVICE Bool both(Bool a, Bool b) {
  return {a.yes && b.yes, a.no || (a.yes && b.no)};
}
LACUNA_DEVICE Bool either(Bool a, Bool b) {
  return {a.yes || (a.no && b.yes), a.no && b.no};
}
template <class Span>
LACUNA_DEVICE Span choose(Bool c, Span a, Span b) {
  return c.yes && c.no ? join(a, b) : c.yes ? a : b;
}
LACUNA_DEVICE Bool equal(Bool a, Bool b) {
  return {(a.yes && b.yes) || (a.no && b.no), (a.yes && b.no) || (a.no && b.yes)};
}
LACUNA_DEVICE Bool unequal(Bool a, Bool b) {
  return negation(equal(a, b));
}

}  // namespace spans
}  // namespace lacuna
