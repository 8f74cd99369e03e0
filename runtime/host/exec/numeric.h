// Floating point as the instruction tables need it: written without contraction or library calls,
// so that every instruction set of the host computes the same bits. Approximations are ours, within
// 2 ulp, not a GPU's tables.
#pragma once
#include "runtime/host/exec/lanes.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

LACUNA_INLINE u32 bits_of(f32 x) {
  return __builtin_bit_cast(u32, x);
}
LACUNA_INLINE u64 bits_of(f64 x) {
  return __builtin_bit_cast(u64, x);
}
LACUNA_INLINE f32 f32_of(u32 x) {
  return __builtin_bit_cast(f32, x);
}
LACUNA_INLINE f64 f64_of(u64 x) {
  return __builtin_bit_cast(f64, x);
}

/// Results that are NaN have one pattern on a GPU; x86 keeps payloads.
LACUNA_INLINE f32 canonical(f32 x) {
  return x != x ? f32_of(0x7fffffffu) : x;
}
LACUNA_INLINE f64 canonical(f64 x) {
  return x != x ? f64_of(0x7fffffffffffffffu) : x;
}

/// Subnormals become zeros of their sign.
LACUNA_INLINE f32 flush(f32 x) {
  const u32 bits = bits_of(x);
  return f32_of(bits & 0x7f800000u ? bits : bits & 0x80000000u);
}
LACUNA_INLINE f16 flush(f16 x) {
  return {static_cast<u16>(x.bits & 0x7c00u ? x.bits : x.bits & 0x8000u)};
}
/// To [0, 1], NaN to +0.
LACUNA_INLINE f32 saturate(f32 x) {
  const f32 low = x > 0.0f ? x : 0.0f;
  return low < 1.0f ? low : 1.0f;
}
LACUNA_INLINE f64 saturate(f64 x) {
  const f64 low = x > 0.0 ? x : 0.0;
  return low < 1.0 ? low : 1.0;
}
template <bool ftz>
LACUNA_INLINE f32 input(f32 x) {
  return ftz ? flush(x) : x;
}
template <bool ftz>
LACUNA_INLINE f64 input(f64 x) {
  return x;
}
template <bool ftz, bool sat, class T>
LACUNA_INLINE T output(T x) {
  const T flushed = input<ftz>(x);
  return sat ? saturate(flushed) : canonical(flushed);
}

/// To the nearest integer, ties to even; exact for |x| < 2^51.
LACUNA_INLINE f64 nearest(f64 x) {
  return x + 0x1.8p52 - 0x1.8p52;
}

/// The rounding-control bits of MXCSR.
enum Rounding : u8 { to_nearest, down, up, to_zero };

/// Runs a handler under another rounding mode.
template <Handler run>
void rounded(Warp& w, const Instruction& i) {
  const u32 state = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr((state & ~0x6000u) | static_cast<u32>(i.code) << 13);
  asm volatile("" ::: "memory");
  run(w, i);
  asm volatile("" ::: "memory");
  __builtin_ia32_ldmxcsr(state);
}

/// The row of a rounding mode: to_nearest runs as it is.
template <bool hot = true, class F>
constexpr Row rounding_row(const char* name, Rounding mode, F f, Shape shape = Shape::plain) {
  if (hot && mode == to_nearest) return row(name, f, shape);
  Row result = rare(name, f, shape);
  if (mode != to_nearest) result.run = rounded<Lanewise<F, false, decltype(&F::operator())>::run>;
  result.code = mode;
  return result;
}

LACUNA_INLINE f32 widen(f16 x) {
  const u32 sign = static_cast<u32>(x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
  const u32 normal = (rest << 13) + (112u << 23);
  const u32 special = rest << 13 | 0x7f800000u;
  const u32 subnormal = bits_of(static_cast<f32>(static_cast<s32>(rest)) * 0x1p-24f);
  return f32_of(sign | (rest >= 0x7c00u ? special : rest < 0x400u ? subnormal : normal));
}
LACUNA_INLINE f32 widen(bf16 x) {
  return f32_of(static_cast<u32>(x.bits) << 16);
}

template <class H>
H narrow(f32 x);
template <>
LACUNA_INLINE f16 narrow<f16>(f32 x) {
  const u32 bits = bits_of(x), rest = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
  const u32 normal = (rest + 0xfffu + (rest >> 13 & 1u) - (112u << 23)) >> 13;
  const u32 subnormal = bits_of(f32_of(rest) + 0.5f) - 0x3f000000u;
  const u32 finite = rest < 0x38800000u ? subnormal : rest >= 0x477ff000u ? 0x7c00u : normal;
  return {static_cast<u16>(rest > 0x7f800000u ? 0x7fffu : sign | finite)};
}
template <>
LACUNA_INLINE bf16 narrow<bf16>(f32 x) {
  const u32 bits = bits_of(x);
  const u32 rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  return {static_cast<u16>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded)};
}

/// Toward zero.
template <class H>
H truncate_to(f32 x);
template <>
LACUNA_INLINE f16 truncate_to<f16>(f32 x) {
  const u32 bits = bits_of(x), rest = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
  const u32 normal = (rest - (112u << 23)) >> 13;
  const f32 small = rest < 0x38800000u ? f32_of(rest) : 0.0f;
  const u32 subnormal = static_cast<u32>(static_cast<s32>(small * 0x1p24f));
  const u32 finite = rest < 0x38800000u ? subnormal : rest >= 0x47800000u ? 0x7bffu : normal;
  const u32 value = rest == 0x7f800000u ? 0x7c00u : finite;
  return {static_cast<u16>(rest > 0x7f800000u ? 0x7fffu : sign | value)};
}
template <>
LACUNA_INLINE bf16 truncate_to<bf16>(f32 x) {
  const u32 bits = bits_of(x);
  return {static_cast<u16>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : bits >> 16)};
}

/// A double to f32 rounded to odd: a second rounding to a narrower type is then correct.
LACUNA_INLINE f32 round_to_odd(f64 x) {
  const f32 near = static_cast<f32>(x);
  const f64 back = near;
  const u32 bits = bits_of(near);
  const bool inexact = back != x && x == x;
  const bool over = inexact && (x < 0 ? back < x : back > x);  // |near| > |x|
  const u32 toward_zero = over ? bits - 1 : bits;
  return f32_of(inexact ? toward_zero | 1u : bits);
}
template <class H>
LACUNA_INLINE H narrow_double(f64 x) {
  return narrow<H>(round_to_odd(x));
}

/// a + b rounded to odd in double: what the sum lost makes it odd, on the side of zero. Infinities
/// lose NaN.
LACUNA_INLINE f64 add_to_odd(f64 a, f64 b) {
  const f64 sum = a + b, part = sum - a;
  const f64 lost = (a - (sum - part)) + (b - part);
  const u64 inexact = lost > 0.0 ? 1 : lost < 0.0 ? 1 : 0;
  const u64 opposite = (bits_of(lost) ^ bits_of(sum)) >> 63;
  return f64_of((bits_of(sum) - (opposite & inexact)) | inexact);
}

/// 2^k for -1022 <= k <= 1023.
LACUNA_INLINE f64 power_of_two(f64 k) {
  return f64_of(static_cast<u64>(static_cast<s64>(static_cast<s32>(k)) + 1023) << 52);
}

/// 2^x in double for |x| <= 1000, within 1e-13.
LACUNA_INLINE f64 exp2_double(f64 x) {
  const f64 k = nearest(x), r = (x - k) * 0x1.62e42fefa39efp-1;
  f64 p = 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return p * power_of_two(k);
}

/// 2^x in single precision, exact for integers: every attention score passes through here.
LACUNA_INLINE f32 exp2_single(f32 x) {
  const f32 low = x > -160.0f ? x : -160.0f;
  const f32 clamped = low > 129.0f ? 129.0f : low;
  const f32 k = clamped + 0x1.8p23f - 0x1.8p23f, r = clamped - k;
  f32 p = 1.535336188e-4f;
  p = p * r + 1.339887440e-3f;
  p = p * r + 9.618437357e-3f;
  p = p * r + 5.550332471e-2f;
  p = p * r + 2.402264791e-1f;
  p = p * r + 6.931472028e-1f;
  p = p * r + 1.0f;
  const s32 e = static_cast<s32>(k),
            half = e >> 1;  // two factors, as 2^e alone may be out of range
  const f32 y = p * f32_of(static_cast<u32>(half + 127) << 23) *
                f32_of(static_cast<u32>(e - half + 127) << 23);
  return x == x ? y : f32_of(0x7fffffffu);
}

LACUNA_INLINE f32 log2_single(f32 x) {
  const f64 wide = x;
  const u64 bits = bits_of(wide);
  const u64 shifted = bits - 0x3fe6a09e667f3bcdu;  // mantissa to [sqrt(1/2), sqrt(2))
  const s64 e = static_cast<s64>(shifted) >> 52;
  const f64 m = f64_of(bits - (static_cast<u64>(e) << 52));
  const f64 t = (m - 1.0) / (m + 1.0), s = t * t;
  f64 p = 1.0 / 13;
  p = p * s + 1.0 / 11;
  p = p * s + 1.0 / 9;
  p = p * s + 1.0 / 7;
  p = p * s + 1.0 / 5;
  p = p * s + 1.0 / 3;
  p = p * s + 1.0;
  const f32 finite =
      static_cast<f32>(static_cast<f64>(static_cast<s32>(e)) + t * p * 0x1.71547652b82fep+1);
  const f32 edge = x == 0.0f ? -__builtin_inff() : x > 0.0f ? x : f32_of(0x7fffffffu);
  return x > 0.0f && x < __builtin_inff() ? finite : edge;
}

LACUNA_INLINE f32 tanh_single(f32 x) {
  const f64 wide = x;
  const f64 low = wide > -20.0 ? wide : -20.0;
  const f64 clamped = low > 20.0 ? 20.0 : low;
  const f64 e = exp2_double(clamped * 0x1.71547652b82fep+1);
  const f32 y = static_cast<f32>((e - 1.0) / (e + 1.0));
  const f32 magnitude = f32_of(bits_of(x) & 0x7fffffffu);
  return x != x ? f32_of(0x7fffffffu) : magnitude < 0x1p-12f ? x : y;
}

/// sin(x + quarter * pi/2) for |x| < 2^30, beyond which a float says nothing about its angle: there
/// x counts as 0.
LACUNA_INLINE f32 sine_single(f32 x, f64 quarter) {
  const f32 magnitude = f32_of(bits_of(x) & 0x7fffffffu);
  const f64 wide = magnitude < 0x1p30f ? x : 0.0f;
  const f64 k = nearest(wide * 0x1.45f306dc9c883p-1);
  const f64 r = (wide - k * 0x1.921fb54400000p+0) - k * 0x1.0b4611a626331p-34, s = r * r;
  f64 sine = -1.0 / 39916800, cosine = -1.0 / 3628800;
  sine = sine * s + 1.0 / 362880;
  sine = sine * s - 1.0 / 5040;
  sine = sine * s + 1.0 / 120;
  sine = sine * s - 1.0 / 6;
  sine = sine * s * r + r;
  cosine = cosine * s + 1.0 / 40320;
  cosine = cosine * s - 1.0 / 720;
  cosine = cosine * s + 1.0 / 24;
  cosine = cosine * s - 0.5;
  cosine = cosine * s + 1.0;
  const f64 turns = k + quarter;
  const f64 quadrant = turns - 4.0 * nearest(turns * 0.25 - 0.375);  // 0, 1, 2 or 3
  const bool odd = quadrant == 1.0 || quadrant == 3.0;
  const f32 y = static_cast<f32>(odd ? cosine : sine);
  if (quarter == 0.0 && x == 0.0f) return x;
  return x - x == 0.0f ? (quadrant >= 2.0 ? -y : y) : f32_of(0x7fffffffu);
}

}  // namespace
}  // namespace lacuna::runtime::host::LACUNA_ISA
