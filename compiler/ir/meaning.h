#pragma once
#include "compiler/ir/evaluate.h"
#include "compiler/ir/scalar.h"

#include <type_traits>

namespace lacuna::ir {

/// An operand that is computed when, and only if, C++ reads it.
template <class T, class Fetch>
struct Lazy {
  const Fetch& fetch;
  int index;
  operator T() const {
    const Value value = fetch(index);
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(value.real);
    else
      return static_cast<T>(value.integer);
  }
};

/// The `evaluate` column of ops.def: the value of `op` over operands that `fetch(0..2)` gives. Real
/// is float, or double for what depends on score.
template <class Real, class Fetch>
Value meaning(Op op, const Fetch& fetch) {
  using namespace scalar;
  using boolean = bool;
  using f32 = Real;
  struct none {};
  switch (op) {
#define LACUNA_OP(name, spelling, result, A, B, C, evaluate, emit, interval) \
  case Op::name: {                                                           \
    [[maybe_unused]] const Lazy<A, Fetch> a{fetch, 0};                       \
    [[maybe_unused]] const Lazy<B, Fetch> b{fetch, 1};                       \
    [[maybe_unused]] const Lazy<C, Fetch> c{fetch, 2};                       \
    const result value = static_cast<result>(evaluate);                      \
    if constexpr (std::is_floating_point_v<result>)                          \
      return Value{0, static_cast<double>(value)};                           \
    else                                                                     \
      return Value{static_cast<std::int32_t>(value), 0};                     \
  }
#include "compiler/ir/ops.def"
#undef LACUNA_OP
    default:
      return {};
  }
}

}  // namespace lacuna::ir
