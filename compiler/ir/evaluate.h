#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "compiler/ir/pattern.h"

namespace lacuna::ir {

/// A value while evaluating. f32 expressions that depend on score are f64 (design §2, Rounding); others are
/// f32-rounded, stored in `real` exactly.
struct Value {
  std::int32_t integer = 0;  ///< bool as 0/1, i32
  double real = 0;           ///< f32
};

/// Where an expression is evaluated: one (b, h, q, k), as positions.
struct Site {
  std::int32_t b = 0, h = 0, g = 0, q = 0, k = 0;
  std::int32_t q_len = 0, k_len = 0, batch = 0, heads = 0, kv_heads = 0, head_dim = 0;
  double score = 0;
};

/// What a pattern reads besides the site. Indices are as the program computed them: a `query` axis is given the
/// position q, which the reader turns into a row; an index outside throws Error{argument} naming tensor, axis, index.
class Bindings {
 public:
  virtual ~Bindings() = default;
  virtual Value param(std::uint32_t index) const = 0;
  virtual Value read(std::uint32_t tensor, std::span<const std::int32_t> indices, const Site& site) const = 0;
};

/// The meaning of the language, element by element: `and`, `or`, `where` evaluate only what they need.
/// Shares nothing with code generation beyond the graph.
Value evaluate(const Graph& graph, NodeId node, const Site& site, const Bindings& bindings);

/// Whether query and key of the site may meet: all masks, in order, stopping at the first false.
bool attends(const Pattern& pattern, const Site& site, const Bindings& bindings);

}  // namespace lacuna::ir
