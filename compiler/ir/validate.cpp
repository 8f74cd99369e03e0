#include "compiler/ir/call.h"
#include "compiler/ir/element.h"
#include "compiler/ir/reject.h"

#include <fmt/ranges.h>

#include <limits>

namespace lacuna::ir {
namespace {

void check_within(std::string_view name, const TensorView& lengths, std::int64_t rows) {
  for (std::int64_t i = 0; i < lengths.shape[0]; ++i) {
    const auto length = load<std::int32_t>(lengths.data, i * lengths.strides[0]);
    if (length < 0 || length > rows)
      reject("{}[{}] is {}, expected 0 to {}", name, i, length, rows);
  }
}

void check_starts(std::string_view name, const TensorView& starts, std::int64_t total) {
  std::int32_t before = 0;
  for (std::int64_t i = 0; i < starts.shape[0]; ++i) {
    const auto start = load<std::int32_t>(starts.data, i * starts.strides[0]);
    if (i == 0 && start != 0) reject("{}[0] is {}, expected 0", name, start);
    if (start < before)
      reject("{}[{}] is {}, expected at least the {} before it", name, i, start, before);
    before = start;
  }
  if (before != total)
    reject("{}[{}] is {}, expected the number of rows, {}", name, starts.shape[0] - 1, before,
           total);
}

/// Calls visit(element offset, index) for every element of a view, in row-major order.
template <class Visit>
void for_each_element(const TensorView& view, Visit visit) {
  if (view.elements() == 0) return;
  std::vector<std::int64_t> index(static_cast<std::size_t>(view.rank), 0);
  for (;;) {
    std::int64_t offset = 0;
    for (int axis = 0; axis < view.rank; ++axis) offset += index[axis] * view.strides[axis];
    visit(offset, index);
    int axis = view.rank - 1;
    while (axis >= 0 && ++index[axis] == view.shape[axis]) index[axis--] = 0;
    if (axis < 0) return;
  }
}

void check_ids(const Tensor& tensor, const TensorView& view) {
  using Limits = std::numeric_limits<std::int32_t>;
  for_each_element(view, [&](std::int64_t offset, const auto& index) {
    const auto id = load<std::int64_t>(view.data, offset);
    if (id < Limits::min() || id > Limits::max())
      reject("tensor '{}' is {} at [{}], which does not fit i32", tensor.name, id,
             fmt::join(index, ", "));
  });
}

void check_alphas(const Tensor& tensor, const TensorView& view) {
  for_each_element(view, [&](std::int64_t offset, const auto& index) {
    const float alpha = load_real(view.dtype, view.data, offset);
    if (!is_alpha(alpha))
      reject("tensor '{}', the alpha of entmax, is {} at [{}], expected 1 or a value in [1.01, 2]",
             tensor.name, alpha, fmt::join(index, ", "));
  });
}

}  // namespace

void validate_lengths(const Spec& spec, const Args& args, const Call& call) {
  if (args.q_lens.present()) check_within("q_lens", args.q_lens, call.shape.queries);
  if (args.k_lens.present()) check_within("k_lens", args.k_lens, call.shape.keys);
  if (spec.lengths != Lengths::packed) return;
  check_starts("cu_seqlens_q", args.cu_seqlens_q, call.shape.queries);
  check_starts("cu_seqlens_k", args.cu_seqlens_k, call.shape.keys);
}

void validate_values(const Spec& spec, const Args& args, const Call& call) {
  validate_lengths(spec, args, call);
  const Pattern& pattern = spec.pattern.tree();
  for (std::size_t i = 0; i < call.tensors.size(); ++i)
    if (call.tensors[i].dtype == DType::i64) check_ids(pattern.tensors[i], call.tensors[i]);
  const Weights& weights = pattern.weights;
  if (weights.kind != WeightsKind::entmax || pattern.graph[weights.alpha].op != Op::read) return;
  const std::uint32_t alpha = pattern.graph[weights.alpha].payload;
  check_alphas(pattern.tensors[alpha], call.tensors[alpha]);
}

}  // namespace lacuna::ir
