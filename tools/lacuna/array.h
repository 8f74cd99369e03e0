#pragma once
#include "lacuna/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace lacuna::tool {

/// A row-major tensor that owns its elements.
struct Array {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  /// Zeros. The shape must have at most max_rank axes.
  static Array zeros(DType dtype, std::vector<std::int64_t> shape);
  bool present() const { return !bytes.empty() || !shape.empty(); }
  std::int64_t elements() const;
  /// Borrowed: valid while the array lives and is not resized.
  TensorView view() const;

  double real(std::int64_t element) const;            ///< of f32, f16, bf16
  std::int64_t integer(std::int64_t element) const;   ///< of the others
  void set_real(std::int64_t element, double value);  ///< rounded to nearest even
  void set_integer(std::int64_t element, std::int64_t value);
};

/// The same values in another storage type of the same kind (reals or integers); reals are rounded
/// to nearest even, integers must fit.
Array cast(const Array& array, DType dtype);

}  // namespace lacuna::tool
