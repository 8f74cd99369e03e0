#pragma once
// templates/intervals.cuh for the host: the words of templates/prelude.cuh that its rules use, so
// that the planner classifies tiles by the very text that the device compiles.
#define LACUNA_PRELUDE
#include "compiler/ir/scalar.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#define LACUNA_DEVICE [[maybe_unused]] static inline
#define LACUNA_MEMBER inline
#define LACUNA_NOUNROLL

namespace lacuna {

using u32 = std::uint32_t;
using u64 = unsigned long long;
using s32 = std::int32_t;
using s64 = long long;
struct U2 {
  u32 x, y;
};

LACUNA_DEVICE u32 bits_of(float x) {
  return std::bit_cast<u32>(x);
}
LACUNA_DEVICE float float_of_bits(u32 x) {
  return std::bit_cast<float>(x);
}
LACUNA_DEVICE float infinity() {
  return std::numeric_limits<float>::infinity();
}
template <class T>
LACUNA_DEVICE T min_of(T a, T b) {
  return b < a ? b : a;
}
template <class T>
LACUNA_DEVICE T max_of(T a, T b) {
  return a < b ? b : a;
}
LACUNA_DEVICE float float_of_s32(s32 x) {
  return static_cast<float>(x);
}
LACUNA_DEVICE s32 truncate_f32(float x) {
  return ir::scalar::int_of(x);
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
LACUNA_DEVICE float floor_f32(float x) {
  return std::floor(x);
}
LACUNA_DEVICE float square_root(float x) {
  return std::sqrt(x);
}

}  // namespace lacuna

#include "templates/intervals.cuh"
