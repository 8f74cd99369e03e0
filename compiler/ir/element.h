#pragma once
#include "lacuna/tensor.hpp"

#include "compiler/ir/half.h"

#include <cstring>

/// Elements of host memory at any storage type. `data` may stand at any address: nothing is assumed
/// aligned.
namespace lacuna::ir {

template <class T>
T load(const void* data, std::int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(data) + index * static_cast<std::int64_t>(sizeof(T)),
              sizeof(T));
  return value;
}

template <class T>
void store(void* data, std::int64_t index, T value) {
  std::memcpy(static_cast<char*>(data) + index * static_cast<std::int64_t>(sizeof(T)), &value,
              sizeof(T));
}

constexpr bool is_real(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

/// Of f32, f16 and bf16.
inline float load_real(DType dtype, const void* data, std::int64_t index) {
  switch (dtype) {
    case DType::f16:
      return float_of_f16(load<std::uint16_t>(data, index));
    case DType::bf16:
      return float_of_bf16(load<std::uint16_t>(data, index));
    default:
      return load<float>(data, index);
  }
}

/// Of the other types; a bool is 0 or 1.
inline std::int64_t load_integer(DType dtype, const void* data, std::int64_t index) {
  switch (dtype) {
    case DType::i64:
      return load<std::int64_t>(data, index);
    case DType::i32:
      return load<std::int32_t>(data, index);
    case DType::i16:
      return load<std::int16_t>(data, index);
    case DType::i8:
      return load<std::int8_t>(data, index);
    case DType::boolean:
      return load<std::uint8_t>(data, index) != 0;
    default:
      return load<std::uint8_t>(data, index);
  }
}

inline void store_real(DType dtype, void* data, std::int64_t index, float value) {
  switch (dtype) {
    case DType::f16:
      return store(data, index, f16_of_float(value));
    case DType::bf16:
      return store(data, index, bf16_of_float(value));
    default:
      return store(data, index, value);
  }
}

inline void store_integer(DType dtype, void* data, std::int64_t index, std::int64_t value) {
  switch (dtype) {
    case DType::i64:
      return store(data, index, value);
    case DType::i32:
      return store(data, index, static_cast<std::int32_t>(value));
    case DType::i16:
      return store(data, index, static_cast<std::int16_t>(value));
    case DType::i8:
      return store(data, index, static_cast<std::int8_t>(value));
    default:
      return store(data, index, static_cast<std::uint8_t>(value));
  }
}

}  // namespace lacuna::ir
