#include "compiler/base/diagnostic.h"
#include "tools/lacuna/inputs.h"
#include "tools/lacuna/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace lacuna::tool {
namespace {

constexpr int ids = 4;

using Generator = std::mt19937_64;

Array normal(Generator& generator, DType dtype, std::vector<std::int64_t> shape) {
  Array array = Array::zeros(dtype, std::move(shape));
  std::normal_distribution<double> distribution;
  for (std::int64_t i = 0, n = array.elements(); i < n; ++i)
    array.set_real(i, distribution(generator));
  return array;
}

/// i32 from 0 to `most`.
Array integers(Generator& generator, std::vector<std::int64_t> shape, std::int64_t most) {
  Array array = Array::zeros(DType::i32, std::move(shape));
  std::uniform_int_distribution<std::int64_t> distribution(0, most);
  for (std::int64_t i = 0; i < array.elements(); ++i) array.set_integer(i, distribution(generator));
  return array;
}

/// Where each of `sequences` begins, and the end of the last at `rows`.
Array cuts(Generator& generator, std::int64_t sequences, std::int64_t rows) {
  Array array = integers(generator, {sequences + 1}, rows);
  std::vector<std::int64_t> places{0};
  for (std::int64_t i = 1; i < sequences; ++i) places.push_back(array.integer(i));
  if (sequences > 0) places.push_back(rows);
  std::sort(places.begin(), places.end());
  for (std::size_t i = 0; i < places.size(); ++i)
    array.set_integer(static_cast<std::int64_t>(i), places[i]);
  return array;
}

/// The extents of the `_` axes of each tensor named in --axis NAME=E,E.
std::vector<std::vector<std::int64_t>> parse_axes(const ir::Pattern& pattern,
                                                  const std::vector<std::string>& flags) {
  std::vector<std::vector<std::int64_t>> extents(pattern.tensors.size());
  std::vector<std::string_view> names;
  for (const ir::Tensor& tensor : pattern.tensors) names.push_back(tensor.name);
  for (const Named& one : parse_named("--axis", flags)) {
    auto found = std::find(names.begin(), names.end(), one.name);
    if (found == names.end()) {
      throw Error(ErrorKind::argument, fmt::format("--axis: {} has no tensor '{}'{}", pattern.name,
                                                   one.name, suggestion(one.name, names)));
    }
    auto& wanted = extents[found - names.begin()];
    for (std::size_t at = 0; at <= one.value.size();) {
      auto end = std::min(one.value.find(',', at), one.value.size());
      auto extent = parse_integer(std::string_view(one.value).substr(at, end - at));
      if (!extent || *extent < 1 || *extent > (1 << 30)) {
        throw Error(ErrorKind::argument, fmt::format("--axis '{}={}' is not NAME=EXTENT,EXTENT...",
                                                     one.name, one.value));
      }
      wanted.push_back(*extent);
      at = end + 1;
    }
  }
  return extents;
}

bool along_rows(const ir::Tensor& tensor) {
  return std::any_of(tensor.axes.begin(), tensor.axes.end(), [](const ir::Axis& axis) {
    return axis.kind == ir::AxisKind::query || axis.kind == ir::AxisKind::key;
  });
}

/// `_` axes are at least as long as there are ids.
std::vector<std::int64_t> shape_of(const ir::Tensor& tensor, const Shape& shape, bool packed,
                                   const std::vector<std::int64_t>& any) {
  std::int64_t longest = std::max({shape.queries, shape.keys, std::int64_t{ids}});
  std::vector<std::int64_t> extents;
  std::size_t next = 0;
  for (const ir::Axis& axis : tensor.axes) {
    switch (axis.kind) {
      case ir::AxisKind::batch:
        extents.push_back(packed && along_rows(tensor) ? 1 : shape.batch);
        break;
      case ir::AxisKind::head:
        extents.push_back(shape.heads);
        break;
      case ir::AxisKind::kv_head:
        extents.push_back(shape.kv_heads);
        break;
      case ir::AxisKind::query:
        extents.push_back(shape.queries);
        break;
      case ir::AxisKind::key:
        extents.push_back(shape.keys);
        break;
      case ir::AxisKind::fixed:
        extents.push_back(axis.extent);
        break;
      case ir::AxisKind::any:
        extents.push_back(next < any.size() ? any[next] : longest), ++next;
        break;
    }
  }
  if (next < any.size()) {
    throw Error(ErrorKind::argument,
                fmt::format("--axis {}: {} extents are given, and the tensor has {} axes written _",
                            tensor.name, any.size(), next));
  }
  return extents;
}

/// The tensor that entmax takes its alpha from, or none.
std::optional<std::uint32_t> alpha_tensor(const ir::Pattern& pattern) {
  if (pattern.weights.alpha == ir::no_node) return {};
  const ir::Node& node = pattern.graph[pattern.weights.alpha];
  return node.op == ir::Op::read ? std::optional(node.payload) : std::nullopt;
}

/// Ids that stay the same for a while along the last axis, as documents in a row do.
void fill_runs(Generator& generator, Array& array) {
  std::int64_t extent = array.shape.empty() ? 1 : array.shape.back();
  std::uniform_int_distribution<std::int64_t> length(std::max<std::int64_t>(1, extent / 8),
                                                     std::max<std::int64_t>(1, extent / 3));
  for (std::int64_t i = 0, n = array.elements(), id = 0, left = 0; i < n; ++i, --left) {
    if (i % extent == 0) id = 0, left = length(generator);
    if (left == 0) ++id, left = length(generator);
    array.set_integer(i, id);
  }
}

DType dtype_of(const ir::Tensor& tensor) {
  if (tensor.type == ir::Type::f32) return DType::f32;
  return tensor.type == ir::Type::boolean ? DType::boolean : DType::i32;
}

Array random_tensor(Generator& generator, const ir::Tensor& tensor, std::vector<std::int64_t> shape,
                    bool alpha, bool runs) {
  if (tensor.type == ir::Type::f32 && !alpha)
    return normal(generator, DType::f32, std::move(shape));
  DType dtype = alpha ? DType::f32 : dtype_of(tensor);
  Array array = Array::zeros(dtype, std::move(shape));
  if (runs && dtype == DType::i32 && along_rows(tensor)) {
    fill_runs(generator, array);
    return array;
  }
  std::uniform_int_distribution<int> integer(0, dtype == DType::boolean ? 1 : ids - 1);
  std::uniform_real_distribution<double> real(1.01, 2);
  for (std::int64_t i = 0, n = array.elements(); i < n; ++i) {
    if (alpha) {
      array.set_real(i, real(generator));
    } else {
      array.set_integer(i, integer(generator));
    }
  }
  return array;
}

/// Q, K and V, then each tensor of the pattern that `inputs` lacks, in the pattern's order.
std::vector<Wanted> wanted_arrays(const ir::Pattern& pattern, const RandomInputs& wanted,
                                  const Inputs& inputs) {
  const auto& [shape, head_dim, value_dim, has_rows, has_batch] = wanted.extents;
  bool packed = wanted.lengths == Lengths::packed;
  std::int64_t batch = packed ? 1 : shape.batch;
  std::vector<Wanted> all = {{"q", wanted.dtype, {batch, shape.heads, shape.queries, head_dim}},
                             {"k", wanted.dtype, {batch, shape.kv_heads, shape.keys, head_dim}},
                             {"v", wanted.dtype, {batch, shape.kv_heads, shape.keys, value_dim}}};
  auto axes = parse_axes(pattern, wanted.axes);
  for (std::size_t i = 0; i < pattern.tensors.size(); ++i) {
    const ir::Tensor& tensor = pattern.tensors[i];
    bool given = std::any_of(inputs.tensors.begin(), inputs.tensors.end(),
                             [&](auto& one) { return one.first == tensor.name; });
    if (!given)
      all.push_back({tensor.name, dtype_of(tensor), shape_of(tensor, shape, packed, axes[i])});
  }
  return all;
}

}  // namespace

void fill_random(const ir::Pattern& pattern, const RandomInputs& wanted, Inputs& inputs) {
  const Shape& shape = wanted.extents.shape;
  auto arrays = wanted_arrays(pattern, wanted, inputs);
  for (int operand = 0; operand < 3; ++operand) check_head(arrays[operand]);
  check_fits(arrays, memory_limit());
  Generator generator(wanted.seed);
  for (Array* operand : {&inputs.q, &inputs.k, &inputs.v}) {
    *operand = normal(generator, wanted.dtype, arrays.front().shape);
    arrays.erase(arrays.begin());
  }
  if (inputs.lengths() != Lengths::uniform) {
    // They are given.
  } else if (wanted.lengths == Lengths::packed) {
    inputs.cu_seqlens_q = cuts(generator, shape.batch, shape.queries);
    inputs.cu_seqlens_k = cuts(generator, shape.batch, shape.keys);
  } else if (wanted.lengths == Lengths::padded) {
    inputs.q_lens = integers(generator, {shape.batch}, shape.queries);
    inputs.k_lens = integers(generator, {shape.batch}, shape.keys);
  }
  for (Wanted& array : arrays) {
    auto tensor = std::find_if(pattern.tensors.begin(), pattern.tensors.end(),
                               [&](const ir::Tensor& one) { return one.name == array.name; });
    bool alpha = alpha_tensor(pattern) == tensor - pattern.tensors.begin();
    inputs.tensors.emplace_back(
        array.name, random_tensor(generator, *tensor, std::move(array.shape), alpha, wanted.runs));
  }
}

}  // namespace lacuna::tool
