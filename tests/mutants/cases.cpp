#include "tests/mutants/cases.h"

#include "compiler/ir/call.h"
#include "compiler/ir/element.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace lacuna::tests {
namespace {

Pattern parse(const std::string& body) {
  return Pattern::parse("attention mutant {\n" + body + "\n}\n", "mutant.lac");
}

std::vector<Case> make_cases() {
  std::vector<Case> all;
  // 97 and 126 are 1 and 30 modulo a tile's 32 keys: for some tile of queries the keys that all of
  // them see begin one behind a tile's begin, or end one before its end, and those that some sees
  // end with a tile's first key, or begin with its last. The last sequence's last query sees the
  // last key.
  all.push_back({.name = "window",
                 .spec = {.pattern = parse("mask causal\nmask window(64)"),
                          .dtype = DType::bf16,
                          .statistic = true},
                 .schedule = "32x32w2s2",
                 .shape = {2, 2, 1, 75, 201},
                 .offsets = {97, 126}});
  all.push_back({.name = "documents",
                 .spec = {.pattern = parse("tensor dq: i32[head, query]\ntensor dk: i32[head, "
                                           "key]\nmask dq[h, q] == dk[h, k]\nweights softmax(sink "
                                           "= 0.5)"),
                          .dtype = DType::f16,
                          .head_dim = 72,
                          .value_dim = 40,
                          .statistic = true,
                          .lengths = Lengths::packed},
                 .schedule = "64x16w2s4",
                 .shape = {3, 2, 1, 120, 150},
                 .q_lens = {0, 37, 50, 120},
                 .k_lens = {0, 60, 60, 150}});
  // With an offset of -3 the first queries see no key; their tile sees some. The first row behind
  // a sequence's keys, 60 or 35, is one that the mask would keep.
  all.push_back(
      {.name = "padding",
       .spec = {.pattern = parse("tensor keep: bool[batch, key]\nmask causal\nmask "
                                 "keep[b, k] or k % 5 == 0 or k == 33\nscore softcap(score, 8.0)"),
                .dtype = DType::f16,
                .output = DType::f32,
                .statistic = true,
                .lengths = Lengths::padded},
       .schedule = "32x16w2s4",
       .shape = {2, 2, 2, 70, 60},
       .aligned = false,
       .q_lens = {70, 41},
       .k_lens = {60, 35},
       .offsets = {-3, 0}});
  all.push_back({.name = "fma",
                 .spec = {.pattern = parse("mask causal"),
                          .dtype = DType::f32,
                          .head_dim = 24,
                          .value_dim = 40,
                          .statistic = true},
                 .schedule = "16x16w2s1",
                 .shape = {1, 2, 1, 37, 50}});
  // Lists of tiles of each head and sequence; the last, ragged tile of keys lies inside the mask.
  // There are more than 32 of them: two warps share a row.
  all.push_back({.name = "listed",
                 .spec = {.pattern = parse("tensor t: i32[head, key]\nmask q // 48 == k // 48 or "
                                           "t[h, k] + k > 1212"),
                          .dtype = DType::f16,
                          .statistic = true},
                 .schedule = "32x32w2s4",
                 .shape = {2, 2, 1, 75, 1225},
                 .offsets = {97, 126},
                 .route = {.listed = true}});
  // A scale that is no unit of scores: FULL tiles, too, go through the code that masks.
  all.push_back(all.back());
  all.back().name = "scaled list";
  all.back().scale = -0.25f;
  // One list for all heads.
  all.push_back({.name = "shared list",
                 .spec = {.pattern = parse("mask q // 24 == k // 24"),
                          .dtype = DType::bf16,
                          .statistic = true,
                          .lengths = Lengths::packed},
                 .schedule = "32x16w2s2",
                 .shape = {3, 2, 1, 120, 150},
                 .q_lens = {0, 37, 50, 120},
                 .k_lens = {0, 60, 60, 150},
                 .route = {.listed = true}});
  // 1000 keys are 8, 16, 32 or 63 tiles: no multiple of 5. Some splits see nothing.
  all.push_back(
      {.name = "decode",
       .spec = {.pattern = parse("mask causal\nmask q - k < 400 or k < 200\nmask (q + k) % 7 "
                                 "!= h\nweights softmax(sink = f32(h))"),
                .dtype = DType::bf16,
                .value_dim = 40,
                .statistic = true},
       .schedule = "32x32w2s2",
       .shape = {2, 4, 2, 3, 1000},
       .route = {true, 5}});
  add_entmax_cases(all);
  return all;
}

class CallMaker {
 public:
  CallMaker(const Case& which, fuzz::Random& random) : which_(which), draw_(random) {
    call_.shape = which.shape;
  }

  fuzz::OwnedCall run() {
    const Spec& spec = which_.spec;
    const Shape& shape = which_.shape;
    Args& args = call_.args;
    const bool packed = spec.lengths == Lengths::packed;
    args.q = matrix('q', shape.heads, shape.queries, spec.head_dim, which_.q_lens);
    args.k = matrix('k', shape.kv_heads, shape.keys, spec.head_dim, which_.k_lens);
    args.v = matrix('v', shape.kv_heads, shape.keys, spec.value_dim, which_.k_lens);
    const std::int64_t batch = packed ? 1 : shape.batch;
    args.o = poisoned(spec.output.value_or(spec.dtype),
                      {batch, shape.heads, shape.queries, spec.value_dim});
    const auto statistic = [&] {
      return poisoned(DType::f32, {batch, shape.heads, shape.queries});
    };
    if (spec.pattern.is_entmax())
      args.zmax = statistic(), args.gap = statistic();
    else
      args.lse = statistic();
    if (spec.escort)
      args.escort = poisoned(spec.output.value_or(spec.dtype),
                             {batch, shape.heads, shape.queries, spec.value_dim});
    (packed ? args.cu_seqlens_q : args.q_lens) = integers(which_.q_lens);
    (packed ? args.cu_seqlens_k : args.k_lens) = integers(which_.k_lens);
    args.offsets = integers(which_.offsets);
    args.scale = which_.scale;
    for (const ir::Tensor& tensor : spec.pattern.tree().tensors) make_tensor(tensor);
    args.tensors = call_.tensors;
    return std::move(call_);
  }

 private:
  TensorView poisoned(DType dtype, std::initializer_list<std::int64_t> extents) {
    std::int64_t elements = which_.aligned ? 0 : 1;  // that lie before the first one
    const std::int64_t lead = elements;
    std::int64_t count = 1;
    for (const std::int64_t extent : extents) count *= extent;
    elements += count;
    const auto bytes = static_cast<std::size_t>(elements * size_of(dtype));
    auto& memory = call_.memory.emplace_back(new std::byte[bytes]);
    std::memset(memory.get(), 0xff, bytes);
    return TensorView::contiguous(memory.get() + lead * size_of(dtype), dtype, extents);
  }

  /// Rows behind the end of a padded sequence stay NaN.
  TensorView matrix(char name, std::int64_t heads, std::int64_t rows, int width,
                    const std::vector<std::int32_t>& lens) {
    const std::int64_t batch = which_.spec.lengths == Lengths::packed ? 1 : which_.shape.batch;
    const TensorView view = poisoned(which_.spec.dtype, {batch, heads, rows, width});
    std::int64_t at = 0;
    for (std::int64_t b = 0; b < batch; ++b)
      for (std::int64_t h = 0; h < heads; ++h)
        for (std::int64_t i = 0; i < rows; ++i)
          for (int d = 0; d < width; ++d, ++at) {
            if (which_.spec.lengths == Lengths::padded && i >= lens[static_cast<std::size_t>(b)])
              continue;
            const double drawn = draw_.normal();
            ir::store_real(view.dtype, view.data, at,
                           which_.value ? which_.value(name, i, d, drawn) : drawn);
          }
    return view;
  }

  TensorView integers(const std::vector<std::int32_t>& values) {
    if (values.empty()) return {};
    TensorView view = poisoned(DType::i32, {static_cast<std::int64_t>(values.size())});
    std::memcpy(view.data, values.data(), values.size() * sizeof(values[0]));
    return view;
  }

  void make_tensor(const ir::Tensor& tensor) {
    const auto extent = [&](ir::AxisKind kind) {
      switch (kind) {
        case ir::AxisKind::batch:
          return which_.shape.batch;
        case ir::AxisKind::head:
          return which_.shape.heads;
        case ir::AxisKind::query:
          return which_.shape.queries;
        case ir::AxisKind::key:
          return which_.shape.keys;
        default:
          throw std::runtime_error("the cases have no tensors with such an axis");
      }
    };
    const TensorView view = poisoned(ir::storage_of(which_.spec, tensor),
                                     {extent(tensor.axes[0].kind), extent(tensor.axes[1].kind)});
    for (std::int64_t i = 0; i < view.elements(); ++i)
      ir::store_integer(view.dtype, view.data, i, draw_.below(2));
    call_.tensors.push_back({tensor.name, view});
  }

  const Case& which_;
  fuzz::Draw draw_;
  fuzz::OwnedCall call_;
};

}  // namespace

const std::vector<Case>& cases() {
  static const std::vector<Case> all = make_cases();
  return all;
}

const Case& case_named(std::string_view name) {
  const auto found = std::ranges::find(cases(), name, &Case::name);
  if (found == cases().end()) throw std::runtime_error(fmt::format("there is no case '{}'", name));
  return *found;
}

fuzz::OwnedCall call_of(const Case& which, fuzz::Random& random) {
  return CallMaker(which, random).run();
}

}  // namespace lacuna::tests
