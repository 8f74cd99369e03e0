#pragma once
#include "compiler/ir/types.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lacuna::ir {

/// Leaves first, then the rows of ops.def.
enum class Op : std::uint8_t {
  constant,  ///< payload: the bits (bool 0/1, i32, f32)
  variable,  ///< payload: a Variable
  param,     ///< payload: index into Pattern::params
  read,      ///< payload: index into Pattern::tensors; operands: one i32 per axis
#define LACUNA_OP(name, ...) name,
#include "compiler/ir/ops.def"
#undef LACUNA_OP
};

/// One row of ops.def as data (leaves have spelling "" and arity 0).
struct OpRow {
  std::string_view name, spelling;
  Type result;
  int arity;
  std::array<Type, 3> operands;
  std::string_view emit;
  std::string_view interval;  ///< a function of templates/intervals.cuh
};
const OpRow& row(Op op);
std::span<const Op> operators();  ///< every row of ops.def, in order

using NodeId = std::uint32_t;
inline constexpr NodeId no_node = ~NodeId{0};

struct Node {
  Op op;
  Type type;
  std::uint16_t arity;
  std::uint32_t payload;
  std::uint32_t first;  ///< of its operands, in the graph's pool; see Graph::operands
};

/// What a value may depend on: one bit per Variable, then these.
using Dependence = std::uint32_t;
constexpr Dependence on(Variable v) {
  return Dependence{1} << static_cast<int>(v);
}
inline constexpr Dependence on_param = 1u << 16, on_tensor = 1u << 17;

enum class Simplify : bool { off, on };

/// A typed, hash-consed, append-only expression graph: equal expressions have equal ids, operands
/// come before their users. `make` simplifies (compiler/ir/simplify.h), so an id may name a simpler
/// node than was asked for.
class Graph {
 public:
  static constexpr std::size_t max_nodes = 10'000;  ///< more throws Error{pattern}

  Graph() = default;
  /// Simplify::off keeps every node as it was asked for: the tests compare the two.
  explicit Graph(Simplify simplify) : simplify_(simplify) {}

  NodeId constant(bool value);
  NodeId constant(std::int32_t value);
  NodeId constant(float value);
  NodeId variable(Variable v);
  NodeId param(std::uint32_t index, Type type);
  NodeId read(std::uint32_t tensor, Type type, std::span<const NodeId> indices);
  /// A row of ops.def applied to operands of exactly its types (asserted: promotion is the
  /// resolver's work).
  NodeId make(Op op, std::initializer_list<NodeId> operands);
  NodeId make(Op op, std::span<const NodeId> operands);

  const Node& operator[](NodeId id) const { return nodes_[id]; }
  std::span<const NodeId> operands(NodeId id) const {
    return {pool_.data() + nodes_[id].first, nodes_[id].arity};
  }
  Dependence dependence(NodeId id) const { return dependence_[id]; }
  std::size_t size() const { return nodes_.size(); }

  bool is_constant(NodeId id) const { return nodes_[id].op == Op::constant; }
  bool bool_value(NodeId id) const { return nodes_[id].payload != 0; }
  std::int32_t int_value(NodeId id) const { return static_cast<std::int32_t>(nodes_[id].payload); }
  float float_value(NodeId id) const;

 private:
  NodeId intern(Op op, Type type, std::uint32_t payload, std::span<const NodeId> operands);

  std::vector<Node> nodes_;
  std::vector<NodeId> pool_;
  std::vector<Dependence> dependence_;
  std::unordered_multimap<std::uint64_t, NodeId> interned_;  ///< by hash
  Simplify simplify_ = Simplify::on;
};

}  // namespace lacuna::ir
