#include "compiler/plan/span_program.h"

#include <algorithm>
#include <map>

namespace lacuna::plan {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::Op;
using ir::Type;
using ir::Variable;
using Kind = SpanStep::Kind;
using StepId = std::uint32_t;

// Assumptions repeat what depends on them; past so many steps nothing more is assumed.
constexpr std::size_t most_steps_with_assumptions = 1500;

constexpr ir::Dependence on_query = ir::on(Variable::q), on_key = ir::on(Variable::k);

class Builder {
 public:
  explicit Builder(const ir::Pattern& pattern) : graph_(pattern.graph), scopes_(1) {}

  SpanProgram run(std::span<const NodeId> conjuncts, EachConjunct each) {
    if (each == EachConjunct::yes)
      for (const NodeId c : conjuncts) program_.conjuncts.push_back(value(c));
    program_.result = step({Kind::known, Type::boolean, {}, 1});
    for (std::size_t i = 0; i < conjuncts.size(); ++i) {
      const StepId one = value(conjuncts[i]);
      program_.result = i == 0 ? one : rule(Op::logical_and, {program_.result, one});
      assume(conjuncts[i], true);
    }
    drop_unused();
    return std::move(program_);
  }

 private:
  using Known = std::map<NodeId, StepId>;
  /// What is known under one more assumption than in the scope below.
  struct Scope {
    Known narrowed;                  ///< by the assumption
    Known values;                    ///< that follow
    std::map<NodeId, bool> touched;  ///< whether a value depends on what is narrowed
  };

  bool varies(NodeId node) const { return graph_.dependence(node) & (on_query | on_key); }
  /// Summarised element by element: one position, and a read.
  bool is_summarised(NodeId node) const {
    const ir::Dependence depends = graph_.dependence(node);
    return varies(node) && (depends & ir::on_tensor) &&
           (depends & (on_query | on_key)) != (on_query | on_key);
  }

  StepId step(SpanStep s) {
    program_.steps.push_back(std::move(s));
    return static_cast<StepId>(program_.steps.size() - 1);
  }
  StepId rule(Op op, std::vector<StepId> operands) {
    return step({Kind::rule, ir::row(op).result, op, 0, std::move(operands)});
  }

  bool touches(Scope& scope, NodeId node) {
    if (scope.narrowed.contains(node)) return true;
    if (!varies(node) || is_summarised(node)) return false;
    if (const auto found = scope.touched.find(node); found != scope.touched.end())
      return found->second;
    const auto operands = graph_.operands(node);
    return scope.touched[node] = std::ranges::any_of(
               operands, [&](NodeId operand) { return touches(scope, operand); });
  }

  StepId value(NodeId node) {
    std::size_t at = scopes_.size() - 1;
    for (;; --at) {
      Scope& scope = scopes_[at];
      if (const auto found = scope.narrowed.find(node); found != scope.narrowed.end())
        return found->second;
      if (const auto found = scope.values.find(node); found != scope.values.end())
        return found->second;
      if (at == 0 || touches(scope, node)) break;
    }
    const StepId computed = compute(node);
    scopes_[at].values[node] = computed;
    return computed;
  }

  StepId numbered(Kind kind, NodeId node, std::vector<NodeId>& list) {
    list.push_back(node);
    return step({kind, graph_[node].type, {}, static_cast<std::uint32_t>(list.size() - 1)});
  }

  StepId compute(NodeId node) {
    const ir::Node& n = graph_[node];
    if (!varies(node)) return numbered(Kind::uniform, node, program_.uniforms);
    if (n.op == Op::variable)
      return step(
          {static_cast<Variable>(n.payload) == Variable::q ? Kind::query : Kind::key, Type::i32});
    if (is_summarised(node))
      return graph_.dependence(node) & on_query
                 ? numbered(Kind::query_value, node, program_.query_values)
                 : numbered(Kind::key_value, node, program_.key_values);
    if (n.op == Op::eq_i32 || n.op == Op::ne_i32)
      if (const StepId s = congruence(node); s != no_step) return s;
    const auto operands = graph_.operands(node);
    std::vector<StepId> spans = {value(operands[0])};
    for (std::size_t i = 1; i < operands.size(); ++i)
      spans.push_back(under_first(node, operands[i], i == 2));
    if (n.op == Op::read) return step({Kind::read, n.type, n.op, node, std::move(spans)});
    return rule(n.op, std::move(spans));
  }

  /// An operand after the first, under what the first must be for it to count.
  StepId under_first(NodeId node, NodeId operand, bool is_third) {
    const Op op = graph_[node].op;
    const NodeId first = graph_.operands(node)[0];
    const bool where = op == Op::where_bool || op == Op::where_i32 || op == Op::where_f32;
    if (!where && op != Op::logical_and && op != Op::logical_or) return value(operand);
    const std::size_t depth = scopes_.size();
    assume(first, where ? !is_third : op == Op::logical_and);
    const StepId result = value(operand);
    scopes_.resize(depth);
    return result;
  }

  /// x % divisor == rest, where one divisor and one rest hold for the whole box.
  StepId congruence(NodeId node) {
    const auto sides = graph_.operands(node);
    for (const int side : {0, 1}) {
      const NodeId rest = sides[1 - side];
      if (graph_[sides[side]].op != Op::mod_i32 || varies(rest)) continue;
      const auto of = graph_.operands(sides[side]);
      if (varies(of[1]) || is_summarised(sides[side])) continue;
      const std::vector<StepId> operands = {value(of[0]), value(of[1]), value(rest)};
      const StepId holds = step({Kind::congruent, Type::boolean, {}, 0, operands});
      return graph_[node].op == Op::eq_i32 ? holds : rule(Op::logical_not, {holds});
    }
    return no_step;
  }

  /// What is computed from here on, up to the removal of the scopes, counts only where `node` has
  /// that truth.
  void assume(NodeId node, bool truth) {
    if (program_.steps.size() > most_steps_with_assumptions || !varies(node)) return;
    const auto operands = graph_.operands(node);
    const Op op = graph_[node].op;
    if (op == Op::logical_not) return assume(operands[0], !truth);
    if (op == (truth ? Op::logical_and : Op::logical_or)) {
      assume(operands[0], truth);
      return assume(operands[1], truth);
    }
    Scope scope;
    scope.narrowed[node] = step({Kind::known, Type::boolean, {}, truth});
    const auto narrow = [&](Kind left, Kind right) {
      const StepId x = value(operands[0]), y = value(operands[1]);
      if (varies(operands[0])) scope.narrowed[operands[0]] = step({left, Type::i32, {}, 0, {x, y}});
      if (varies(operands[1]))
        scope.narrowed[operands[1]] = step({right, Type::i32, {}, 0, {y, x}});
    };
    if (op == Op::le_i32)
      truth ? narrow(Kind::at_most, Kind::at_least) : narrow(Kind::above, Kind::below);
    if (op == Op::lt_i32)
      truth ? narrow(Kind::below, Kind::above) : narrow(Kind::at_least, Kind::at_most);
    if (op == (truth ? Op::eq_i32 : Op::ne_i32)) narrow(Kind::meet, Kind::meet);
    scopes_.push_back(std::move(scope));
  }

  /// Steps, summaries and uniforms that no result hangs on.
  void drop_unused() {
    std::vector<bool> used(program_.steps.size(), false);
    used[program_.result] = true;
    for (const StepId s : program_.conjuncts) used[s] = true;
    for (std::size_t i = used.size(); i-- > 0;)
      if (used[i])
        for (const StepId operand : program_.steps[i].operands) used[operand] = true;
    SpanProgram kept;
    std::vector<StepId> moved(used.size(), no_step);
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (!used[i]) continue;
      SpanStep s = std::move(program_.steps[i]);
      for (StepId& operand : s.operands) operand = moved[operand];
      if (s.kind == Kind::query_value) renumber(s, program_.query_values, kept.query_values);
      if (s.kind == Kind::key_value) renumber(s, program_.key_values, kept.key_values);
      if (s.kind == Kind::uniform) renumber(s, program_.uniforms, kept.uniforms);
      moved[i] = static_cast<StepId>(kept.steps.size());
      kept.steps.push_back(std::move(s));
    }
    kept.result = moved[program_.result];
    for (const StepId s : program_.conjuncts) kept.conjuncts.push_back(moved[s]);
    program_ = std::move(kept);
  }
  static void renumber(SpanStep& s, const std::vector<NodeId>& from, std::vector<NodeId>& to) {
    to.push_back(from[s.number]);
    s.number = static_cast<std::uint32_t>(to.size() - 1);
  }

  static constexpr StepId no_step = ~StepId{0};

  const Graph& graph_;
  SpanProgram program_;
  std::vector<Scope> scopes_;
};

}  // namespace

SpanProgram span_program(const ir::Pattern& pattern, std::span<const NodeId> conjuncts,
                         EachConjunct each) {
  return Builder(pattern).run(conjuncts, each);
}

}  // namespace lacuna::plan
