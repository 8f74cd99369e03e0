#include "compiler/ir/call.h"

#include "compiler/ir/element.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace lacuna::fuzz {
namespace {

using Extents = std::vector<std::int64_t>;

class CallMaker {
 public:
  CallMaker(Random& random, const Spec& spec, const Shape& shape, Reliance reliance)
      : draw_(random), spec_(spec), pattern_(spec.pattern.tree()), reliance_(reliance) {
    call_.shape = shape;
  }

  OwnedCall run() {
    make_lengths();
    make_offset();
    make_matrices();
    if (draw_.chance(0.3)) call_.args.scale = static_cast<float>(draw_.between(0.05, 0.5));
    for (const ir::Param& param : pattern_.params)
      if (!param.initial || draw_.chance(0.5))
        call_.params.push_back({param.name, value_of(param.type)});
    for (const ir::Tensor& tensor : pattern_.tensors) make_tensor(tensor);
    call_.args.params = call_.params;
    call_.args.tensors = call_.tensors;
    return std::move(call_);
  }

 private:
  /// Memory for a view with random strides: axes in any order (the last one stays last where
  /// `rows`), gaps between rows, a start that need not be aligned to more than an element. Every
  /// byte is 0xff: NaN as a float.
  TensorView lay_out(DType dtype, const Extents& extents, bool rows) {
    TensorView view{nullptr, dtype, static_cast<int>(extents.size()), {}, {}};
    std::vector<int> order(extents.size());
    std::iota(order.rbegin(), order.rend(), 0);  // innermost first
    const std::size_t fixed = rows ? 1 : 0;
    if (draw_.chance(0.5))
      for (std::size_t i = order.size(); i > fixed + 1; --i)
        std::swap(
            order[i - 1],
            order[fixed + static_cast<std::size_t>(draw_.below(static_cast<int>(i - fixed)))]);
    std::int64_t stride = 1;
    for (int axis : order) {
      const auto at = static_cast<std::size_t>(axis);
      view.shape[at] = extents[at];
      view.strides[at] = stride;
      stride = stride * std::max<std::int64_t>(extents[at], 1) +
               (draw_.chance(0.25) ? draw_.of({1, 3, 8}) : 0);
    }
    const int lead = draw_.chance(0.25) ? draw_.between(1, 8) : 0;
    const auto bytes = static_cast<std::size_t>((stride + lead) * size_of(dtype));
    auto& memory = call_.memory.emplace_back(new std::byte[bytes]);
    std::fill_n(memory.get(), bytes, std::byte{0xff});
    view.data = memory.get() + lead * size_of(dtype);
    return view;
  }

  TensorView vector_of(const std::vector<std::int32_t>& values) {
    TensorView view = lay_out(DType::i32, {static_cast<std::int64_t>(values.size())}, false);
    for (std::size_t i = 0; i < values.size(); ++i)
      ir::store(view.data, static_cast<std::int64_t>(i) * view.strides[0], values[i]);
    return view;
  }

  void make_lengths() {
    const auto lengths = [&](std::int64_t rows) {
      std::vector<std::int32_t> values;
      for (std::int64_t b = 0; b < call_.shape.batch; ++b)
        values.push_back(draw_.below(static_cast<int>(rows) + 1));
      return values;
    };
    const auto starts = [&](std::int64_t rows) {
      std::vector<std::int32_t> values = lengths(rows);
      values.push_back(static_cast<std::int32_t>(rows));
      values[0] = 0;
      if (call_.shape.batch == 0) values = {0};
      std::ranges::sort(values);
      return values;
    };
    const auto set = [&](TensorView& view, std::vector<std::int32_t>& held, std::string_view name,
                         const std::vector<std::int32_t>& values) {
      held = values;
      view = vector_of(held);
      call_.notes.push_back(fmt::format("{} = {}", name, listed(held)));
    };
    const bool own = reliance_ == Reliance::positions;  // as many queries as keys
    if (spec_.lengths == Lengths::packed) {
      set(call_.args.cu_seqlens_q, q_lens_, "cu_seqlens_q", starts(call_.shape.queries));
      set(call_.args.cu_seqlens_k, k_lens_, "cu_seqlens_k",
          own ? q_lens_ : starts(call_.shape.keys));
    }
    if (spec_.lengths != Lengths::padded) return;
    if (own || draw_.chance(0.8))
      set(call_.args.q_lens, q_lens_, "q_lens", lengths(call_.shape.queries));
    if (own || draw_.chance(0.8))
      set(call_.args.k_lens, k_lens_, "k_lens", own ? q_lens_ : lengths(call_.shape.keys));
  }

  static std::string listed(const std::vector<std::int32_t>& values) {
    return fmt::format("{}", fmt::join(values, " "));
  }

  void make_offset() {
    const double kind = draw_.unit();
    if (kind < 0.5 || reliance_ == Reliance::positions) return;
    if (kind < 0.75) {
      call_.args.offset = draw_.between(-5, 9);
      call_.notes.push_back(fmt::format("offset = {}", *call_.args.offset));
      return;
    }
    std::vector<std::int32_t> offsets;
    for (std::int64_t b = 0; b < call_.shape.batch; ++b) offsets.push_back(draw_.between(-5, 9));
    call_.args.offsets = vector_of(offsets);
    call_.notes.push_back(fmt::format("offsets = {}", listed(offsets)));
  }

  /// Rows beyond a padded sequence keep their NaN: nobody may read them.
  TensorView matrix(std::int64_t heads, std::int64_t rows, std::int64_t width,
                    const std::vector<std::int32_t>& lens) {
    const bool packed = spec_.lengths == Lengths::packed;
    const std::int64_t batch = packed ? 1 : call_.shape.batch;
    TensorView view = lay_out(spec_.dtype, {batch, heads, rows, width}, true);
    for (std::int64_t b = 0; b < batch; ++b) {
      const bool padded = spec_.lengths == Lengths::padded && !lens.empty();
      const std::int64_t present = padded ? lens[static_cast<std::size_t>(b)] : rows;
      for (std::int64_t h = 0; h < heads; ++h)
        for (std::int64_t i = 0; i < present; ++i)
          for (std::int64_t d = 0; d < width; ++d)
            ir::store_real(view.dtype, view.data,
                           b * view.strides[0] + h * view.strides[1] + i * view.strides[2] + d,
                           draw_.normal());
    }
    return view;
  }

  void make_matrices() {
    const Shape& shape = call_.shape;
    call_.args.q = matrix(shape.heads, shape.queries, spec_.head_dim, q_lens_);
    call_.args.k = matrix(shape.kv_heads, shape.keys, spec_.head_dim, k_lens_);
    call_.args.v = matrix(shape.kv_heads, shape.keys, spec_.value_dim, k_lens_);
    const std::int64_t batch = spec_.lengths == Lengths::packed ? 1 : shape.batch;
    const auto values = [&] {
      return lay_out(spec_.output.value_or(spec_.dtype),
                     {batch, shape.heads, shape.queries, spec_.value_dim}, true);
    };
    call_.args.o = values();
    if (spec_.escort) call_.args.escort = values();
    if (!spec_.statistic) return;
    const auto statistic = [&] {
      return lay_out(DType::f32, {batch, shape.heads, shape.queries}, false);
    };
    if (ir::is_entmax(spec_.pattern.tree())) {
      call_.args.zmax = statistic();
      call_.args.gap = statistic();
    } else {
      call_.args.lse = statistic();
    }
  }

  Literal value_of(ir::Type type) {
    switch (type) {
      case ir::Type::boolean:
        return draw_.chance(0.5);
      case ir::Type::i32:
        return std::int32_t{draw_.between(-4, 40)};
      case ir::Type::f32:
        break;
    }
    return static_cast<float>(draw_.between(-2.0, 2.0));
  }

  std::int64_t extent_of(const ir::Axis& axis) {
    const Shape& shape = call_.shape;
    const auto or_one = [&](std::int64_t extent) {
      return draw_.chance(0.25) ? std::int64_t{1} : extent;
    };
    switch (axis.kind) {
      case ir::AxisKind::batch:
        return or_one(shape.batch);
      case ir::AxisKind::head:
        return or_one(shape.heads);
      case ir::AxisKind::kv_head:
        return or_one(shape.kv_heads);
      case ir::AxisKind::query:
        return shape.queries;
      case ir::AxisKind::key:
        return shape.keys;
      case ir::AxisKind::fixed:
        return axis.extent;
      case ir::AxisKind::any:
        return (reliance_ == Reliance::positions ? shape.keys : least_any_extent) + draw_.below(4);
    }
    return 0;
  }

  std::int64_t integer_for(DType dtype) {
    switch (dtype) {
      case DType::boolean:
        return draw_.below(2);
      case DType::u8:
        return draw_.below(7);
      case DType::i32:
      case DType::i64:
        if (draw_.chance(0.03))
          return draw_.of(
              {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()});
        [[fallthrough]];
      default:
        return draw_.between(-2, 6);
    }
  }

  /// What one tensor of ids, positions or bits holds, in the order of its elements.
  std::function<std::int64_t()> lifelike() {
    switch (draw_.below(4)) {
      case 0:
        return [this] { return draw_.below(4); };
      case 1:
        return [this, id = 0]() mutable { return id = (id + draw_.chance(0.08)) % 5; };
      case 2:
        return [this] { return draw_.below(static_cast<int>(call_.shape.keys) + 1); };
      default:
        return [this] { return static_cast<std::int32_t>(draw_.bits()); };
    }
  }

  void make_tensor(const ir::Tensor& tensor) {
    Extents extents;
    for (const ir::Axis& axis : tensor.axes) extents.push_back(extent_of(axis));
    const auto value = reliance_ == Reliance::positions && tensor.type == ir::Type::i32
                           ? lifelike()
                           : std::function<std::int64_t()>{};
    const DType dtype = ir::storage_of(spec_, tensor);
    const TensorView view = lay_out(dtype, extents, false);
    Extents index(extents.size(), 0);
    for (std::int64_t left = view.elements(); left > 0; --left) {
      std::int64_t offset = 0;
      for (std::size_t axis = 0; axis < index.size(); ++axis)
        offset += index[axis] * view.strides[axis];
      const bool two_valued = tensor.type == ir::Type::boolean;
      if (ir::is_real(dtype))
        ir::store_real(dtype, view.data, offset, draw_.normal());
      else
        ir::store_integer(dtype, view.data, offset,
                          two_valued ? draw_.below(2)
                          : value    ? value()
                                     : integer_for(dtype));
      for (std::size_t axis = index.size(); axis-- > 0;) {
        if (++index[axis] < extents[axis]) break;
        index[axis] = 0;
      }
    }
    call_.tensors.push_back({tensor.name, view});
  }

  Draw draw_;
  const Spec& spec_;
  const ir::Pattern& pattern_;
  const Reliance reliance_;
  OwnedCall call_;
  std::vector<std::int32_t> q_lens_, k_lens_;
};

}  // namespace

OwnedCall random_call(Random& random, const Spec& spec, const Shape& shape, Reliance reliance) {
  return CallMaker(random, spec, shape, reliance).run();
}

std::map<std::string, DType, std::less<>> random_storage(Random& random,
                                                         const ir::Pattern& pattern) {
  Draw draw(random);
  std::map<std::string, DType, std::less<>> storage;
  for (const ir::Tensor& tensor : pattern.tensors) {
    if (draw.chance(0.4)) continue;
    switch (tensor.type) {
      case ir::Type::boolean:
        storage[tensor.name] = draw.of({DType::boolean, DType::u8});
        break;
      case ir::Type::i32:
        storage[tensor.name] = draw.of({DType::i8, DType::u8, DType::i16, DType::i32, DType::i64});
        break;
      case ir::Type::f32:
        storage[tensor.name] = draw.of({DType::f32, DType::f16, DType::bf16});
        break;
    }
  }
  return storage;
}

}  // namespace lacuna::fuzz
