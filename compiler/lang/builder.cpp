#include "lacuna/builder.hpp"

#include "compiler/base/diagnostic.h"
#include "compiler/lang/ast.h"
#include "compiler/lang/resolve.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace lacuna {
inline namespace LACUNA_ABI {
namespace build {
namespace {

/// Here and not in build(): even destroying a tree recurses.
std::shared_ptr<const lang::Expr> checked(std::shared_ptr<const lang::Expr> tree) {
  auto fail = [](std::string_view how, std::int64_t most) {
    throw Error(ErrorKind::pattern, fmt::format("the expression {} than {}", how, most));
  };
  if (tree->depth > lang::max_depth) fail("nests deeper", lang::max_depth);
  if (tree->size > lang::max_size) fail("has more parts", lang::max_size);
  return tree;
}

std::vector<lang::ExprPtr> trees(const std::vector<Expr>& expressions) {
  std::vector<lang::ExprPtr> result;
  for (const Expr& e : expressions) result.push_back(e.tree());
  return result;
}

bool compares(std::string_view op) {
  return op == "==" || op == "!=" || op.starts_with('<') || op.starts_with('>');
}

}  // namespace

Expr::Expr(std::shared_ptr<const lang::Expr> tree) : tree_(checked(std::move(tree))) {}

Expr Expr::boolean(bool value) {
  return Expr(lang::make_boolean(value));
}

Expr Expr::integer(std::int64_t value) {
  if (std::in_range<std::int32_t>(value)) return Expr(lang::make_integer(value));
  throw Error(ErrorKind::pattern, fmt::format("'{}' does not fit i32", value));
}

Expr Expr::real(double value) {
  bool fits = std::isinf(value) || std::fabs(value) <= std::numeric_limits<float>::max();
  if (fits) return Expr(lang::make_real(static_cast<float>(value)));
  throw Error(ErrorKind::pattern, fmt::format("'{}' does not fit f32", value));
}

Value::operator Expr() const {
  return Expr(lang::make_name(name));
}
Tensor::operator Expr() const {
  return Expr(lang::make_name(name_));
}
Expr Tensor::read(std::vector<Expr> indices) const {
  return Expr(lang::make_read(name_, trees(indices)));
}

Expr call(std::string_view name, std::vector<Expr> arguments) {
  if (arguments.empty()) return Expr(lang::make_name(name));
  return Expr(lang::make_call(name, trees(arguments)));
}

Expr unary(std::string_view op, const Expr& x) {
  return Expr(lang::make_unary(op, x.tree()));
}

Expr binary(std::string_view op, const Expr& x, const Expr& y) {
  bool shift = op == "<<" || op == ">>";
  if (!compares(op) || shift) return Expr(lang::make_binary(op, x.tree(), y.tree()));
  return Expr(lang::make_chain({x.tree(), y.tree()}, {std::string(op)}, {lang::Place{}}));
}

AttentionBuilder::AttentionBuilder(std::string_view name)
    : attention_(std::make_unique<lang::Attention>()) {
  attention_->name = name;
}
AttentionBuilder::~AttentionBuilder() = default;
AttentionBuilder::AttentionBuilder(AttentionBuilder&&) noexcept = default;
AttentionBuilder& AttentionBuilder::operator=(AttentionBuilder&&) noexcept = default;

Expr AttentionBuilder::param(std::string_view name, Type type, std::optional<Expr> initial) {
  auto tree = initial ? initial->tree() : nullptr;
  attention_->statements.emplace_back(
      lang::ParamStatement{std::string(name), {}, static_cast<ir::Type>(type), tree});
  return Expr(lang::make_name(name));
}

Expr AttentionBuilder::constant(std::string_view name, const Expr& value) {
  attention_->statements.emplace_back(lang::ConstStatement{std::string(name), {}, value.tree()});
  return Expr(lang::make_name(name));
}

Tensor AttentionBuilder::tensor(std::string_view name, Type type,
                                std::initializer_list<Axis> axes) {
  lang::TensorStatement statement{std::string(name), {}, static_cast<ir::Type>(type), {}, {}};
  for (const Axis& axis : axes) {
    statement.axes.push_back({static_cast<ir::AxisKind>(axis.kind), axis.extent});
  }
  attention_->statements.emplace_back(std::move(statement));
  return Tensor(std::string(name));
}

AttentionBuilder& AttentionBuilder::mask(const Expr& expr, const MaskWish& wish) {
  lang::MaskStatement statement{expr.tree(), {}, {}, wish.hint};
  statement.wish = static_cast<ir::PlanWish>(wish.plan);
  attention_->statements.emplace_back(std::move(statement));
  return *this;
}

AttentionBuilder& AttentionBuilder::score(const Expr& expr) {
  attention_->statements.emplace_back(lang::ScoreStatement{expr.tree(), {}});
  return *this;
}

AttentionBuilder& AttentionBuilder::weights(const Weights& weights) {
  lang::WeightsStatement statement{weights.name, {}, {}};
  if (weights.value) statement.arguments.push_back({weights.argument, {}, weights.value->tree()});
  attention_->statements.emplace_back(std::move(statement));
  return *this;
}

Pattern AttentionBuilder::build() const {
  auto file = std::make_shared<lang::File>();
  file->origin = attention_->name;
  file->attentions = {*attention_};
  return Pattern(lang::resolve({file, 0, {}}));
}

static_assert(static_cast<int>(Axis::Kind::any) == static_cast<int>(ir::AxisKind::any));
static_assert(static_cast<int>(Type::f32) == static_cast<int>(ir::Type::f32));
static_assert(static_cast<int>(Strategy::elements) == static_cast<int>(ir::PlanWish::elements));

}  // namespace build
}  // namespace LACUNA_ABI
}  // namespace lacuna
