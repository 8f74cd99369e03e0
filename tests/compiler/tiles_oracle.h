#pragma once
#include "compiler/ir/bindings.h"
#include "compiler/ir/element.h"
#include "compiler/plan/classify.h"
#include "compiler/plan/conjunct.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

/// Classified tiles against every element of the mask, and tensors to classify by.
namespace lacuna::tests {

inline std::vector<ir::NodeId> expressions(const ir::Pattern& pattern) {
  std::vector<ir::NodeId> nodes;
  for (const plan::Conjunct& c : plan::conjuncts_of(pattern)) nodes.push_back(c.expr);
  return nodes;
}

/// A call, and what reads it.
struct Bound {
  Bound(const Spec& spec, fuzz::OwnedCall& owned)
      : pattern(spec.pattern.tree()),
        call(ir::bind(spec, owned.args)),
        sequences(ir::sequences_of(spec, owned.args, call)),
        bindings(pattern, call, sequences, spec.lengths == Lengths::packed) {}

  ir::Site site(int b, int h) const {
    const ir::Sequence& s = sequences[static_cast<std::size_t>(b)];
    const auto i32 = [](std::int64_t x) { return static_cast<std::int32_t>(x); };
    return {.b = b,
            .h = h,
            .g = h / i32(call.shape.heads / call.shape.kv_heads),
            .q_len = i32(s.q_len),
            .k_len = i32(s.k_len),
            .batch = i32(call.shape.batch),
            .heads = i32(call.shape.heads),
            .kv_heads = i32(call.shape.kv_heads),
            .head_dim = 8};
  }

  const ir::Pattern& pattern;
  ir::Call call;
  std::vector<ir::Sequence> sequences;
  ir::CallBindings bindings;
};

/// Which pairs of one head attend: rows x keys.
inline std::vector<std::uint8_t> live_pairs(const Bound& bound, ir::Site site,
                                            std::int32_t offset) {
  ir::Evaluator evaluator(bound.pattern.graph, bound.bindings);
  std::vector<std::uint8_t> live;
  for (int i = 0; i < site.q_len; ++i) {
    site.q = i + offset;
    evaluator.move_to(site);
    for (int k = 0; k < site.k_len; ++k) {
      evaluator.move_to_key(k);
      live.push_back(evaluator.attends(bound.pattern.masks));
    }
  }
  return live;
}

struct Tally {
  int tiles = 0, visited = 0, needed = 0;  ///< of those that are visited, needed ones
  std::string unsound;
};

/// Of one tile: how many of its pairs live.
inline Tally compare(const plan::TileTruths& tiles, const std::vector<std::uint8_t>& live,
                     const ir::Site& site, int tile_q, int tile_k) {
  Tally tally;
  for (int row = 0; row < tiles.rows; ++row)
    for (int column = 0; column < tiles.columns; ++column) {
      int count = 0, pairs = 0;
      for (int i = row * tile_q; i < std::min((row + 1) * tile_q, site.q_len); ++i)
        for (int k = column * tile_k; k < std::min((column + 1) * tile_k, site.k_len); ++k)
          ++pairs, count += live[static_cast<std::size_t>(i) * site.k_len + k];
      const plan::Truth truth = tiles.at(row, column);
      ++tally.tiles;
      tally.visited += truth != plan::Truth::none;
      tally.needed += count > 0;
      if ((truth == plan::Truth::none && count > 0) || (truth == plan::Truth::all && count < pairs))
        tally.unsound = fmt::format("tile {},{} of {}x{} is said to be {}, but {} of {} pairs live",
                                    row, column, tile_q, tile_k,
                                    truth == plan::Truth::none ? "none" : "all", count, pairs);
    }
  return tally;
}

inline Tally check_head(const Bound& bound, int b, int h, int tile_q, int tile_k) {
  const ir::Site site = bound.site(b, h);
  const std::int32_t offset = bound.sequences[static_cast<std::size_t>(b)].offset;
  const plan::SpanProgram program = plan::span_program(bound.pattern, expressions(bound.pattern));
  const plan::TileTruths tiles =
      plan::classify_tiles(bound.pattern, program, site, offset, bound.bindings, tile_q, tile_k);
  return compare(tiles, live_pairs(bound, site, offset), site, tile_q, tile_k);
}

using Indices = std::vector<std::int64_t>;
/// The element of a tensor, by its name and indices.
using Content = std::function<std::int64_t(const std::string&, const Indices&)>;

/// Axes of any extent are given 20 elements.
inline void resize(fuzz::OwnedCall& owned, const ir::Tensor& declared, TensorView& view) {
  if (std::ranges::none_of(declared.axes,
                           [](const ir::Axis& axis) { return axis.kind == ir::AxisKind::any; }))
    return;
  std::int64_t stride = 1;
  for (std::size_t axis = declared.axes.size(); axis-- > 0;) {
    if (declared.axes[axis].kind == ir::AxisKind::any) view.shape[axis] = 20;
    view.strides[axis] = stride;
    stride *= view.shape[axis];
  }
  view.data = owned.memory.emplace_back(new std::byte[stride * size_of(view.dtype)]).get();
}

inline void fill(fuzz::OwnedCall& owned, const ir::Pattern& pattern, const Content& content) {
  for (std::size_t t = 0; t < owned.tensors.size(); ++t) {
    TensorView& view = owned.tensors[t].view;
    Indices at(static_cast<std::size_t>(view.rank), 0);
    for (std::int64_t left = view.elements(); left > 0; --left) {
      std::int64_t offset = 0;
      for (std::size_t axis = 0; axis < at.size(); ++axis) offset += at[axis] * view.strides[axis];
      const std::int64_t value = content(std::string(owned.tensors[t].name), at);
      if (pattern.tensors[t].type == ir::Type::f32)
        ir::store_real(view.dtype, view.data, offset, static_cast<float>(value));
      else
        ir::store_integer(view.dtype, view.data, offset, value);
      for (std::size_t axis = at.size(); axis-- > 0;) {
        if (++at[axis] < view.shape[axis]) break;
        at[axis] = 0;
      }
    }
  }
}

/// Rows of a sequence cut into stretches, numbered upwards.
inline Content stretches(fuzz::Draw& draw) {
  std::vector<std::int64_t> id(1, 0);
  while (id.size() < 4000) id.push_back(id.back() + (draw.chance(0.03) ? draw.between(1, 5) : 0));
  return [id](const std::string&, const Indices& at) { return id.at(at.back()); };
}
/// 0 or 1, with that chance of a 1, the same for the same element.
inline Content chosen(fuzz::Draw& draw, double chance) {
  std::vector<std::int64_t> drawn;
  for (int i = 0; i < 9973; ++i) drawn.push_back(draw.chance(chance));
  return [drawn](const std::string& name, const Indices& at) {
    std::int64_t hash = name.back();
    for (const std::int64_t i : at) hash = (hash * 131 + i) % 9973;
    return drawn[hash];
  };
}

/// Bools from one, everything else from the other.
inline void fill_by_type(fuzz::OwnedCall& owned, const ir::Pattern& pattern, const Content& numbers,
                         const Content& bools) {
  fill(owned, pattern, [&](const std::string& name, const Indices& at) {
    const auto declared = std::ranges::find(pattern.tensors, name, &ir::Tensor::name);
    return declared->type == ir::Type::boolean ? bools(name, at)
           : at.empty()                        ? 3
                                               : numbers(name, at);
  });
}

}  // namespace lacuna::tests
