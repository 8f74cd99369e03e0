// The operators of the language on the device: the words of the `emit` column of
// compiler/ir/ops.def. Every one is total: it has a value for all operands, and the reference
// evaluator has the same one.
#pragma once
#include "math.cuh"
#include "prelude.cuh"

namespace lacuna {

// i32 wraps; the detour over u32 is what makes that defined.
LACUNA_DEVICE s32 wrap_add(s32 a, s32 b) {
  return static_cast<s32>(static_cast<u32>(a) + static_cast<u32>(b));
}
LACUNA_DEVICE s32 wrap_sub(s32 a, s32 b) {
  return static_cast<s32>(static_cast<u32>(a) - static_cast<u32>(b));
}
LACUNA_DEVICE s32 wrap_mul(s32 a, s32 b) {
  return static_cast<s32>(static_cast<u32>(a) * static_cast<u32>(b));
}
LACUNA_DEVICE s32 wrap_abs(s32 a) {
  return a < 0 ? wrap_sub(0, a) : a;
}

// a // 0 = 0, a % 0 = a. A divisor of -1 is apart because INT_MIN / -1 has no i32 value.
LACUNA_DEVICE s32 floor_div(s32 a, s32 b) {
  if (b == 0) return 0;
  if (b == -1) return wrap_sub(0, a);
  s32 quotient = a / b;
  s32 rest = a - quotient * b;
  return rest != 0 && (rest ^ b) < 0 ? quotient - 1 : quotient;
}
LACUNA_DEVICE s32 floor_mod(s32 a, s32 b) {
  if (b == 0) return a;
  if (b == -1) return 0;
  s32 rest = a % b;
  return rest != 0 && (rest ^ b) < 0 ? rest + b : rest;
}

LACUNA_DEVICE s32 min_i32(s32 a, s32 b) {
  return b < a ? b : a;
}
LACUNA_DEVICE s32 max_i32(s32 a, s32 b) {
  return a < b ? b : a;
}
LACUNA_DEVICE s32 shift_left(s32 a, s32 b) {
  return static_cast<s32>(static_cast<u32>(a) << (b & 31));
}
LACUNA_DEVICE s32 shift_right(s32 a, s32 b) {
  return a >> (b & 31);
}

LACUNA_DEVICE float float_of(s32 x) {
  return float_of_s32(x);
}
LACUNA_DEVICE float float_of(bool x) {
  return x ? 1.0f : 0.0f;
}
LACUNA_DEVICE s32 int_of(float x) {
  return truncate_f32(x);
}
LACUNA_DEVICE s32 int_of(bool x) {
  return x ? 1 : 0;
}

}  // namespace lacuna
