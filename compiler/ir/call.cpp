#include "compiler/ir/call.h"

#include "compiler/base/diagnostic.h"
#include "compiler/ir/reject.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace lacuna::ir {
namespace {

constexpr std::int64_t int_max = std::numeric_limits<std::int32_t>::max();
constexpr std::array<std::string_view, 4> matrix_axes = {"batch", "head", "row", "column"};

/// Shape and strides are plausible numbers, and there is memory where there are elements.
void check_view(std::string_view name, const TensorView& view, DType dtype, int rank,
                bool with_data) {
  if (!view.present()) reject("{} is missing", name);
  if (view.rank != rank) reject("{} has rank {}, expected {}", name, view.rank, rank);
  const bool same_bytes = (dtype == DType::u8 && view.dtype == DType::boolean) ||
                          (dtype == DType::boolean && view.dtype == DType::u8);
  if (view.dtype != dtype && !same_bytes)
    reject("{} is {}, expected {}", name, name_of(view.dtype), name_of(dtype));
  for (int axis = 0; axis < rank; ++axis)
    if (view.shape[axis] < 0 || view.shape[axis] > int_max)
      reject("{}: axis {} has extent {}, expected 0 to {}", name, axis, view.shape[axis], int_max);
  if (!with_data || view.elements() == 0) return;
  if (view.data == nullptr) reject("{} has no memory: its data pointer is null", name);
  if (reinterpret_cast<std::uintptr_t>(view.data) % size_of(view.dtype) != 0)
    reject("{} stands at an address that is not a multiple of its element, {} bytes", name,
           size_of(view.dtype));
}

/// An axis of Q, K, V, O or a statistic.
void check_extent(std::string_view name, const TensorView& view, int axis, std::int64_t expected,
                  std::string_view why) {
  if (view.shape[axis] != expected)
    reject("{}: axis {} ({}) has extent {}, expected {}{}", name, axis, matrix_axes[axis],
           view.shape[axis], expected, why);
}

/// Kernels reach a head's elements by 32-bit offsets.
void check_head(std::string_view name, const TensorView& view) {
  if (view.elements() == 0) return;
  const int last = view.rank - 1;
  if (last == 3 && view.shape[last] > 1 && view.strides[last] != 1)
    reject("{}: the last axis has stride {}, expected 1 (contiguous)", name, view.strides[last]);
  std::int64_t span = 1;
  for (int axis = 2; axis <= last; ++axis) {
    const std::int64_t steps = view.shape[axis] - 1, stride = view.strides[axis];
    if (steps > 0 && (stride > int_max || stride < -int_max || steps * std::abs(stride) > int_max))
      reject("{}: one head spans 2^31 elements or more ({} rows, {} apart)", name, view.shape[2],
             view.strides[2]);
    span += steps > 0 ? steps * std::abs(stride) : 0;
  }
  if (span > int_max) reject("{}: one head spans {} elements, expected less than 2^31", name, span);
}

void check_written_once(std::string_view name, const TensorView& view) {
  if (view.elements() == 0) return;
  for (int axis = 0; axis < view.rank; ++axis)
    if (view.shape[axis] > 1 && view.strides[axis] == 0)
      reject("{}: axis {} has stride 0, but each of its {} elements is written", name, axis,
             view.shape[axis]);
}

void check_absent(std::string_view name, const TensorView& view, std::string_view why) {
  if (view.present()) reject("{} is given, but {}", name, why);
}

/// i32, one per sequence or one more.
void check_vector(std::string_view name, const TensorView& view, std::int64_t extent) {
  check_view(name, view, DType::i32, 1, true);
  if (view.shape[0] != extent) reject("{} has extent {}, expected {}", name, view.shape[0], extent);
}

Shape bind_shape(const Spec& spec, const Args& args, bool with_data) {
  check_view("Q", args.q, spec.dtype, 4, with_data);
  check_view("K", args.k, spec.dtype, 4, with_data);
  Shape shape{args.q.shape[0], args.q.shape[1], args.k.shape[1], args.q.shape[2], args.k.shape[2]};
  check_extent("Q", args.q, 3, spec.head_dim, " (head_dim)");
  check_extent("K", args.k, 3, spec.head_dim, " (head_dim)");
  const bool packed = spec.lengths == Lengths::packed;
  if (packed) check_extent("Q", args.q, 0, 1, " (packed sequences stand in one batch)");
  check_extent("K", args.k, 0, args.q.shape[0], ", as Q has");
  if (shape.kv_heads == 0 ? shape.heads != 0 : shape.heads % shape.kv_heads != 0)
    reject("Q has {} heads, expected a multiple of the {} heads of K and V", shape.heads,
           shape.kv_heads);
  check_head("Q", args.q);
  check_head("K", args.k);
  if (!packed) return shape;
  const TensorView& starts = args.cu_seqlens_q;
  check_view("cu_seqlens_q", starts, DType::i32, 1, true);
  if (starts.shape[0] < 1)
    reject("cu_seqlens_q has no elements, expected one more than there are sequences");
  check_vector("cu_seqlens_k", args.cu_seqlens_k, starts.shape[0]);
  shape.batch = starts.shape[0] - 1;
  return shape;
}

/// Softmax has lse; entmax has zmax and gap, and the escort.
template <class Check>
void check_statistic(const Spec& spec, const Args& args, const Check& check_output) {
  const bool entmax = is_entmax(spec.pattern.tree());
  const auto check = [&](std::string_view name, const TensorView& view, bool of_entmax) {
    if (!spec.statistic)
      check_absent(name, view, "the spec does not ask for the statistic");
    else if (entmax == of_entmax)
      check_output(name, view, DType::f32, 3);
    else
      check_absent(
          name, view,
          entmax ? "the statistic of entmax is zmax and gap" : "the statistic of softmax is lse");
  };
  check("lse", args.lse, false);
  check("zmax", args.zmax, true);
  check("gap", args.gap, true);
  if (spec.escort && !entmax)
    reject("the spec asks for escort, but {} weighs by softmax: there it is O",
           spec.pattern.tree().name);
  if (spec.escort)
    check_output("escort", args.escort, spec.output.value_or(spec.dtype), 4);
  else
    check_absent("escort", args.escort, "the spec does not ask for it");
}

void check_values_and_outputs(const Spec& spec, const Args& args, const Shape& shape, Needs needs) {
  const std::int64_t batch = args.q.shape[0];
  check_view("V", args.v, spec.dtype, 4, true);
  check_extent("V", args.v, 0, batch, ", as Q has");
  check_extent("V", args.v, 1, shape.kv_heads, ", as K has");
  check_extent("V", args.v, 2, shape.keys, ", as K has");
  check_extent("V", args.v, 3, spec.value_dim, " (value_dim)");
  check_head("V", args.v);
  if (needs != Needs::everything) return;

  const auto check_output = [&](std::string_view name, const TensorView& view, DType dtype,
                                int rank) {
    check_view(name, view, dtype, rank, true);
    check_extent(name, view, 0, batch, ", as Q has");
    check_extent(name, view, 1, shape.heads, ", as Q has");
    check_extent(name, view, 2, shape.queries, ", as Q has");
    if (rank == 4) check_extent(name, view, 3, spec.value_dim, " (value_dim)");
    check_head(name, view);
    check_written_once(name, view);
  };
  check_output("O", args.o, spec.output.value_or(spec.dtype), 4);
  check_statistic(spec, args, check_output);
}

void check_lengths(const Spec& spec, const Args& args, const Shape& shape) {
  if (spec.lengths == Lengths::padded) {
    if (args.q_lens.present()) check_vector("q_lens", args.q_lens, shape.batch);
    if (args.k_lens.present()) check_vector("k_lens", args.k_lens, shape.batch);
  } else {
    check_absent("q_lens", args.q_lens, "the lengths of the spec are not padded");
    check_absent("k_lens", args.k_lens, "the lengths of the spec are not padded");
  }
  if (spec.lengths != Lengths::packed) {
    check_absent("cu_seqlens_q", args.cu_seqlens_q, "the lengths of the spec are not packed");
    check_absent("cu_seqlens_k", args.cu_seqlens_k, "the lengths of the spec are not packed");
  }
  if (!args.offsets.present()) return;
  if (args.offset) reject("offset and offsets are both given, expected one of them");
  check_vector("offsets", args.offsets, shape.batch);
}

/// What a param holds, from what the caller gave: an i32 may stand for an f32 that is equal to it.
std::uint32_t bits_of(const Param& param, const Literal& value) {
  const auto type = static_cast<Type>(value.index());
  if (param.type == Type::f32 && type == Type::i32) {
    const std::int32_t integer = std::get<std::int32_t>(value);
    const auto real = static_cast<float>(integer);
    if (static_cast<double>(real) != integer)
      reject("param '{}' is f32, which cannot hold {} exactly", param.name, integer);
    return std::bit_cast<std::uint32_t>(real);
  }
  if (type != param.type)
    reject("param '{}': expected {}, got {}", param.name, name_of(param.type), name_of(type));
  if (const auto* real = std::get_if<float>(&value)) return std::bit_cast<std::uint32_t>(*real);
  if (const auto* integer = std::get_if<std::int32_t>(&value))
    return static_cast<std::uint32_t>(*integer);
  return std::get<bool>(value) ? 1 : 0;
}

/// The index of each declared name in `given`, or -1: names that are unknown or given twice are
/// errors.
template <class Declared, class Given>
std::vector<int> match_names(std::string_view what, const Pattern& pattern,
                             const std::vector<Declared>& declared, const Given& given) {
  std::vector<int> found(declared.size(), -1);
  std::vector<std::string_view> names;
  for (const Declared& each : declared) names.push_back(each.name);
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto at = std::ranges::find(names, given[i].name);
    if (at == names.end())
      reject("pattern '{}' has no {} '{}'{}", pattern.name, what, given[i].name,
             suggestion(given[i].name, names));
    int& index = found[static_cast<std::size_t>(at - names.begin())];
    if (index >= 0) reject("{} '{}' is given twice", what, given[i].name);
    index = static_cast<int>(i);
  }
  return found;
}

std::vector<std::uint32_t> bind_params(const Pattern& pattern, const Args& args) {
  const auto found = match_names("param", pattern, pattern.params, args.params);
  std::vector<std::uint32_t> bits;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Param& param = pattern.params[i];
    if (found[i] < 0 && !param.initial)
      reject("param '{}' is not given and has no default", param.name);
    bits.push_back(bits_of(param, found[i] < 0 ? *param.initial : args.params[found[i]].value));
  }
  const Weights& weights = pattern.weights;
  if (weights.kind == WeightsKind::entmax && pattern.graph[weights.alpha].op == Op::param) {
    const std::uint32_t index = pattern.graph[weights.alpha].payload;
    const float alpha = std::bit_cast<float>(bits[index]);
    if (!is_alpha(alpha))
      reject("param '{}', the alpha of entmax, is {}, expected 1 or a value in [1.01, 2]",
             pattern.params[index].name, alpha);
  }
  return bits;
}

struct Extent {
  std::int64_t value;
  bool broadcasts;
};

Extent extent_of(const Axis& axis, const Shape& shape) {
  switch (axis.kind) {
    case AxisKind::batch:
      return {shape.batch, true};
    case AxisKind::head:
      return {shape.heads, true};
    case AxisKind::kv_head:
      return {shape.kv_heads, true};
    case AxisKind::query:
      return {shape.queries, false};
    case AxisKind::key:
      return {shape.keys, false};
    default:
      return {axis.extent, false};
  }
}

void check_tensor(const Spec& spec, const Tensor& tensor, const TensorView& view,
                  const Shape& shape) {
  const std::string name = fmt::format("tensor '{}'", tensor.name);
  check_view(name, view, storage_of(spec, tensor), static_cast<int>(tensor.axes.size()), true);
  for (std::size_t axis = 0; axis < tensor.axes.size(); ++axis) {
    const AxisKind kind = tensor.axes[axis].kind;
    if (kind == AxisKind::any) continue;
    const Extent expected = extent_of(tensor.axes[axis], shape);
    const std::int64_t extent = view.shape[axis];
    if (extent == expected.value || (expected.broadcasts && extent == 1)) continue;
    reject("{}: axis {} ({}) has extent {}, expected {}{}", name, axis,
           kind == AxisKind::fixed ? "fixed" : name_of(kind), extent, expected.value,
           expected.broadcasts && expected.value != 1 ? " (or 1 to broadcast)" : "");
  }
}

std::vector<TensorView> bind_tensors(const Spec& spec, const Args& args, const Shape& shape) {
  const Pattern& pattern = spec.pattern.tree();
  const auto found = match_names("tensor", pattern, pattern.tensors, args.tensors);
  std::vector<TensorView> views;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i] < 0)
      reject("tensor '{}' of pattern '{}' is not given", pattern.tensors[i].name, pattern.name);
    const TensorView& view = args.tensors[found[i]].view;
    check_tensor(spec, pattern.tensors[i], view, shape);
    views.push_back(view);
  }
  return views;
}

}  // namespace

Call bind(const Spec& spec, const Args& args, Needs needs) {
  check_spec(spec);
  Call call;
  call.shape = bind_shape(spec, args, needs != Needs::shapes);
  if (needs != Needs::shapes) check_values_and_outputs(spec, args, call.shape, needs);
  check_lengths(spec, args, call.shape);
  call.scale =
      args.scale.value_or(static_cast<float>(1 / std::sqrt(static_cast<double>(spec.head_dim))));
  if (!std::isfinite(call.scale)) reject("scale is {}, expected a finite number", call.scale);
  call.has_offset = args.offset.has_value();
  call.offset = args.offset.value_or(0);
  call.params = bind_params(spec.pattern.tree(), args);
  call.tensors = bind_tensors(spec, args, call.shape);
  return call;
}

}  // namespace lacuna::ir
