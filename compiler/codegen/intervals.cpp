#include "compiler/codegen/intervals.h"

#include "compiler/codegen/expression.h"
#include "compiler/ir/call.h"
#include "compiler/ir/print.h"
#include "compiler/plan/decided.h"
#include "compiler/plan/span_program.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::codegen {
namespace {

using ir::NodeId;
using plan::SpanStep;
using Kind = SpanStep::Kind;

constexpr std::size_t longest_inline = 100;   // a span whose text is longer than this gets a name
constexpr std::size_t longest_repeated = 32;  // of a position or a constant
constexpr std::string_view where = "const Params& p, const Place& at";

std::string_view span_type(ir::Type type) {
  constexpr std::string_view names[] = {"spans::Bool", "spans::Int", "spans::Real"};
  return names[static_cast<int>(type)];
}
std::string_view value_type(ir::Type type) {
  constexpr std::string_view names[] = {"bool", "s32", "float"};
  return names[static_cast<int>(type)];
}

std::string joined(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

class IntervalWriter {
 public:
  IntervalWriter(const Spec& spec, const std::vector<NodeId>& conjuncts, bool needs_elements)
      : spec_(spec),
        pattern_(spec.pattern.tree()),
        program_(plan::span_program(pattern_, conjuncts)),
        texts_(program_.steps.size()),
        uses_(program_.steps.size(), 0),
        needs_elements_(needs_elements) {}

  std::vector<std::string> run() {
    line("static constexpr int query_values = {}, key_values = {};", program_.query_values.size(),
         program_.key_values.size());
    line("static constexpr bool needs_elements = {};", needs_elements_);
    summary("query", "q", program_.query_values, {.k = "0"});
    summary("key", "k", program_.key_values, {.q = "0"});
    for (std::size_t i = 0; i < program_.uniforms.size(); ++i) uniform(i);
    classify();
    return std::move(lines_);
  }

 private:
  template <class... T>
  void line(fmt::format_string<T...> format, T&&... arguments) {
    lines_.push_back("  " + fmt::format(format, std::forward<T>(arguments)...));
  }

  std::vector<std::string> body(NodeId node, Surroundings surroundings) const {
    return ExpressionWriter(spec_, surroundings).body(node);
  }
  ir::Type type_of(NodeId node) const { return pattern_.graph[node].type; }
  static std::size_t extent(const std::vector<NodeId>& values) {
    return std::max<std::size_t>(values.size(), 1);
  }

  void function(const std::string& head, const std::vector<std::string>& lines) {
    if (lines.size() == 1) {
      line("LACUNA_MEMBER static {} {{ {} }}", head, lines[0]);
      return;
    }
    line("LACUNA_MEMBER static {} {{", head);
    for (const std::string& one : lines) line("  {}", one);
    line("}}");
  }

  /// query_at and query_hull, or key_at and key_hull.
  void summary(std::string_view name, std::string_view position, const std::vector<NodeId>& values,
               Surroundings surroundings) {
    std::vector<std::string> at, hull;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const ir::Type type = type_of(values[i]);
      line("// {}", ir::print(pattern_.graph, values[i], pattern_));
      function(
          fmt::format("{} {}_value_{}({}, s32 {})", value_type(type), name, i, where, position),
          body(values[i], surroundings));
      at.push_back(fmt::format("out[{0}] = spans::pack(spans::point({1}_value_{0}(p, at, {2})));",
                               i, name, position));
      hull.push_back(
          fmt::format("into[{0}] = spans::hull<{1}>(into[{0}], with[{0}]);", i, span_type(type)));
    }
    function(
        fmt::format("void {}_at({}, s32 {}, U2 (&out)[{}])", name, where, position, extent(values)),
        or_nothing(at));
    function(
        fmt::format("void {0}_hull(U2 (&into)[{1}], const U2 (&with)[{1}])", name, extent(values)),
        or_nothing(hull));
  }
  static std::vector<std::string> or_nothing(std::vector<std::string> lines) {
    if (lines.empty()) lines.emplace_back("");
    return lines;
  }

  /// A value of the whole box: inline where it is one expression.
  void uniform(std::size_t i) {
    const NodeId node = program_.uniforms[i];
    const std::vector<std::string> lines = body(node, {.q = "0", .k = "0"});
    constexpr std::string_view start = "return ";
    if (lines.size() == 1 && lines[0].size() < longest_inline) {
      uniforms_.push_back(lines[0].substr(start.size(), lines[0].size() - start.size() - 1));
      return;
    }
    function(fmt::format("{} uniform_{}({})", value_type(type_of(node)), i, where), lines);
    uniforms_.push_back(fmt::format("uniform_{}(p, at)", i));
  }

  void classify() {
    for (const SpanStep& s : program_.steps)
      for (const std::uint32_t operand : s.operands) ++uses_[operand];
    line(
        "LACUNA_MEMBER static Truth classify({}, const Box& box, const U2 (&q)[{}], "
        "const U2 (&k)[{}]) {{",
        where, extent(program_.query_values), extent(program_.key_values));
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const SpanStep& s = program_.steps[i];
      texts_[i] = text(s, i);
      const std::size_t longest = uses_[i] < 2         ? longest_inline
                                  : s.operands.empty() ? longest_repeated
                                                       : 0;
      if (texts_[i].size() <= longest) continue;
      line("  const {} x{} = {};", span_type(s.type), i, texts_[i]);
      texts_[i] = fmt::format("x{}", i);
    }
    line("  return spans::truth_of({});", texts_[program_.result]);
    line("}}");
  }

  std::string text(const SpanStep& s, std::size_t number) {
    switch (s.kind) {
      case Kind::query:
        return "spans::Int{box.q0, box.q1}";
      case Kind::key:
        return "spans::Int{box.k0, box.k1}";
      case Kind::query_value:
        return fmt::format("spans::unpacked<{}>(q[{}])", span_type(s.type), s.number);
      case Kind::key_value:
        return fmt::format("spans::unpacked<{}>(k[{}])", span_type(s.type), s.number);
      case Kind::uniform:
        return fmt::format("spans::point({})", uniforms_[s.number]);
      case Kind::known:
        return fmt::format("spans::point({})", s.number != 0);
      case Kind::read:
        return read(s, number);
      case Kind::rule:
        return call(ir::row(s.op).interval, s);
      default:
        return call(name_of(s.kind), s);
    }
  }

  static std::string_view name_of(Kind kind) {
    switch (kind) {
      case Kind::congruent:
        return "congruent";
      case Kind::at_most:
        return "at_most";
      case Kind::at_least:
        return "at_least";
      case Kind::below:
        return "below";
      case Kind::above:
        return "above";
      default:
        return "meet";
    }
  }

  std::string call(std::string_view rule, const SpanStep& s) const {
    std::vector<std::string> operands;
    for (const std::uint32_t operand : s.operands) operands.push_back(texts_[operand]);
    return fmt::format("spans::{}({})", rule, joined(operands));
  }

  std::string read(const SpanStep& s, std::size_t number) {
    const std::uint32_t tensor = pattern_.graph[s.number].payload;
    const ir::Tensor& declared = pattern_.tensors[tensor];
    std::vector<std::string> indices;
    for (std::size_t axis = 0; axis < s.operands.size(); ++axis)
      indices.push_back(index(tensor, axis, texts_[s.operands[axis]]));
    line("  const spans::Int at_{}[] = {{{}}};", number, joined(indices));
    return fmt::format("spans::read_box<{}, {}>(p.tensor[{}], at_{})",
                       device_type(ir::storage_of(spec_, declared)), value_type(s.type), tensor,
                       number);
  }

  /// As ExpressionWriter has it for one index.
  std::string index(std::uint32_t tensor, std::size_t number, const std::string& span) const {
    const ir::Axis& axis = pattern_.tensors[tensor].axes[number];
    const bool packed = spec_.lengths == Lengths::packed;
    switch (axis.kind) {
      case ir::AxisKind::batch:
      case ir::AxisKind::head:
      case ir::AxisKind::kv_head:
        return span;
      case ir::AxisKind::query: {
        const std::string row = fmt::format("spans::subtract({}, spans::point(at.offset))", span);
        return packed ? fmt::format("spans::add({}, spans::point(at.q_start))", row) : row;
      }
      case ir::AxisKind::key: {
        const std::string_view extent = packed ? "at.k_len" : "p.call.keys";
        const std::string inside = fmt::format("spans::clamp({}, {})", span, extent);
        return packed ? fmt::format("spans::packed_keys({}, at, p.call)", inside) : inside;
      }
      case ir::AxisKind::fixed:
        return fmt::format("spans::clamp({}, {})", span, axis.extent);
      case ir::AxisKind::any:
        return fmt::format("spans::clamp({}, p.tensor[{}].extent[{}])", span, tensor, number);
    }
    return span;
  }

  const Spec& spec_;
  const ir::Pattern& pattern_;
  plan::SpanProgram program_;
  std::vector<std::string> uniforms_, texts_, lines_;
  std::vector<int> uses_;
  bool needs_elements_;
};

}  // namespace

std::vector<std::string> interval_members(const plan::Plan& plan) {
  std::vector<NodeId> conjuncts;
  for (const plan::Conjunct& c : plan.conjuncts) conjuncts.push_back(c.expr);
  return IntervalWriter(plan.spec, conjuncts, plan::tile_test(plan).elements).run();
}

std::vector<std::string> interval_members(const Spec& spec, const std::vector<NodeId>& conjuncts) {
  const bool decided = plan::decided_by_spans(spec.pattern.tree(), conjuncts).decided;
  return IntervalWriter(spec, conjuncts, !decided).run();
}

}  // namespace lacuna::codegen
