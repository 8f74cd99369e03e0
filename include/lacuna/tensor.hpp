#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "lacuna/version.hpp"

namespace lacuna {
inline namespace LACUNA_ABI {

/// Storage of one element. Q, K, V, O use the first three; a pattern's tensors may use any.
enum class DType : std::uint8_t { f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

/// Bytes of one element.
constexpr int size_of(DType dtype) {
  constexpr int bytes[] = {4, 2, 2, 8, 4, 2, 1, 1, 1};
  return bytes[static_cast<int>(dtype)];
}

/// "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u8", "bool".
constexpr std::string_view name_of(DType dtype) {
  constexpr std::string_view names[] = {"f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u8", "bool"};
  return names[static_cast<int>(dtype)];
}

constexpr int max_rank = 6;

/// A borrowed, strided view of memory that the engine's device can reach. Owns nothing.
/// `data` null means absent; shape and strides count elements; at most `max_rank` axes.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<std::int64_t, max_rank> shape{};
  std::array<std::int64_t, max_rank> strides{};

  /// A row-major view: the last axis is contiguous.
  static constexpr TensorView contiguous(void* data, DType dtype, std::initializer_list<std::int64_t> shape) {
    TensorView view{data, dtype, static_cast<int>(shape.size()), {}, {}};
    int axis = 0;
    for (std::int64_t extent : shape) view.shape[axis++] = extent;
    std::int64_t stride = 1;
    for (axis = view.rank; axis-- > 0;) {
      view.strides[axis] = stride;
      stride *= view.shape[axis];
    }
    return view;
  }
  constexpr bool present() const { return data != nullptr || rank > 0; }
  constexpr std::int64_t elements() const {
    std::int64_t count = 1;
    for (int axis = 0; axis < rank; ++axis) count *= shape[axis];
    return count;
  }
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
