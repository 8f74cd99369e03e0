#pragma once
// The words of templates/prelude.cuh that math.cuh and ops.cuh use, for g++: the same text then
// runs on the CPU.
#define LACUNA_PRELUDE
#include "compiler/ir/scalar.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#define LACUNA_DEVICE [[maybe_unused]] static inline

namespace lacuna {
using u32 = std::uint32_t;
using s32 = std::int32_t;
LACUNA_DEVICE u32 bits_of(float x) {
  return std::bit_cast<u32>(x);
}
LACUNA_DEVICE float float_of_bits(u32 x) {
  return std::bit_cast<float>(x);
}
LACUNA_DEVICE float infinity() {
  return std::numeric_limits<float>::infinity();
}
LACUNA_DEVICE float float_of_s32(s32 x) {
  return static_cast<float>(x);
}
LACUNA_DEVICE float fma_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
LACUNA_DEVICE float divide(float a, float b) {
  return a / b;
}
LACUNA_DEVICE float abs_f32(float x) {
  return std::fabs(x);
}
LACUNA_DEVICE s32 truncate_f32(float x) {
  return ir::scalar::int_of(x);
}
}  // namespace lacuna

#include "templates/math.cuh"
#include "templates/ops.cuh"
