#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

/// What the `evaluate` column of ops.def is written in: the meaning of each operator on plain
/// values. Every function is total (design §2). f32 functions exist for float, rounded once, and
/// for double.
namespace lacuna::ir::scalar {

using i32 = std::int32_t;
using u32 = std::uint32_t;

constexpr i32 wrap_add(i32 a, i32 b) {
  return static_cast<i32>(u32(a) + u32(b));
}
constexpr i32 wrap_sub(i32 a, i32 b) {
  return static_cast<i32>(u32(a) - u32(b));
}
constexpr i32 wrap_mul(i32 a, i32 b) {
  return static_cast<i32>(u32(a) * u32(b));
}
constexpr i32 wrap_abs(i32 a) {
  return a < 0 ? wrap_sub(0, a) : a;
}

/// Toward minus infinity; x // 0 = 0, and the one overflow, INT_MIN // -1, wraps.
constexpr i32 floor_div(i32 a, i32 b) {
  if (b == 0) return 0;
  if (b == -1) return wrap_sub(0, a);
  const i32 quotient = a / b;
  return a % b != 0 && (a % b < 0) != (b < 0) ? quotient - 1 : quotient;
}
/// a - (a // b) * b: takes the sign of b; x % 0 = x.
constexpr i32 floor_mod(i32 a, i32 b) {
  if (b == 0) return a;
  if (b == -1) return 0;
  const i32 rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
constexpr i32 shift_left(i32 a, i32 count) {
  return static_cast<i32>(u32(a) << (u32(count) & 31));
}
constexpr i32 shift_right(i32 a, i32 count) {
  return a >> (u32(count) & 31);
}

template <class Real>
Real min_of_numbers(Real a, Real b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) ? a : b;
  return b < a ? b : a;
}
template <class Real>
Real max_of_numbers(Real a, Real b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) ? b : a;
  return a < b ? b : a;
}
/// The number where the other is NaN; -0 is less than +0, as PTX has it.
inline float min_number(float a, float b) {
  return min_of_numbers(a, b);
}
inline double min_number(double a, double b) {
  return min_of_numbers(a, b);
}
inline float max_number(float a, float b) {
  return max_of_numbers(a, b);
}
inline double max_number(double a, double b) {
  return max_of_numbers(a, b);
}

/// Of a float: computed in double and rounded once, well within the 2 ulp of the contract.
inline double exponential(double a) {
  return std::exp(a);
}
inline double logarithm(double a) {
  return std::log(a);
}
inline double hyperbolic_tangent(double a) {
  return std::tanh(a);
}
inline float exponential(float a) {
  return static_cast<float>(std::exp(double{a}));
}
inline float logarithm(float a) {
  return static_cast<float>(std::log(double{a}));
}
inline float hyperbolic_tangent(float a) {
  return static_cast<float>(std::tanh(double{a}));
}

/// Toward zero, saturating; NaN is 0.
inline i32 int_of(double a) {
  if (std::isnan(a)) return 0;
  if (a >= 2147483647.0) return std::numeric_limits<i32>::max();
  if (a <= -2147483648.0) return std::numeric_limits<i32>::min();
  return static_cast<i32>(a);
}
inline i32 int_of(float a) {
  return int_of(double{a});
}
constexpr i32 int_of(bool a) {
  return a ? 1 : 0;
}

}  // namespace lacuna::ir::scalar
