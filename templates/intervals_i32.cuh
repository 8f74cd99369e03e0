// Interval rules of i32 operators; see intervals.cuh.
#pragma once
#include "ops.cuh"
#include "spans.cuh"

namespace lacuna {
namespace spans {

// The values lo .. hi, modulo 2^32: an interval again unless they cross the end of i32.
LACUNA_DEVICE Int wrapped(s64 lo, s64 hi) {
  const Int ends = {(s32)(u32)(u64)lo, (s32)(u32)(u64)hi};
  return hi - lo < 4294967296ll && ends.lo <= ends.hi ? ends : whole_int();
}
LACUNA_DEVICE Int add(Int a, Int b) {
  return wrapped((s64)a.lo + b.lo, (s64)a.hi + b.hi);
}
LACUNA_DEVICE Int subtract(Int a, Int b) {
  return wrapped((s64)a.lo - b.hi, (s64)a.hi - b.lo);
}
LACUNA_DEVICE Int negate(Int a) {
  return wrapped(-(s64)a.hi, -(s64)a.lo);
}
LACUNA_DEVICE Int multiply(Int a, Int b) {
  const s64 p = (s64)a.lo * b.lo, q = (s64)a.lo * b.hi, r = (s64)a.hi * b.lo, s = (s64)a.hi * b.hi;
  return wrapped(min_of(min_of(p, q), min_of(r, s)), max_of(max_of(p, q), max_of(r, s)));
}
LACUNA_DEVICE Int absolute(Int a) {
  const Int whole = whole_int();
  if (a.lo >= 0) return a;
  if (a.lo == whole.lo) return a.hi == whole.lo ? a : whole;  // |INT_MIN| wraps to INT_MIN
  return a.hi <= 0 ? Int{-a.hi, -a.lo} : Int{0, max_of(-a.lo, a.hi)};
}
LACUNA_DEVICE Int least(Int a, Int b) {
  return {min_of(a.lo, b.lo), min_of(a.hi, b.hi)};
}
LACUNA_DEVICE Int greatest(Int a, Int b) {
  return {max_of(a.lo, b.lo), max_of(a.hi, b.hi)};
}

LACUNA_DEVICE s64 floor_of(s64 a, s64 b) {
  const s64 quotient = a / b, rest = a - quotient * b;
  return rest != 0 && (rest < 0) != (b < 0) ? quotient - 1 : quotient;
}
struct Ends {
  s64 lo, hi;
};
// Divisors of one sign: the quotient is monotone in either operand, so its ends are at corners.
LACUNA_DEVICE Ends quotients(Int a, Int b) {
  const s64 p = floor_of(a.lo, b.lo), q = floor_of(a.lo, b.hi);
  const s64 r = floor_of(a.hi, b.lo), s = floor_of(a.hi, b.hi);
  return {min_of(min_of(p, q), min_of(r, s)), max_of(max_of(p, q), max_of(r, s))};
}
LACUNA_DEVICE Int floor_divide(Int a, Int b) {
  if (b.lo == b.hi && b.lo > 0) return {floor_div(a.lo, b.lo), floor_div(a.hi, b.lo)};
  Ends all = {4294967296ll, -4294967296ll};
  if (b.lo <= 0 && b.hi >= 0) all = {0, 0};
  if (b.hi > 0) {
    const Ends e = quotients(a, {max_of(b.lo, 1), b.hi});
    all = {min_of(all.lo, e.lo), max_of(all.hi, e.hi)};
  }
  if (b.lo < 0) {
    const Ends e = quotients(a, {b.lo, min_of(b.hi, -1)});
    all = {min_of(all.lo, e.lo), max_of(all.hi, e.hi)};
  }
  return wrapped(all.lo, all.hi);  // INT_MIN // -1 wraps
}
// By divisors of one sign, each a value beyond `a` leaves alone.
LACUNA_DEVICE Int modulo_positive(Int a, Int b) {
  if (a.lo >= 0) return a.hi < b.lo ? a : Int{0, min_of(a.hi, b.hi - 1)};
  return {0, b.hi - 1};
}
LACUNA_DEVICE Int modulo_negative(Int a, Int b) {
  if (a.hi <= 0) return a.lo > b.hi ? a : Int{max_of(a.lo, b.lo + 1), 0};
  return {b.lo + 1, 0};
}
LACUNA_DEVICE Int modulo(Int a, Int b) {
  // One divisor, and one multiple of it below all of `a`: the rest grows with a.
  if (b.lo == b.hi && b.lo != 0 && floor_div(a.lo, b.lo) == floor_div(a.hi, b.lo))
    return {floor_mod(a.lo, b.lo), floor_mod(a.hi, b.lo)};
  Int all = {2147483647, -2147483647 - 1};
  if (b.lo <= 0 && b.hi >= 0) all = a;
  if (b.hi > 0) all = join(all, modulo_positive(a, {max_of(b.lo, 1), b.hi}));
  if (b.lo < 0) all = join(all, modulo_negative(a, {b.lo, min_of(b.hi, -1)}));
  return all;
}

LACUNA_DEVICE Bool equal(Int a, Int b) {
  return {a.lo <= b.hi && b.lo <= a.hi, a.lo != a.hi || b.lo != b.hi || a.lo != b.lo};
}
LACUNA_DEVICE Bool unequal(Int a, Int b) {
  return negation(equal(a, b));
}
LACUNA_DEVICE Bool less(Int a, Int b) {
  return {a.lo < b.hi, a.hi >= b.lo};
}
LACUNA_DEVICE Bool less_equal(Int a, Int b) {
  return {a.lo <= b.hi, a.hi > b.lo};
}
// ---- Bits: exact ends, of operands that have one sign each. Going down from the highest bit, an
// end is moved to the first value that has a bit which costs, or gains, nothing. ----
struct Bits {
  u32 lo, hi;
};
LACUNA_DEVICE Bits complements(Bits a) {
  return {~a.hi, ~a.lo};
}
LACUNA_DEVICE u32 least_or(Bits a, Bits b) {
  LACUNA_NOUNROLL
  for (u32 bit = 0x80000000u; bit; bit >>= 1) {
    if (((a.lo ^ b.lo) & bit) == 0) continue;
    // The other end sets the bit anyway: with it, all lower bits may be clear here.
    u32& clear = a.lo & bit ? b.lo : a.lo;
    const u32 raised = (clear | bit) & ~(bit - 1);
    if (raised > (a.lo & bit ? b.hi : a.hi)) continue;
    clear = raised;
    break;
  }
  return a.lo | b.lo;
}
LACUNA_DEVICE u32 most_or(Bits a, Bits b) {
  LACUNA_NOUNROLL
  for (u32 bit = 0x80000000u; bit; bit >>= 1) {
    if ((a.hi & b.hi & bit) == 0) continue;
    // Both set the bit, once is enough: one of them may have all lower bits instead.
    const u32 of_a = (a.hi - bit) | (bit - 1), of_b = (b.hi - bit) | (bit - 1);
    if (of_a >= a.lo) return of_a | b.hi;
    if (of_b >= b.lo) return a.hi | of_b;
  }
  return a.hi | b.hi;
}
LACUNA_DEVICE u32 least_xor(Bits a, Bits b) {
  LACUNA_NOUNROLL
  for (u32 bit = 0x80000000u; bit; bit >>= 1) {
    if (((a.lo ^ b.lo) & bit) == 0) continue;
    u32& clear = a.lo & bit ? b.lo : a.lo;
    const u32 raised = (clear | bit) & ~(bit - 1);
    if (raised <= (a.lo & bit ? b.hi : a.hi)) clear = raised;
  }
  return a.lo ^ b.lo;
}
struct Or {
  LACUNA_MEMBER static Bits of(Bits a, Bits b) { return {least_or(a, b), most_or(a, b)}; }
};
struct And {
  LACUNA_MEMBER static Bits of(Bits a, Bits b) {
    return complements(Or::of(complements(a), complements(b)));
  }
};
struct Xor {
  LACUNA_MEMBER static Bits of(Bits a, Bits b) {
    return {least_xor(a, b), ~least_xor(a, complements(b))};
  }
};
// The part of a span with that sign; false where there is none.
LACUNA_DEVICE bool part(Int a, bool negative, Bits& to) {
  to = {(u32)(negative ? a.lo : max_of(a.lo, 0)), (u32)(negative ? min_of(a.hi, -1) : a.hi)};
  return negative ? a.lo < 0 : a.hi >= 0;
}
template <class Operation>
LACUNA_DEVICE Int bitwise(Int a, Int b) {
  Int all = {2147483647, -2147483647 - 1};
  LACUNA_NOUNROLL
  for (s32 signs = 0; signs < 4; ++signs) {
    Bits x, y;
    if (!part(a, (signs & 1) != 0, x) || !part(b, (signs & 2) != 0, y)) continue;
    const Bits r = Operation::of(x, y);
    all = join(all, {(s32)r.lo, (s32)r.hi});
  }
  return all;
}
LACUNA_DEVICE Int bit_and(Int a, Int b) {
  return bitwise<And>(a, b);
}
LACUNA_DEVICE Int bit_or(Int a, Int b) {
  return bitwise<Or>(a, b);
}
LACUNA_DEVICE Int bit_xor(Int a, Int b) {
  return bitwise<Xor>(a, b);
}
LACUNA_DEVICE Int complement(Int a) {
  return {~a.hi, ~a.lo};
}
LACUNA_DEVICE Int counts(Int b) {
  const Int low = {b.lo & 31, b.hi & 31};
  return (s64)b.hi - b.lo < 32 && low.lo <= low.hi ? low : Int{0, 31};
}
LACUNA_DEVICE Int left_shift(Int a, Int b) {
  const Int n = counts(b);
  const s64 few = (s64)1 << n.lo, many = (s64)1 << n.hi;
  return wrapped(min_of(a.lo * few, a.lo * many), max_of(a.hi * few, a.hi * many));
}
LACUNA_DEVICE Int right_shift(Int a, Int b) {
  const Int n = counts(b);
  return {min_of(a.lo >> n.lo, a.lo >> n.hi), max_of(a.hi >> n.lo, a.hi >> n.hi)};
}

}  // namespace spans
}  // namespace lacuna
