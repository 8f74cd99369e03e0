#include "compiler/plan/inside.h"

#include "compiler/plan/any_span.h"

#include <map>

namespace lacuna::plan {
namespace {

using ir::NodeId;
using ir::Op;
using ir::Variable;

class IndexProof {
 public:
  IndexProof(const Plan& plan, const Args& args, const ir::Call& call)
      : pattern_(plan.spec.pattern.tree()), call_(call) {
    const Shape& shape = call.shape;
    uniform_ = plan.spec.lengths == Lengths::uniform;
    if (uniform_ && !args.offsets.data && shape.queries > 0) {
      const std::int64_t offset = call.has_offset ? call.offset : shape.keys - shape.queries;
      const std::int64_t last = offset + shape.queries - 1;
      if (last <= 0x7fffffff) queries_ = {static_cast<s32>(offset), static_cast<s32>(last)};
    }
  }

  bool holds(NodeId id) {
    const ir::Node& node = pattern_.graph[id];
    const auto operands = pattern_.graph.operands(id);
    if (node.op == Op::read)
      for (std::size_t axis = 0; axis < operands.size(); ++axis)
        if (!inside(node.payload, axis, operands[axis])) return false;
    for (const NodeId operand : operands)
      if (!holds(operand)) return false;
    return true;
  }

 private:
  bool inside(std::uint32_t tensor, std::size_t axis, NodeId index) {
    const ir::AxisKind kind = pattern_.tensors[tensor].axes[axis].kind;
    if (kind != ir::AxisKind::key && kind != ir::AxisKind::fixed && kind != ir::AxisKind::any)
      return true;  // where only the position itself may stand
    const ir::Node& node = pattern_.graph[index];
    const bool is_key =
        node.op == Op::variable && static_cast<Variable>(node.payload) == Variable::k;
    if (kind == ir::AxisKind::key && is_key) return true;
    if (kind == ir::AxisKind::key && !uniform_) return false;  // each sequence has its own extent
    const spans::Int at = span(index).integer;
    return at.lo >= 0 && at.hi < call_.tensors[tensor].shape[axis];
  }

  spans::Int below(std::int64_t extent) const {
    return {0, static_cast<s32>(std::max<std::int64_t>(extent, 1) - 1)};
  }
  AnySpan variable(Variable v) const {
    const Shape& shape = call_.shape;
    switch (v) {
      case Variable::q:
        return queries_;
      case Variable::k:
        return below(shape.keys);
      case Variable::b:
        return below(shape.batch);
      case Variable::h:
        return below(shape.heads);
      case Variable::g:
        return below(shape.kv_heads);
      default:
        return spans::Int{0, 0x7fffffff};  // lengths and extents
    }
  }

  AnySpan span(NodeId id) {
    if (const auto known = known_.find(id); known != known_.end()) return known->second;
    return known_[id] = compute(id);
  }
  AnySpan compute(NodeId id) {
    const ir::Node& node = pattern_.graph[id];
    switch (node.op) {
      case Op::constant:
        return point_of_bits(node.type, node.payload);
      case Op::param:
        return point_of_bits(node.type, call_.params[node.payload]);
      case Op::variable:
        return variable(static_cast<Variable>(node.payload));
      case Op::read:
        return whole_of(node.type);
      default: {
        const auto operands = pattern_.graph.operands(id);
        return apply(node.op, [&](std::size_t i) { return span(operands[i]); });
      }
    }
  }
  static AnySpan point_of_bits(ir::Type type, std::uint32_t bits) {
    if (type == ir::Type::f32) return spans::point(std::bit_cast<float>(bits));
    if (type == ir::Type::boolean) return spans::point(bits != 0);
    return spans::point(static_cast<s32>(bits));
  }

  const ir::Pattern& pattern_;
  const ir::Call& call_;
  bool uniform_ = true;
  spans::Int queries_ = spans::whole_int();
  std::map<NodeId, AnySpan> known_;
};

}  // namespace

const Conjunct* read_outside(const Plan& plan, const Args& args, const ir::Call& call) {
  IndexProof proof(plan, args, call);
  for (const Conjunct& c : plan.conjuncts)
    if (!proof.holds(c.expr)) return &c;
  return nullptr;
}

Route route(const Plan& plan, const Args& args, const ir::Call& call) {
  Route taken = route(plan, call.shape);
  taken.listed = taken.listed && (!plan.facts.checked || !read_outside(plan, args, call));
  return taken;
}

}  // namespace lacuna::plan
