#include "compiler/lang/typing.h"

#include "compiler/base/diagnostic.h"
#include "compiler/ir/overload.h"
#include "compiler/lang/mismatch.h"
#include "compiler/lang/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace lacuna::lang {
namespace {

struct Nesting {
  explicit Nesting(int& count) : count_(++count) {}
  ~Nesting() { --count_; }
  int& count_;
};

}  // namespace

ir::NodeId Typing::resolve(const Expr& e, View names, const Role& role) {
  check_names(e, names, nullptr);
  role_ = role;
  return expr(e, Frame{names});
}

ir::NodeId Typing::resolve_real(const Expr& e, View names, const Role& role) {
  ir::NodeId id = promoted(resolve(e, names, role));
  check_depth(id, e.place, Frame{names});
  return id;
}

void Typing::resolve_def(const Declaration& def) {
  if (!def.def->parameters.empty()) return;
  role_ = Role{0, "", graph_.variable(ir::Variable::score)};
  ExprPtr use = make_name(def.name);
  expand(def, {}, *use, Frame{def.names});
}

ir::NodeId Typing::promoted(ir::NodeId id) {
  return type(id) == ir::Type::i32 ? graph_.make(ir::Op::f32_of_i32, {id}) : id;
}

ir::NodeId Typing::expr(const Expr& e, const Frame& frame) {
  if (++steps_ > max_size) {
    fail(frame, e.place, fmt::format("the defs expand to more than {} parts", max_size));
  }
  if (nesting_ >= max_depth) too_deep(frame, e.place);
  Nesting nesting(nesting_);
  switch (e.kind) {
    case ExprKind::boolean:
      return graph_.constant(e.integer != 0);
    case ExprKind::integer:
      if (!std::in_range<std::int32_t>(e.integer)) {
        fail(frame, e.place, fmt::format("'{}' does not fit i32", e.integer));
      }
      return graph_.constant(static_cast<std::int32_t>(e.integer));
    case ExprKind::real:
      return graph_.constant(e.real);
    case ExprKind::name:
      return name(e, frame);
    case ExprKind::call:
      return call(e, frame);
    case ExprKind::read:
      return read(e, frame);
    case ExprKind::chain:
      return chain(e, frame);
    case ExprKind::unary:
    case ExprKind::binary:
      break;
  }
  return apply(e.name, operands(e, frame), e.place, frame);
}

std::vector<ir::NodeId> Typing::operands(const Expr& e, const Frame& frame) {
  std::vector<ir::NodeId> ids;
  for (const ExprPtr& operand : e.operands) ids.push_back(expr(*operand, frame));
  return ids;
}

ir::NodeId Typing::name(const Expr& e, const Frame& frame) {
  if (auto variable = builtin_value(e.name)) return builtin(*variable, e, frame);
  if (int index = parameter_index(frame.def, e.name); index >= 0) return parameter(index, e, frame);
  const Declaration& found = *find(frame.names, e.name, Sought::value);
  if (found.kind == NameKind::def) return expand(found, {}, e, frame);
  if (found.kind == NameKind::constant) return constant(found.index);
  check_allowed(ir::on_param, e, frame);
  return graph_.param(found.index, pattern_.params[found.index].type);
}

ir::NodeId Typing::builtin(ir::Variable v, const Expr& e, const Frame& frame) {
  check_allowed(ir::on(v), e, frame);
  return v == ir::Variable::score ? role_.score : graph_.variable(v);
}

ir::NodeId Typing::constant(std::uint32_t index) {
  return std::visit([&](auto value) { return graph_.constant(value); },
                    pattern_.consts[index].value);
}

ir::NodeId Typing::parameter(int index, const Expr& e, const Frame& frame) {
  const Argument& given = frame.arguments[index];
  if (given.value != ir::no_node) return given.value;
  fail(*frame.caller, given.expr->place,
       fmt::format("'{}' is a tensor; '{}' uses '{}' as a value", given.expr->name, frame.def->name,
                   e.name));
}

ir::NodeId Typing::call(const Expr& e, const Frame& frame) {
  if (function_arity(e.name) == 0) {
    std::vector<Argument> arguments;
    for (const ExprPtr& operand : e.operands) arguments.push_back(argument(*operand, frame));
    return expand(*find(frame.names, e.name, Sought::call), std::move(arguments), e, frame);
  }
  auto given = operands(e, frame);
  if (e.name == "softcap") {
    auto quotient = apply("/", given, e.place, frame);
    return apply("*", {given[1], apply("tanh", {quotient}, e.place, frame)}, e.place, frame);
  }
  bool identity = e.name == name_of(type(given[0]));  // i32(x) of an i32
  return identity ? given[0] : apply(e.name, given, e.place, frame);
}

Typing::Argument Typing::argument(const Expr& e, const Frame& frame) {
  Argument result{ir::no_node, -1, &e};
  if (e.kind == ExprKind::name && !builtin_value(e.name)) {
    if (int index = parameter_index(frame.def, e.name); index >= 0) {
      const Argument& given = frame.arguments[index];
      return {given.value, given.tensor, &e};
    }
    auto tensor = find(frame.names, e.name, Sought::tensor);
    if (tensor) result.tensor = static_cast<int>(tensor->index);
    if (!find(frame.names, e.name, Sought::value)) return result;
  }
  result.value = expr(e, frame);
  return result;
}

/// The body of a def with its arguments in place. Kept under everything that it can depend on,
/// unless the body mentions what is forbidden here: then it is walked again, to the place of the
/// mistake.
ir::NodeId Typing::expand(const Declaration& def, std::vector<Argument> arguments, const Expr& e,
                          const Frame& frame) {
  Key key = {reinterpret_cast<std::uintptr_t>(&def)};
  key.push_back(def.uses & ir::on(ir::Variable::score) ? role_.score : ir::no_node);
  for (const Argument& given : arguments) {
    key.push_back(given.value);
    key.push_back(static_cast<std::uint64_t>(given.tensor));
  }
  bool allowed = (def.uses & role_.forbidden) == 0;
  if (auto known = expanded_.find(key); allowed && known != expanded_.end()) return known->second;
  ir::NodeId result = expr(*def.def->body, Frame{def.names, def.def, arguments, &frame, e.place});
  expanded_[key] = result;
  return result;
}

int Typing::tensor_index(const Expr& e, const Frame& frame) {
  int index = parameter_index(frame.def, e.name);
  if (index < 0) return static_cast<int>(find(frame.names, e.name, Sought::tensor)->index);
  const Argument& given = frame.arguments[index];
  if (given.tensor >= 0) return given.tensor;
  fail(*frame.caller, given.expr->place,
       fmt::format("'{}' reads its argument '{}' as a tensor; this is a value", frame.def->name,
                   e.name));
}

ir::NodeId Typing::read(const Expr& e, const Frame& frame) {
  int index = tensor_index(e, frame);
  check_allowed(ir::on_tensor, e, frame);
  const ir::Tensor& tensor = pattern_.tensors[index];
  if (tensor.axes.size() != e.operands.size()) {
    fail(frame, e.place,
         fmt::format("'{}' has {} ax{}s; found {} ind{}", tensor.name, tensor.axes.size(),
                     tensor.axes.size() == 1 ? "i" : "e", e.operands.size(),
                     e.operands.size() == 1 ? "ex" : "ices"));
  }
  auto indices = operands(e, frame);
  for (std::size_t axis = 0; axis < indices.size(); ++axis) {
    check_index(tensor, axis, indices[axis], *e.operands[axis], frame);
  }
  ir::NodeId result = graph_.read(index, tensor.type, indices);
  check_depth(result, e.place, frame);
  const File& file = frame.names.scope->file();
  read_places_.try_emplace(result, Span{file.origin, e.place.line, e.place.column});
  return result;
}

void Typing::check_index(const ir::Tensor& tensor, std::size_t axis, ir::NodeId index,
                         const Expr& e, const Frame& frame) {
  ir::AxisKind kind = tensor.axes[axis].kind;
  if (type(index) != ir::Type::i32) {
    fail(frame, e.place, fmt::format("an index is i32; found {}", name_of(type(index))));
  }
  constexpr std::array<ir::Variable, 4> only = {ir::Variable::b, ir::Variable::h, ir::Variable::g,
                                                ir::Variable::q};
  if (static_cast<std::size_t>(kind) >= only.size()) return;
  ir::Variable wanted = only[static_cast<std::size_t>(kind)];
  if (index == graph_.variable(wanted)) return;
  fail(frame, e.place,
       fmt::format("axis {} of '{}' is '{}': only '{}' may stand there", axis, tensor.name,
                   name_of(kind), name_of(wanted)));
}

/// a < b <= c means a < b and b <= c.
ir::NodeId Typing::chain(const Expr& e, const Frame& frame) {
  auto ids = operands(e, frame);
  ir::NodeId all = ir::no_node;
  for (std::size_t i = 0; i < e.operators.size(); ++i) {
    ir::NodeId link = apply(e.operators[i], {ids[i], ids[i + 1]}, e.places[i], frame);
    all = all == ir::no_node ? link : apply("and", {all, link}, e.places[i], frame);
  }
  return all;
}

ir::NodeId Typing::apply(std::string_view spelling, std::span<const ir::NodeId> given, Place place,
                         const Frame& frame) {
  std::vector<ir::NodeId> ids(given.begin(), given.end());
  std::vector<ir::Type> types;
  for (ir::NodeId id : ids) types.push_back(type(id));
  bool swapped = spelling == ">" || spelling == ">=";
  auto written = spelling == ">" ? "<" : spelling == ">=" ? "<=" : spelling;
  auto op = ir::overload(written, types);
  if (!op) fail(frame, place, mismatch(spelling, types));
  if (swapped) std::swap(ids[0], ids[1]);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ir::row(*op).operands[i] == ir::Type::f32) ids[i] = promoted(ids[i]);
  }
  ir::NodeId result = graph_.make(*op, ids);
  check_depth(result, place, frame);
  return result;
}

/// Every later walk over the graph may recurse because of this.
void Typing::check_depth(ir::NodeId id, Place place, const Frame& frame) {
  for (auto next = static_cast<ir::NodeId>(depth_.size()); next < graph_.size(); ++next) {
    int deepest = 0;
    for (ir::NodeId operand : graph_.operands(next)) deepest = std::max(deepest, depth_[operand]);
    depth_.push_back(deepest + 1);
  }
  if (depth_[id] > max_depth) too_deep(frame, place);
}

void Typing::too_deep(const Frame& frame, Place place) const {
  fail(frame, place,
       fmt::format("the expression nests deeper than {} with its defs expanded", max_depth));
}

void Typing::check_allowed(ir::Dependence use, const Expr& e, const Frame& frame) const {
  if (role_.forbidden & use) fail(frame, e.place, fmt::format("'{}' {}", e.name, role_.complaint));
}

/// A mistake that shows inside a def of the library is the caller's: reported where the user's own
/// text calls it.
void Typing::fail(const Frame& frame, Place place, std::string message) const {
  if (frame.def) message += fmt::format(", in '{}'", frame.def->name);
  const Frame* at = &frame;
  auto in_library = [](const Frame* f) { return f->names.scope->outer().scope == nullptr; };
  for (; in_library(at) && at->caller; at = at->caller) place = at->call;
  if (at == &frame && frame.call.line > 0) {
    message += fmt::format(", called at {}:{}", frame.call.line, frame.call.column);
  }
  at->names.scope->fail(place, message);
}

}  // namespace lacuna::lang
