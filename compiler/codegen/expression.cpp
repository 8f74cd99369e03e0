#include "compiler/codegen/expression.h"

#include "compiler/ir/call.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

namespace lacuna::codegen {
namespace {

using ir::NodeId;
using ir::Op;
using ir::Type;
using ir::Variable;

constexpr std::size_t longest_inline = 160;  // an expression longer than this gets a name
constexpr std::size_t most_lines =
    20'000;  // branches repeat what they share; past this the compiler would choke

std::string literal(std::int32_t value) {
  if (value == std::numeric_limits<std::int32_t>::min()) return "(-2147483647 - 1)";
  return value < 0 ? fmt::format("({})", value) : fmt::format("{}", value);
}

std::string literal(float value) {
  if (std::isnan(value))
    return fmt::format("float_of_bits({:#x}u)", std::bit_cast<std::uint32_t>(value));
  if (std::isinf(value)) return value < 0 ? "(-infinity())" : "infinity()";
  std::string digits = fmt::format("{:.9g}", value);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  return std::signbit(value) ? fmt::format("({}f)", digits) : digits + "f";
}

std::string_view device_type(Type type) {
  constexpr std::string_view names[] = {"bool", "s32", "float"};
  return names[static_cast<int>(type)];
}

bool is_variable(const ir::Graph& graph, NodeId node, Variable v) {
  return graph[node].op == Op::variable && static_cast<Variable>(graph[node].payload) == v;
}

bool is_lazy(Op op) {
  return op == Op::logical_and || op == Op::logical_or || op == Op::where_bool ||
         op == Op::where_i32 || op == Op::where_f32;
}

// Indices that hold for every pair that is asked about: the position of an axis itself, or a
// constant inside it.
bool is_inside(const ir::Graph& graph, const ir::Axis& axis, NodeId node) {
  switch (axis.kind) {
    case ir::AxisKind::batch:
    case ir::AxisKind::head:
    case ir::AxisKind::kv_head:
    case ir::AxisKind::query:
      return true;
    case ir::AxisKind::key:
      return is_variable(graph, node, Variable::k);
    case ir::AxisKind::fixed:
      return graph.is_constant(node) && graph.int_value(node) >= 0 &&
             graph.int_value(node) < axis.extent;
    case ir::AxisKind::any:
      return false;
  }
  return false;
}

}  // namespace

std::string_view device_type(DType storage) {
  constexpr std::string_view names[] = {"F32",          "F16",          "BF16",
                                        "Integer<s64>", "Integer<s32>", "Integer<s16>",
                                        "Integer<s8>",  "Integer<u8>",  "Boolean"};
  return names[static_cast<int>(storage)];
}

ExpressionWriter::ExpressionWriter(const Spec& spec, Surroundings surroundings)
    : spec_(spec),
      pattern_(spec.pattern.tree()),
      graph_(pattern_.graph),
      surroundings_(surroundings) {}

std::vector<std::string> ExpressionWriter::body(NodeId node) {
  lines_.clear();
  uses_.clear();
  scopes_.assign(1, {});
  names_ = 0;
  count_uses(node);
  const std::string result = value(node);
  line(fmt::format("return {};", result));
  return std::move(lines_);
}

void ExpressionWriter::line(const std::string& text) {
  if (lines_.size() >= most_lines)
    throw Error(ErrorKind::unsupported,
                fmt::format("attention '{}': the code of one expression exceeds {} statements",
                            pattern_.name, most_lines));
  lines_.push_back(std::string(2 * (scopes_.size() - 1), ' ') + text);
}

void ExpressionWriter::count_uses(NodeId node) {
  if (uses_[node]++ || given(node)) return;
  for (const NodeId operand : graph_.operands(node)) count_uses(operand);
}

const std::string* ExpressionWriter::given(NodeId node) const {
  if (!surroundings_.given) return nullptr;
  const auto found = surroundings_.given->find(node);
  return found == surroundings_.given->end() ? nullptr : &found->second;
}

bool ExpressionWriter::reports(NodeId node) {
  if (!surroundings_.checked || !(graph_.dependence(node) & ir::on_tensor)) return false;
  if (const auto found = reports_.find(node); found != reports_.end()) return found->second;
  bool result = false;
  const auto operands = graph_.operands(node);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    result |= reports(operands[i]);
    if (graph_[node].op == Op::read)
      result |= !is_inside(graph_, pattern_.tensors[graph_[node].payload].axes[i], operands[i]);
  }
  return reports_[node] = result;
}

std::string ExpressionWriter::value(NodeId node) {
  const ir::Node& n = graph_[node];
  if (const std::string* known = given(node)) return *known;
  if (n.op == Op::constant || n.op == Op::variable || n.op == Op::param) return leaf(node);
  for (const Known& scope : scopes_)
    if (const auto found = scope.find(node); found != scope.end()) return found->second;
  if (is_lazy(n.op) &&
      (reports(graph_.operands(node)[1]) || (n.arity == 3 && reports(graph_.operands(node)[2]))))
    return branch(node);
  std::string text = n.op == Op::read ? read(node) : operation(node);
  if (uses_[node] > 1 || text.size() > longest_inline || reports(node))
    return statement(node, text);
  return text;
}

std::string ExpressionWriter::leaf(NodeId node) const {
  const ir::Node& n = graph_[node];
  if (n.op == Op::constant) {
    if (n.type == Type::boolean) return graph_.bool_value(node) ? "true" : "false";
    return n.type == Type::i32 ? literal(graph_.int_value(node))
                               : literal(graph_.float_value(node));
  }
  if (n.op == Op::param) {
    if (n.type == Type::boolean) return fmt::format("(p.param[{}] != 0)", n.payload);
    return fmt::format("{}(p.param[{}])", n.type == Type::i32 ? "(s32)" : "float_of_bits",
                       n.payload);
  }
  switch (static_cast<Variable>(n.payload)) {
    case Variable::q:
      return std::string(surroundings_.q);
    case Variable::k:
      return std::string(surroundings_.k);
    case Variable::score:
      return "score";
    case Variable::batch:
      return "p.call.batch";
    case Variable::heads:
      return "p.call.heads";
    case Variable::kv_heads:
      return "p.call.kv_heads";
    case Variable::head_dim:
      return fmt::format("{}", spec_.head_dim);
    default:
      return fmt::format("at.{}", ir::name_of(static_cast<Variable>(n.payload)));
  }
}

/// Of scores, which every pair has one of, division by a constant is worth code of its own.
bool ExpressionWriter::divides_score(NodeId node) const {
  if (graph_[node].op != Op::div_f32) return false;
  const auto operands = graph_.operands(node);
  if (!(graph_.dependence(operands[0]) & ir::on(Variable::score)) ||
      !graph_.is_constant(operands[1]))
    return false;
  const float divisor = graph_.float_value(operands[1]);
  return divisor >= 0x1p-60f && divisor <= 0x1p60f;
}

std::string ExpressionWriter::operation(NodeId node) {
  std::string operands[3];
  int i = 0;
  for (const NodeId operand : graph_.operands(node)) operands[i++] = value(operand);
  if (divides_score(node)) {
    const float divisor = graph_.float_value(graph_.operands(node)[1]);
    return fmt::format("divide_by({}, {}, {})", operands[0], operands[1], literal(1 / divisor));
  }
  return fmt::format(fmt::runtime(ir::row(graph_[node].op).emit), operands[0], operands[1],
                     operands[2]);
}

std::string ExpressionWriter::read(NodeId node) {
  const std::uint32_t tensor = graph_[node].payload;
  const ir::Tensor& declared = pattern_.tensors[tensor];
  const DType storage = ir::storage_of(spec_, declared);
  std::string text = fmt::format("read<{}>(p.tensor[{}]", codegen::device_type(storage), tensor);
  int axis = 0;
  for (const NodeId operand : graph_.operands(node)) text += ", " + index(tensor, axis++, operand);
  text += ")";
  if (declared.type == Type::boolean && storage != DType::boolean)
    return fmt::format("({} != 0)", text);
  return text;
}

std::string ExpressionWriter::index(std::uint32_t tensor, int number, NodeId node) {
  const ir::Axis& axis = pattern_.tensors[tensor].axes[number];
  const bool packed = spec_.lengths == Lengths::packed;
  if (axis.kind == ir::AxisKind::query)
    return fmt::format(fmt::runtime(packed ? "wrap_add(wrap_sub({}, at.offset), at.q_start)"
                                           : "wrap_sub({}, at.offset)"),
                       value(node));
  std::string text = value(node);
  if (!is_inside(graph_, axis, node)) {
    const std::string extent =
        axis.kind == ir::AxisKind::key     ? (packed ? "at.k_len" : "p.call.keys")
        : axis.kind == ir::AxisKind::fixed ? fmt::format("{}", axis.extent)
                                           : fmt::format("p.tensor[{}].extent[{}]", tensor, number);
    text = surroundings_.checked
               ? fmt::format("checked_index(p.call, at, {}, {}, {}, {}, {}, {})", surroundings_.q,
                             surroundings_.k, tensor, number, text, extent)
               : fmt::format("clamp_index({}, {})", text, extent);
  }
  if (axis.kind == ir::AxisKind::key && packed)
    text = fmt::format("packed_key({}, at, p.call)", text);
  return text;
}

std::string ExpressionWriter::declare(NodeId node, const std::string& initial) {
  const std::string name = fmt::format("v{}", names_++);
  line(fmt::format("{} {}{};", device_type(graph_[node].type), name,
                   initial.empty() ? "" : " = " + initial));
  return name;
}

std::string ExpressionWriter::statement(NodeId node, const std::string& text) {
  const std::string name = fmt::format("v{}", names_++);
  line(fmt::format("const {} {} = {};", device_type(graph_[node].type), name, text));
  return scopes_.back()[node] = name;
}

void ExpressionWriter::assign_in_scope(const std::string& name, NodeId node) {
  scopes_.emplace_back();
  const std::string text = value(node);
  line(fmt::format("{} = {};", name, text));
  scopes_.pop_back();
}

std::string ExpressionWriter::branch(NodeId node) {
  const auto operands = graph_.operands(node);
  const Op op = graph_[node].op;
  const std::string condition = value(operands[0]);
  std::string name;
  if (op == Op::logical_and || op == Op::logical_or) {
    name = declare(node, condition);
    line(fmt::format("if ({}{}) {{", op == Op::logical_or ? "!" : "", name));
    assign_in_scope(name, operands[1]);
  } else {
    name = declare(node, "");
    line(fmt::format("if ({}) {{", condition));
    assign_in_scope(name, operands[1]);
    line("} else {");
    assign_in_scope(name, operands[2]);
  }
  line("}");
  return scopes_.back()[node] = name;
}

}  // namespace lacuna::codegen
