#include "tools/lacuna/head.h"

#include "tools/lacuna/arguments.h"

#include <fmt/format.h>

namespace lacuna::tool {
namespace {

ir::Site site_of(const ir::Call& call, const ir::Sequence& sequence, int head_dim, std::int64_t b,
                 std::int64_t h) {
  auto i32 = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
  ir::Site site;
  site.b = i32(b);
  site.h = i32(h);
  site.g = i32(h / (call.shape.heads / call.shape.kv_heads));
  site.q_len = i32(sequence.q_len);
  site.k_len = i32(sequence.k_len);
  site.batch = i32(call.shape.batch);
  site.heads = i32(call.shape.heads);
  site.kv_heads = i32(call.shape.kv_heads);
  site.head_dim = head_dim;
  return site;
}

}  // namespace

Head::Head(const Spec& spec, const Args& args, std::int64_t h)
    : call_(ir::bind(spec, args, ir::Needs::shapes)),
      sequences_(ir::sequences_of(spec, args, call_)),
      bindings_(spec.pattern.tree(), call_, sequences_, spec.lengths == Lengths::packed),
      head_dim_(spec.head_dim),
      h_(h) {}

plan::HeadCall Head::sequence(std::int64_t b) const {
  const ir::Sequence& sequence = sequences_.at(static_cast<std::size_t>(b));
  return {site_of(call_, sequence, head_dim_, b, h_), sequence.offset, &bindings_};
}

TensorView shape_only(DType dtype, std::initializer_list<std::int64_t> shape) {
  static std::byte nothing[16];
  TensorView view = TensorView::contiguous(nothing, dtype, shape);
  for (int axis = 0; axis + 1 < view.rank; ++axis) view.strides[axis] = 0;
  return view;
}

TensorView shape_only(DType dtype, const ir::Tensor& tensor, const Shape& shape) {
  TensorView view = shape_only(dtype, {});
  view.rank = static_cast<int>(tensor.axes.size());
  for (int i = 0; i < view.rank; ++i) {
    const ir::Axis& axis = tensor.axes[i];
    view.shape[i] = axis.kind == ir::AxisKind::query   ? shape.queries
                    : axis.kind == ir::AxisKind::key   ? shape.keys
                    : axis.kind == ir::AxisKind::fixed ? axis.extent
                                                       : 1;
  }
  return view;
}

std::int64_t index_below(std::string_view flag, const std::string& text, std::int64_t extent) {
  auto index = parse_integer(text);
  if (index && *index >= 0 && *index < extent) return *index;
  if (extent == 0)
    throw Error(ErrorKind::argument, fmt::format("{} {}: --shape has none", flag, text));
  throw Error(ErrorKind::argument,
              fmt::format("{} {} is not one of 0 to {}", flag, text, extent - 1));
}

}  // namespace lacuna::tool
