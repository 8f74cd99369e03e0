#include "compiler/ir/graph.h"

#include "lacuna/error.hpp"

#include "compiler/ir/simplify.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cassert>

namespace lacuna::ir {
namespace {

constexpr int arity_of(std::string_view a, std::string_view b, std::string_view c) {
  return (a != "none") + (b != "none") + (c != "none");
}

constexpr Type boolean = Type::boolean, i32 = Type::i32, f32 = Type::f32, none = Type::boolean;

constexpr OpRow rows[] = {
    {"constant", "", boolean, 0, {}, "", ""},
    {"variable", "", boolean, 0, {}, "", ""},
    {"param", "", boolean, 0, {}, "", ""},
    {"read", "", boolean, 0, {}, "", ""},
#define LACUNA_OP(name, spelling, result, a, b, c, evaluate, emit, interval) \
  {#name, spelling, result, arity_of(#a, #b, #c), {a, b, c}, emit, #interval},
#include "compiler/ir/ops.def"
#undef LACUNA_OP
};

constexpr Op table_operators[] = {
#define LACUNA_OP(name, ...) Op::name,
#include "compiler/ir/ops.def"
#undef LACUNA_OP
};

std::uint64_t hash_of(Op op, Type type, std::uint32_t payload, std::span<const NodeId> operands) {
  std::uint64_t hash =
      (std::uint64_t{payload} << 16) ^ (std::uint64_t(op) << 8) ^ std::uint64_t(type);
  for (NodeId operand : operands) hash = (hash ^ (hash >> 29) ^ operand) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 32);
}

}  // namespace

const OpRow& row(Op op) {
  return rows[static_cast<std::size_t>(op)];
}
std::span<const Op> operators() {
  return table_operators;
}

NodeId Graph::constant(bool value) {
  return intern(Op::constant, Type::boolean, value ? 1 : 0, {});
}

NodeId Graph::constant(std::int32_t value) {
  return intern(Op::constant, Type::i32, static_cast<std::uint32_t>(value), {});
}

NodeId Graph::constant(float value) {
  const std::uint32_t one_nan = 0x7fc00000u;
  return intern(Op::constant, Type::f32,
                value != value ? one_nan : std::bit_cast<std::uint32_t>(value), {});
}

NodeId Graph::variable(Variable v) {
  const Type type = v == Variable::score ? Type::f32 : Type::i32;
  return intern(Op::variable, type, static_cast<std::uint32_t>(v), {});
}

NodeId Graph::param(std::uint32_t index, Type type) {
  return intern(Op::param, type, index, {});
}

NodeId Graph::read(std::uint32_t tensor, Type type, std::span<const NodeId> indices) {
  for ([[maybe_unused]] NodeId index : indices) assert(nodes_[index].type == Type::i32);
  return intern(Op::read, type, tensor, indices);
}

NodeId Graph::make(Op op, std::initializer_list<NodeId> operands) {
  return make(op, std::span(operands.begin(), operands.size()));
}

NodeId Graph::make(Op op, std::span<const NodeId> given) {
  const OpRow& shape = row(op);
  assert(static_cast<int>(given.size()) == shape.arity);
  std::array<NodeId, 3> held{};  // `given` may lie in pool_, which grows below
  Dependence needs = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    assert(nodes_[given[i]].type == shape.operands[i]);
    held[i] = given[i];
    needs |= dependence_[given[i]];
  }
  const std::span<const NodeId> operands(held.data(), given.size());
  if (simplify_ == Simplify::on) {
    const NodeId simpler = simplify(*this, op, operands);
    // What depends on score as written stays f64: its rounding must not hang on the simplifier.
    const bool same_rounding =
        simpler != no_node && ((needs ^ dependence_[simpler]) & on(Variable::score)) == 0;
    if (same_rounding) return simpler;
  }
  return intern(op, shape.result, 0, operands);
}

float Graph::float_value(NodeId id) const {
  return std::bit_cast<float>(nodes_[id].payload);
}

NodeId Graph::intern(Op op, Type type, std::uint32_t payload, std::span<const NodeId> operands) {
  const std::uint64_t key = hash_of(op, type, payload, operands);
  for (auto [at, end] = interned_.equal_range(key); at != end; ++at) {
    const Node& node = nodes_[at->second];
    if (node.op == op && node.type == type && node.payload == payload &&
        std::ranges::equal(this->operands(at->second), operands))
      return at->second;
  }
  if (nodes_.size() >= max_nodes)
    throw Error(ErrorKind::pattern,
                fmt::format("the expressions of a pattern have more than {} nodes", max_nodes));
  Dependence depends = 0;
  if (op == Op::variable) depends = on(static_cast<Variable>(payload));
  if (op == Op::param) depends = on_param;
  if (op == Op::read) depends = on_tensor;
  for (NodeId operand : operands) depends |= dependence_[operand];

  const auto id = static_cast<NodeId>(nodes_.size());
  nodes_.push_back({op, type, static_cast<std::uint16_t>(operands.size()), payload,
                    static_cast<std::uint32_t>(pool_.size())});
  const std::vector<NodeId> copy(operands.begin(), operands.end());  // may alias pool_
  pool_.insert(pool_.end(), copy.begin(), copy.end());
  dependence_.push_back(depends);
  interned_.emplace(key, id);
  return id;
}

}  // namespace lacuna::ir
