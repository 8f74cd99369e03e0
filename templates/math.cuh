// exp, log and tanh of f32, each within 2 ulp of the true value over all arguments: subnormal,
// infinite and NaN ones too. Only +, *, division and fma, each rounded to nearest, so every device
// and the host tests compute the same bits.
#pragma once
#include "prelude.cuh"

namespace lacuna {

// exp(x) = 2^n exp(r), x = n log 2 + r, |r| <= log(2)/2.
LACUNA_DEVICE float exponential(float x) {
  // Beyond these the result is inf or 0 anyway; a NaN fails both tests and reaches the result
  // through r.
  x = x > 89.0f ? 89.0f : x;
  x = x < -105.0f ? -105.0f : x;
  const float shift = 0x1.8p23f;  // adding it rounds to an integer, kept in the low bits
  float shifted = fma_rn(x, 0x1.715476p+0f, shift);
  float n = shifted - shift;
  float r = fma_rn(n, -0x1.62e400p-1f, x);
  r = fma_rn(n, -0x1.7f7d1cp-20f, r);
  float q = 0x1.6a492cp-10f;
  q = fma_rn(q, r, 0x1.12399ep-7f);
  q = fma_rn(q, r, 0x1.5558b4p-5f);
  q = fma_rn(q, r, 0x1.555492p-3f);
  q = fma_rn(q, r, 0x1.fffffcp-2f);
  float p = 1.0f + fma_rn(q, r * r, r);
  // 2^n in two halves: neither overflows, and a subnormal result is rounded once, by the last
  // product.
  s32 whole = static_cast<s32>(bits_of(shifted) - bits_of(shift));
  s32 half = whole >> 1;
  p = p * float_of_bits(static_cast<u32>(half + 127) << 23);
  return p * float_of_bits(static_cast<u32>(whole - half + 127) << 23);
}

// x / c where c is a constant from 2^-60 to 2^60 and inverse 1 / c, rounded: rounded to nearest but
// where x or the quotient is nearly subnormal, which may be off by 2 ulp, or nearly infinite
// (Brisebarre, Muller and Raina 2004). No branch, as division has for those.
LACUNA_DEVICE float divide_by(float x, float c, float inverse) {
  float q = x * inverse;
  float better = fma_rn(fma_rn(c, q, -x), -inverse, q);  // -0 / c is -0
  return abs_f32(q) < infinity() ? better : q;
}

// log(x) = e log 2 + log(1 + f), x = 2^e (1 + f), -1/3 <= f < 1/3.
LACUNA_DEVICE float logarithm(float x) {
  bool subnormal = x < 0x1p-126f;
  float scaled = subnormal ? x * 0x1p23f : x;
  u32 bits = bits_of(scaled);
  s32 e = static_cast<s32>(bits - 0x3f2aaaabu) >> 23;
  float f = float_of_bits(bits - (static_cast<u32>(e) << 23)) - 1.0f;
  float exponent = static_cast<float>(subnormal ? e - 23 : e);
  float q = -0x1.07c510p-3f;
  q = fma_rn(q, f, 0x1.1e6d18p-3f);
  q = fma_rn(q, f, -0x1.f33276p-4f);
  q = fma_rn(q, f, 0x1.1ed55ap-3f);
  q = fma_rn(q, f, -0x1.559c68p-3f);
  q = fma_rn(q, f, 0x1.99d050p-3f);
  q = fma_rn(q, f, -0x1.fffefap-3f);
  q = fma_rn(q, f, 0x1.555506p-2f);
  q = fma_rn(q, f, -0.5f);
  float log_1p = fma_rn(q, f * f, f);
  float r = fma_rn(exponent, 0x1.62e430p-1f, log_1p);
  if (x == 0.0f) return -infinity();
  if (x == infinity()) return x;
  return x > 0.0f ? r : float_of_bits(0x7fc00000u);
}

// tanh(x) = x + x^3 q(x^2) near 0, else 1 - 2 / (exp(2|x|) + 1); of |x|, with the sign of x put
// back, also on -0.
LACUNA_DEVICE float hyperbolic_tangent(float x) {
  float size = abs_f32(x);
  float y;
  if (size < 0.55f) {
    float s = size * size;
    float q = -0x1.9c9668p-8f;
    q = fma_rn(q, s, 0x1.5982a4p-6f);
    q = fma_rn(q, s, -0x1.b931fep-5f);
    q = fma_rn(q, s, 0x1.110d6ap-3f);
    q = fma_rn(q, s, -0x1.55554cp-2f);
    y = fma_rn(size * s, q, size);
  } else {
    y = 1.0f - divide(2.0f, exponential(size + size) + 1.0f);
  }
  return float_of_bits(bits_of(y) | (bits_of(x) & 0x80000000u));
}

}  // namespace lacuna
