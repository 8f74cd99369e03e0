#include "compiler/ir/bindings.h"

#include "compiler/ir/element.h"
#include "compiler/ir/reject.h"
#include "compiler/ir/scalar.h"

#include <bit>

namespace lacuna::ir {
namespace {

Value value_of_bits(Type type, std::uint32_t bits) {
  if (type == Type::f32) return {0, std::bit_cast<float>(bits)};
  return {static_cast<std::int32_t>(bits), 0};
}

bool broadcasts(AxisKind kind) {
  return kind == AxisKind::batch || kind == AxisKind::head || kind == AxisKind::kv_head;
}

}  // namespace

CallBindings::CallBindings(const Pattern& pattern, const Call& call,
                           const std::vector<Sequence>& sequences, bool packed)
    : pattern_(pattern), call_(call), sequences_(sequences), packed_(packed) {
  for (std::size_t i = 0; i < call.params.size(); ++i)
    params_.push_back(value_of_bits(pattern.params[i].type, call.params[i]));
}

/// The part of an axis that a sequence owns: packed axes hold all sequences end to end.
CallBindings::Rows CallBindings::rows_of(const Axis& axis, std::int64_t extent,
                                         const Sequence& sequence) const {
  if (packed_ && axis.kind == AxisKind::query) return {sequence.q_start, sequence.q_len};
  if (packed_ && axis.kind == AxisKind::key) return {sequence.k_start, sequence.k_len};
  return {0, extent};
}

Value CallBindings::read(std::uint32_t tensor, std::span<const std::int32_t> indices,
                         const Site& site) const {
  const Tensor& declared = pattern_.tensors[tensor];
  const TensorView& view = call_.tensors[tensor];
  const Sequence& sequence = sequences_[static_cast<std::size_t>(site.b)];
  std::int64_t offset = 0;
  for (std::size_t axis = 0; axis < indices.size(); ++axis) {
    const AxisKind kind = declared.axes[axis].kind;
    if (broadcasts(kind) && view.shape[axis] == 1) continue;
    const Rows rows = rows_of(declared.axes[axis], view.shape[axis], sequence);
    const std::int32_t index =
        kind == AxisKind::query ? scalar::wrap_sub(indices[axis], sequence.offset) : indices[axis];
    if (index < 0 || index >= rows.extent) reject_read(tensor, axis, index, rows.extent, site);
    offset += (rows.first + index) * view.strides[axis];
  }
  if (declared.type == Type::f32) return {0, load_real(view.dtype, view.data, offset)};
  const std::int64_t integer = load_integer(view.dtype, view.data, offset);
  if (declared.type == Type::boolean) return {integer != 0};
  if (integer != static_cast<std::int32_t>(integer))
    reject("tensor '{}' holds {}, which does not fit i32", declared.name, integer);
  return {static_cast<std::int32_t>(integer)};
}

std::int64_t CallBindings::extent(std::uint32_t tensor, std::size_t axis, const Site& site) const {
  return rows_of(pattern_.tensors[tensor].axes[axis], call_.tensors[tensor].shape[axis],
                 sequences_[static_cast<std::size_t>(site.b)])
      .extent;
}

void CallBindings::reject_read(std::uint32_t tensor, std::size_t axis, std::int64_t index,
                               std::int64_t extent, const Site& site) const {
  const Tensor& declared = pattern_.tensors[tensor];
  reject("tensor '{}' is read outside: axis {} ({}) has extent {}, index {} at b={} h={} q={} k={}",
         declared.name, axis, name_of(declared.axes[axis].kind), extent, index, site.b, site.h,
         site.q, site.k);
}

}  // namespace lacuna::ir
