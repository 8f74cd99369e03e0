#include "compiler/lang/ast.h"

#include <algorithm>
#include <cmath>

namespace lacuna::lang {
namespace {

ExprPtr finish(Expr expr) {
  for (const ExprPtr& operand : expr.operands) {
    expr.depth = std::max(expr.depth, operand->depth + 1);
    expr.size = std::min(expr.size + operand->size, max_size + 1);
  }
  return std::make_shared<const Expr>(std::move(expr));
}

ExprPtr finish(ExprKind kind, std::string_view name, std::vector<ExprPtr> operands, Place place) {
  Expr expr{kind, place};
  expr.name = name;
  expr.operands = std::move(operands);
  return finish(std::move(expr));
}

}  // namespace

ExprPtr make_boolean(bool value, Place place) {
  Expr expr{ExprKind::boolean, place};
  expr.integer = value;
  return finish(std::move(expr));
}

ExprPtr make_integer(std::int64_t value, Place place) {
  Expr expr{ExprKind::integer, place};
  expr.integer = value;
  return finish(std::move(expr));
}

ExprPtr make_real(float value, Place place) {
  Expr expr{ExprKind::real, place};
  expr.real = value;
  return finish(std::move(expr));
}

ExprPtr make_name(std::string_view name, Place place) {
  return finish(ExprKind::name, name, {}, place);
}

ExprPtr make_call(std::string_view name, std::vector<ExprPtr> arguments, Place place) {
  return finish(ExprKind::call, name, std::move(arguments), place);
}

ExprPtr make_read(std::string_view name, std::vector<ExprPtr> indices, Place place) {
  return finish(ExprKind::read, name, std::move(indices), place);
}

ExprPtr make_unary(std::string_view op, ExprPtr operand, Place place) {
  bool integer = operand->kind == ExprKind::integer && operand->integer >= 0;
  bool real = operand->kind == ExprKind::real && !std::signbit(operand->real);
  if (op == "-" && integer) return make_integer(-operand->integer, place);
  if (op == "-" && real) return make_real(-operand->real, place);
  return finish(ExprKind::unary, op, {std::move(operand)}, place);
}

ExprPtr make_binary(std::string_view op, ExprPtr left, ExprPtr right, Place place) {
  return finish(ExprKind::binary, op, {std::move(left), std::move(right)}, place);
}

ExprPtr make_chain(std::vector<ExprPtr> operands, std::vector<std::string> operators,
                   std::vector<Place> places) {
  Expr expr{ExprKind::chain, places.front()};
  expr.operands = std::move(operands);
  expr.operators = std::move(operators);
  expr.places = std::move(places);
  return finish(std::move(expr));
}

}  // namespace lacuna::lang
