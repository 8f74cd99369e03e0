#pragma once
#include "compiler/ir/evaluate.h"
#include "compiler/plan/spans.h"

#include <type_traits>

namespace lacuna::plan {

/// The one of them that the type of an expression says.
struct AnySpan {
  spans::Int integer{};
  spans::Real real{};
  spans::Bool truth{};

  AnySpan() = default;
  AnySpan(spans::Int x) : integer(x) {}
  AnySpan(spans::Real x) : real(x) {}
  AnySpan(spans::Bool x) : truth(x) {}
  template <class T>
  const T& as() const {
    if constexpr (std::is_same_v<T, spans::Int>)
      return integer;
    else if constexpr (std::is_same_v<T, spans::Real>)
      return real;
    else
      return truth;
  }
};

/// A rule of templates/intervals.cuh over as many spans as its operator has operands.
template <class A, class B, class C, class Rule, class Fetch>
AnySpan applied(const Rule& rule, const Fetch& operand) {
  if constexpr (!std::is_void_v<C>)
    return rule(operand(0).template as<A>(), operand(1).template as<B>(),
                operand(2).template as<C>());
  else if constexpr (!std::is_void_v<B>)
    return rule(operand(0).template as<A>(), operand(1).template as<B>());
  else
    return rule(operand(0).template as<A>());
}

/// The `interval` column of ops.def.
template <class Fetch>
AnySpan apply(ir::Op op, const Fetch& operand) {
  using boolean = spans::Bool;
  using i32 = spans::Int;
  using f32 = spans::Real;
  using none = void;
  switch (op) {
#define LACUNA_OP(name, spelling, result, A, B, C, evaluate, emit, interval) \
  case ir::Op::name:                                                         \
    return applied<A, B, C>([](const auto&... of) { return spans::interval(of...); }, operand);
#include "compiler/ir/ops.def"
#undef LACUNA_OP
    default:
      return {};
  }
}

inline AnySpan point_of(ir::Type type, const ir::Value& value) {
  if (type == ir::Type::f32) return spans::point(static_cast<float>(value.real));
  if (type == ir::Type::boolean) return spans::point(value.integer != 0);
  return spans::point(s32{value.integer});
}
inline AnySpan whole_of(ir::Type type) {
  if (type == ir::Type::f32) return spans::whole_real();
  if (type == ir::Type::boolean) return spans::whole_bool();
  return spans::whole_int();
}

}  // namespace lacuna::plan
