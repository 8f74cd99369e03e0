#include "compiler/plan/inside.h"

#include "compiler/plan/any_span.h"

#include <map>
#include <set>

namespace lacuna::plan {
namespace {

using ir::NodeId;
using ir::Op;
using ir::Variable;

/// What the indices of a sequence depend on; sequences that are alike are proved together.
struct Extents {
  std::int64_t q_len, k_len;
  std::int32_t offset;
  auto operator<=>(const Extents&) const = default;
};

s32 narrow(std::int64_t value) {
  return static_cast<s32>(value);  // ir::bind refuses what does not fit
}

class IndexProof {
 public:
  /// Of the sequences `b`, each of which has queries and keys.
  IndexProof(const Plan& plan, const ir::Call& call, const Extents& extents, spans::Int b)
      : pattern_(plan.spec.pattern.tree()),
        call_(call),
        packed_(plan.spec.lengths == Lengths::packed),
        head_dim_(plan.spec.head_dim),
        extents_(extents),
        sequences_(b) {
    const std::int64_t last = extents.offset + extents.q_len - 1;
    if (last <= 0x7fffffff) queries_ = {extents.offset, narrow(last)};  // else they wrap
  }

  bool holds(NodeId id) {
    if (!seen_.insert(id).second) return true;
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
    const bool own_part = packed_ && kind == ir::AxisKind::key;
    const std::int64_t extent = own_part ? extents_.k_len : call_.tensors[tensor].shape[axis];
    const spans::Int at = span(index).integer;
    return at.lo >= 0 && at.hi < extent;
  }

  AnySpan variable(Variable v) const {
    const auto below = [](std::int64_t extent) { return spans::Int{0, narrow(extent - 1)}; };
    const Shape& shape = call_.shape;
    switch (v) {
      case Variable::q:
        return queries_;
      case Variable::k:
        return below(extents_.k_len);
      case Variable::b:
        return sequences_;
      case Variable::h:
        return below(shape.heads);
      case Variable::g:
        return below(shape.kv_heads);
      case Variable::q_len:
        return spans::point(narrow(extents_.q_len));
      case Variable::k_len:
        return spans::point(narrow(extents_.k_len));
      case Variable::batch:
        return spans::point(narrow(shape.batch));
      case Variable::heads:
        return spans::point(narrow(shape.heads));
      case Variable::kv_heads:
        return spans::point(narrow(shape.kv_heads));
      case Variable::head_dim:
        return spans::point(s32{head_dim_});
      default:
        return spans::whole_real();  // the score, which no mask reads
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
  bool packed_;
  int head_dim_;
  Extents extents_;
  spans::Int sequences_, queries_ = spans::whole_int();
  std::map<NodeId, AnySpan> known_;
  std::set<NodeId> seen_;
};

/// The sequences that have pairs, by their extents.
std::map<Extents, spans::Int> alike(const std::vector<ir::Sequence>& sequences) {
  std::map<Extents, spans::Int> groups;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const ir::Sequence& s = sequences[i];
    if (s.q_len <= 0 || s.k_len <= 0) continue;
    const auto b = static_cast<s32>(i);
    const auto [group, is_new] = groups.try_emplace({s.q_len, s.k_len, s.offset}, spans::Int{b, b});
    group->second.hi = b;
  }
  return groups;
}

}  // namespace

const Conjunct* read_outside(const Plan& plan, const ir::Call& call,
                             const std::vector<ir::Sequence>& sequences) {
  const Conjunct* first = nullptr;
  for (const auto& [extents, b] : alike(sequences)) {
    IndexProof proof(plan, call, extents, b);
    for (const Conjunct& c : plan.conjuncts) {
      if (&c == first) break;
      if (proof.holds(c.expr)) continue;
      first = &c;
      break;
    }
  }
  return first;
}

Route route(const Plan& plan, const ir::Call& call, const std::vector<ir::Sequence>& sequences) {
  Route taken = route(plan, call.shape);
  if (taken.listed && plan.facts.checked) taken.listed = !read_outside(plan, call, sequences);
  return taken;
}

}  // namespace lacuna::plan
