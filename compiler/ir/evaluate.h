#pragma once
#include "compiler/ir/pattern.h"

#include <cstdint>
#include <span>
#include <vector>

namespace lacuna::ir {

/// A value while evaluating. f32 expressions that depend on score are f64 (design §2, Rounding);
/// others are f32-rounded, stored in `real` exactly.
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

/// What a pattern reads besides the site. Indices are as the program computed them: a `query` axis
/// is given the position q, which the reader turns into a row; an index outside throws
/// Error{argument} naming tensor, axis, index.
class Bindings {
 public:
  virtual ~Bindings() = default;
  virtual Value param(std::uint32_t index) const = 0;
  virtual Value read(std::uint32_t tensor, std::span<const std::int32_t> indices,
                     const Site& site) const = 0;
  /// Elements on an axis that reads at the site may take; -1 where that is not known.
  virtual std::int64_t extent(std::uint32_t /*tensor*/, std::size_t /*axis*/,
                              const Site& /*site*/) const {
    return -1;
  }
};

/// The meaning of the language, element by element, for many sites of one graph: `and`, `or`,
/// `where` evaluate only what they need, and a value is kept while nothing that it depends on has
/// moved. Shares nothing with code generation beyond the graph. Both arguments must outlive it; one
/// thread at a time.
class Evaluator {
 public:
  Evaluator(const Graph& graph, const Bindings& bindings);

  /// Goes to another row: everything but k and score may have changed, and they too.
  void move_to(const Site& site);
  /// Goes along the row.
  void move_to_key(std::int32_t k);
  void set_score(double value);
  const Site& site() const { return site_; }

  Value value(NodeId id) {
    if (stamp_[id] != epoch_[level_[id]]) {
      values_[id] = compute(id);
      stamp_[id] = epoch_[level_[id]];
    }
    return values_[id];
  }
  bool holds(NodeId id) { return value(id).integer != 0; }
  /// Whether query and key may meet: all masks, in order, stopping at the first false.
  bool attends(std::span<const Mask> masks);

 private:
  enum Level : std::uint8_t { row, key, score, levels };  ///< what a value moves with, at most

  Value compute(NodeId id);
  Value read(NodeId id);
  Value variable(Variable v) const;

  const Graph& graph_;
  const Bindings& bindings_;
  Site site_;
  std::uint64_t now_ = 1, epoch_[levels] = {1, 1, 1};
  std::vector<Level> level_;
  std::vector<std::uint64_t> stamp_;
  std::vector<Value> values_;
};

/// One value at one site.
Value evaluate(const Graph& graph, NodeId node, const Site& site, const Bindings& bindings);

/// Whether query and key of the site may meet: all masks, in order, stopping at the first false.
bool attends(const Pattern& pattern, const Site& site, const Bindings& bindings);

}  // namespace lacuna::ir
