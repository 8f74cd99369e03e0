#include "compiler/base/diagnostic.h"
#include "compiler/lang/scope.h"
#include "compiler/lang/words.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::lang {
namespace {

class NameChecker {
 public:
  NameChecker(View names, const DefStatement* def) : names_(names), def_(def) {}

  ir::Dependence check(const Expr& expr) const {
    switch (expr.kind) {
      case ExprKind::name:
        return check_value(expr, false);
      case ExprKind::read:
        return check_read(expr);
      case ExprKind::call:
        return check_call(expr);
      default:
        return check_operands(expr);
    }
  }

 private:
  ir::Dependence check_operands(const Expr& expr) const {
    ir::Dependence uses = 0;
    for (const ExprPtr& operand : expr.operands) uses |= check(*operand);
    return uses;
  }

  /// An argument of a def may also be a tensor's name; what it is used as is known only in the
  /// body.
  ir::Dependence check_value(const Expr& expr, bool argument) const {
    if (auto variable = builtin_value(expr.name)) return ir::on(*variable);
    if (parameter_index(def_, expr.name) >= 0) return 0;
    const Declaration* tensor = argument ? find(names_, expr.name, Sought::tensor) : nullptr;
    const Declaration* value = find(names_, expr.name, Sought::value);
    if (!value && !tensor) undefined(expr, argument ? "value or tensor" : "value");
    ir::Dependence uses = tensor ? ir::on_tensor : 0;
    if (value && value->kind == NameKind::param) uses |= ir::on_param;
    return value ? uses | value->uses : uses;
  }

  ir::Dependence check_read(const Expr& expr) const {
    bool known = parameter_index(def_, expr.name) >= 0 || find(names_, expr.name, Sought::tensor);
    if (!known) undefined(expr, "tensor");
    return check_operands(expr) | ir::on_tensor;
  }

  ir::Dependence check_call(const Expr& expr) const {
    if (int arity = function_arity(expr.name)) {
      check_count(expr, arity);
      return check_operands(expr);
    }
    const Declaration* def = find(names_, expr.name, Sought::call);
    if (!def) undefined(expr, "function");
    check_count(expr, static_cast<int>(def->def->parameters.size()));
    ir::Dependence uses = def->uses;
    for (const ExprPtr& argument : expr.operands) {
      bool name = argument->kind == ExprKind::name;
      uses |= name ? check_value(*argument, true) : check(*argument);
    }
    return uses;
  }

  void check_count(const Expr& call, int wanted) const {
    int found = static_cast<int>(call.operands.size());
    if (found == wanted) return;
    fail(call, fmt::format("'{}' takes {} argument{}; found {}", call.name, wanted,
                           wanted == 1 ? "" : "s", found));
  }

  [[noreturn]] void undefined(const Expr& expr, std::string_view wanted) const {
    if (auto instead = what_it_is(expr.name, wanted); !instead.empty()) {
      fail(expr, fmt::format("'{}' {}", expr.name, instead));
    }
    for (View view = names_; view.scope; view = view.scope->outer()) {
      int line = view.scope->line_of(expr.name);
      if (line > expr.place.line) {
        fail(expr, fmt::format("'{}' is used before line {} defines it", expr.name, line));
      }
    }
    fail(expr,
         fmt::format("'{}' is not defined{}", expr.name, suggestion(expr.name, known_names())));
  }

  /// Names mean different things before ( and [ and elsewhere: what this one is in another place.
  std::string what_it_is(const std::string& name, std::string_view wanted) const {
    if (def_ && def_->name == name) return "calls itself; defs are not recursive";
    if (builtin_value(name)) return fmt::format("is a built-in value, not a {}", wanted);
    if (parameter_index(def_, name) >= 0) return fmt::format("is a parameter, not a {}", wanted);
    if (function_arity(name) > 0) return fmt::format("is a function: write {}(...)", name);
    if (auto def = find(names_, name, Sought::call)) {
      std::string list;
      for (const auto& parameter : def->def->parameters) {
        list += (list.empty() ? "" : ", ") + parameter.name;
      }
      return fmt::format("is a def with arguments: write {}({})", name, list);
    }
    if (find(names_, name, Sought::tensor)) return fmt::format("is a tensor: write {}[...]", name);
    auto value = find(names_, name, Sought::value);
    if (!value) return "";
    if (value->kind == NameKind::def)
      return fmt::format("is a def without arguments: write {}", name);
    return fmt::format("is a {}, not a {}", name_of(value->kind), wanted);
  }

  std::vector<std::string_view> known_names() const {
    std::vector<std::string_view> known;
    if (def_) {
      for (const auto& parameter : def_->parameters) known.push_back(parameter.name);
    }
    for (View view = names_; view.scope; view = view.scope->outer()) {
      for (std::size_t i = 0; i < view.visible; ++i) {
        known.push_back(view.scope->declarations()[i].name);
      }
    }
    std::ranges::copy(functions(), std::back_inserter(known));
    std::ranges::copy(ir::variable_names, std::back_inserter(known));
    return known;
  }

  [[noreturn]] void fail(const Expr& expr, std::string_view message) const {
    names_.scope->fail(expr.place, message);
  }

  View names_;
  const DefStatement* def_;
};

}  // namespace

ir::Dependence check_names(const Expr& expr, View names, const DefStatement* def) {
  return NameChecker(names, def).check(expr);
}

}  // namespace lacuna::lang
