#pragma once
#include "lacuna/error.hpp"
#include "lacuna/pattern.hpp"

#include "compiler/ir/graph.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lacuna::lang {
struct Syntax;  // compiler/lang/ast.h
}

namespace lacuna::ir {

struct Param {
  std::string name;
  Type type;
  std::optional<Literal> initial;  ///< none: the caller must bind it
};

struct Const {
  std::string name;
  Literal value;
};

enum class AxisKind : std::uint8_t { batch, head, kv_head, query, key, fixed, any };
constexpr std::string_view name_of(AxisKind kind) {
  constexpr std::string_view names[] = {"batch", "head", "kv_head", "query", "key", "INTEGER", "_"};
  return names[static_cast<int>(kind)];
}

struct Axis {
  AxisKind kind;
  std::int64_t extent = 0;  ///< of a fixed axis
  bool operator==(const Axis&) const = default;
};

struct Tensor {
  std::string name;
  Type type;
  std::vector<Axis> axes;
};

enum class PlanWish : std::uint8_t { none, select, order, tiles, elements };

/// One `mask` statement; several are a conjunction, evaluated in order. Text written by a def that
/// the mask calls is still reported at the mask's own line.
struct Mask {
  NodeId expr;
  Span where;
  std::string text;  ///< the expression as written, on one line
  std::optional<double> hint;
  PlanWish wish = PlanWish::none;
};

enum class WeightsKind : std::uint8_t { softmax, entmax };

struct Weights {
  WeightsKind kind = WeightsKind::softmax;
  NodeId sink = no_node;  ///< softmax: f32, of b h q; natural logits
  NodeId alpha =
      no_node;  ///< entmax: f32: a constant, a param, or a read of an f32[head] tensor at h
  Span where;
};

/// One resolved attention: what lacuna::Pattern holds.
struct Pattern {
  std::string name;
  Graph graph;
  std::vector<Param> params;  ///< limits: 64 params, 32 tensors, 6 axes a tensor
  std::vector<Const> consts;
  std::vector<Tensor> tensors;  ///< only declared ones, in order; unused ones too
  std::vector<Mask> masks;
  NodeId score = no_node;  ///< all score statements composed, over Variable::score; none: identity
  std::vector<Span> score_where;
  Weights weights;
  std::string
      source;  ///< the whole text it came from, kept for with_const and --dump; "" from the builder
  std::string origin;
  std::string digest;                          ///< 32 hex digits; see lacuna::Pattern::digest
  std::shared_ptr<const lang::Syntax> syntax;  ///< what with_const resolves again
};

/// Whether softmax weighs those heads only whose alpha is 1: a pattern of entmax with an alpha of the
/// call, as its heads of softmax see it.
inline bool is_softmax_by_alpha(const Pattern& pattern) {
  return pattern.weights.kind == WeightsKind::softmax && pattern.weights.alpha != no_node;
}

/// Whether rows have the statistic of entmax, zmax and gap: all but softmax, which entmax of the
/// constant 1 is. An alpha that is 1 only when a call runs is entmax here.
inline bool is_entmax(const Pattern& pattern) {
  const NodeId alpha = pattern.weights.alpha;
  return pattern.weights.kind == WeightsKind::entmax &&
         !(pattern.graph.is_constant(alpha) && pattern.graph.float_value(alpha) == 1.0f);
}

}  // namespace lacuna::ir
