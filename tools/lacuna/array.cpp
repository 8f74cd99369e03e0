#include "tools/lacuna/array.h"

#include "lacuna/error.hpp"

#include "compiler/ir/element.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <exception>

namespace lacuna::tool {

Array Array::zeros(DType dtype, std::vector<std::int64_t> shape) {
  Array array{dtype, std::move(shape), {}};
  auto bytes = static_cast<std::size_t>(array.elements()) * size_of(dtype);
  try {
    array.bytes.resize(bytes);
  } catch (const std::exception&) {  // bad_alloc, or length_error
    throw Error(ErrorKind::unsupported,
                fmt::format("this machine has too little memory for a tensor of [{}] {}: {} bytes",
                            fmt::join(array.shape, ", "), name_of(dtype), bytes));
  }
  return array;
}

std::int64_t Array::elements() const {
  // Zero first: the other extents of an empty array may be anything, their product too.
  for (std::int64_t extent : shape) {
    if (extent == 0) return 0;
  }
  std::int64_t count = 1;
  for (std::int64_t extent : shape) count *= extent;
  return count;
}

TensorView Array::view() const {
  TensorView view;
  if (!present()) return view;
  // An array without elements still needs an address: null means absent.
  static std::int64_t nothing = 0;
  view.data = bytes.empty() ? static_cast<void*>(&nothing) : const_cast<std::byte*>(bytes.data());
  view.dtype = dtype;
  view.rank = static_cast<int>(shape.size());
  std::int64_t stride = 1;
  for (int axis = view.rank; axis-- > 0;) {
    view.shape[axis] = shape[axis];
    view.strides[axis] = stride;
    stride *= shape[axis];
  }
  return view;
}

double Array::real(std::int64_t element) const {
  return ir::load_real(dtype, bytes.data(), element);
}
std::int64_t Array::integer(std::int64_t element) const {
  return ir::load_integer(dtype, bytes.data(), element);
}
void Array::set_real(std::int64_t element, double value) {
  ir::store_real(dtype, bytes.data(), element, static_cast<float>(value));
}
void Array::set_integer(std::int64_t element, std::int64_t value) {
  ir::store_integer(dtype, bytes.data(), element, value);
}

Array cast(const Array& array, DType dtype) {
  if (array.dtype == dtype) return array;
  Array result = Array::zeros(dtype, array.shape);
  for (std::int64_t i = 0, n = array.elements(); i < n; ++i) {
    if (ir::is_real(dtype)) {
      result.set_real(i, array.real(i));
    } else {
      result.set_integer(i, array.integer(i));
    }
  }
  return result;
}

}  // namespace lacuna::tool
