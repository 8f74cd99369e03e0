#pragma once
#include "lacuna/tensor.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <vector>

/// Attention's parts from their formulas, sharing nothing with compiler/ir.
namespace oracle {

using Row = std::vector<double>;
inline constexpr double infinity = std::numeric_limits<double>::infinity();

inline Row softmax(const Row& z, double sink = -infinity) {
  long double sum = std::exp(static_cast<long double>(sink));
  for (double x : z) sum += std::exp(static_cast<long double>(x));
  Row p;
  for (double x : z) p.push_back(static_cast<double>(std::exp(static_cast<long double>(x)) / sum));
  return p;
}

inline double log_sum_exp(const Row& z, double sink = -infinity) {
  long double sum = std::exp(static_cast<long double>(sink));
  for (double x : z) sum += std::exp(static_cast<long double>(x));
  return static_cast<double>(std::log(sum));
}

inline Row sorted_down(Row z) {
  std::sort(z.rbegin(), z.rend());
  return z;
}

/// Martins & Astudillo 2016, algorithm 1.
inline Row sparsemax(const Row& z) {
  double sum = 0, tau = 0, count = 0;
  for (double x : sorted_down(z)) {
    if (1 + (count + 1) * x <= sum + x) break;
    sum += x;
    count += 1;
    tau = (sum - 1) / count;
  }
  Row p;
  for (double x : z) p.push_back(std::max(0.0, x - tau));
  return p;
}

/// Peters, Niculae & Martins 2019, algorithm 2: exact 1.5-entmax by sorting.
inline Row entmax15(const Row& z) {
  const double largest = *std::max_element(z.begin(), z.end());
  double sum = 0, squares = 0, count = 0, tau = 0;
  for (double score : sorted_down(z)) {
    const double x = (score - largest) / 2;
    sum += x;
    squares += x * x;
    count += 1;
    const double mean = sum / count, spread = squares - count * mean * mean;
    if (1 - spread < 0) break;
    const double next = mean - std::sqrt((1 - spread) / count);
    if (next > x) break;
    tau = next;
  }
  Row p;
  for (double score : z) p.push_back(std::pow(std::max(0.0, (score - largest) / 2 - tau), 2));
  return p;
}

/// f16 by its definition: sign, 5 bits of exponent, 10 of fraction.
inline double f16(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31) return fraction ? std::nan("") : sign * infinity;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

/// bf16: sign, 8 bits of exponent, 7 of fraction.
inline double bf16(std::uint16_t bits) {
  const int exponent = bits >> 7 & 255, fraction = bits & 127;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 255) return fraction ? std::nan("") : sign * infinity;
  if (exponent == 0) return sign * std::ldexp(fraction, -133);
  return sign * std::ldexp(128 + fraction, exponent - 134);
}

/// One element, where an index on an axis of extent 1 is taken as 0.
inline double at(const lacuna::TensorView& view, std::initializer_list<std::int64_t> indices) {
  std::int64_t offset = 0;
  int axis = 0;
  for (std::int64_t index : indices) {
    offset += view.shape[axis] == 1 ? 0 : index * view.strides[axis];
    ++axis;
  }
  const char* address = static_cast<const char*>(view.data) + offset * lacuna::size_of(view.dtype);
  const auto as = [&](auto value) {
    std::memcpy(&value, address, sizeof value);
    return value;
  };
  switch (view.dtype) {
    case lacuna::DType::f32:
      return as(float{});
    case lacuna::DType::f16:
      return f16(as(std::uint16_t{}));
    case lacuna::DType::bf16:
      return bf16(as(std::uint16_t{}));
    case lacuna::DType::i64:
      return static_cast<double>(as(std::int64_t{}));
    case lacuna::DType::i32:
      return as(std::int32_t{});
    case lacuna::DType::i16:
      return as(std::int16_t{});
    case lacuna::DType::i8:
      return as(std::int8_t{});
    default:
      return as(std::uint8_t{});
  }
}

}  // namespace oracle
