// Floating-point arithmetic of f32 and f64, and the approximations.
#include "runtime/host/exec/numeric.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

struct Add {
  template <class T>
  static LACUNA_INLINE T of(T a, T b) {
    return a + b;
  }
};
struct Subtract {
  template <class T>
  static LACUNA_INLINE T of(T a, T b) {
    return a - b;
  }
};
struct Multiply {
  template <class T>
  static LACUNA_INLINE T of(T a, T b) {
    return a * b;
  }
};
struct Divide {
  template <class T>
  static LACUNA_INLINE T of(T a, T b) {
    return a / b;
  }
};
/// Right in every rounding mode, but a call for each lane where the host has no such instruction.
struct FusedMultiplyAdd {
  static LACUNA_INLINE f32 of(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
  static LACUNA_INLINE f64 of(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }
};
#ifdef __FMA__
using MultiplyAdd = FusedMultiplyAdd;
#else
struct MultiplyAdd {
  /// The product of two floats is exact in double, and a sum rounded to odd may be rounded once
  /// more.
  static LACUNA_INLINE f32 of(f32 a, f32 b, f32 c) {
    return static_cast<f32>(add_to_odd(static_cast<f64>(a) * b, c));
  }
  static LACUNA_INLINE f64 of(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }
};
#endif
struct Reciprocal {
  template <class T>
  static LACUNA_INLINE T of(T a) {
    return T(1) / a;
  }
};
struct Root {
  static LACUNA_INLINE f32 of(f32 a) { return __builtin_sqrtf(a); }
  static LACUNA_INLINE f64 of(f64 a) { return __builtin_sqrt(a); }
};
struct ReciprocalRoot {
  static LACUNA_INLINE f32 of(f32 a) {
    return static_cast<f32>(1.0 / __builtin_sqrt(static_cast<f64>(a)));
  }
  static LACUNA_INLINE f64 of(f64 a) { return 1.0 / __builtin_sqrt(a); }
};
struct Exp2 {
  static LACUNA_INLINE f32 of(f32 a) { return exp2_single(a); }
};
struct Log2 {
  static LACUNA_INLINE f32 of(f32 a) { return log2_single(a); }
};
struct Tanh {
  static LACUNA_INLINE f32 of(f32 a) { return tanh_single(a); }
};
struct Sine {
  static LACUNA_INLINE f32 of(f32 a) { return sine_single(a, 0.0); }
};
struct Cosine {
  static LACUNA_INLINE f32 of(f32 a) { return sine_single(a, 1.0); }
};

/// The larger: the number where one is NaN, +0 where both are zeros.
struct Maximum {
  template <class T>
  static LACUNA_INLINE T of(T a, T b) {
    const T larger = a > b ? a : b;
    const T zeros = f_and(a, b);
    return a != a ? b : b != b ? a : a == b ? zeros : larger;
  }
  static LACUNA_INLINE f32 f_and(f32 a, f32 b) { return f32_of(bits_of(a) & bits_of(b)); }
  static LACUNA_INLINE f64 f_and(f64 a, f64 b) { return f64_of(bits_of(a) & bits_of(b)); }
};
struct Minimum {
  template <class T>
  static LACUNA_INLINE T of(T a, T b) {
    const T smaller = a < b ? a : b;
    const T zeros = f_or(a, b);
    return a != a ? b : b != b ? a : a == b ? zeros : smaller;
  }
  static LACUNA_INLINE f32 f_or(f32 a, f32 b) { return f32_of(bits_of(a) | bits_of(b)); }
  static LACUNA_INLINE f64 f_or(f64 a, f64 b) { return f64_of(bits_of(a) | bits_of(b)); }
};
template <class Op>
struct OrNan {
  template <class T>
  static LACUNA_INLINE T of(T a, T b) {
    return a != a || b != b ? a + b : Op::of(a, b);
  }
};

template <class T, class Op, bool ftz, bool sat>
constexpr auto unary = [](T a) -> T { return output<ftz, sat>(Op::of(input<ftz>(a))); };
template <class T, class Op, bool ftz, bool sat>
constexpr auto binary =
    [](T a, T b) -> T { return output<ftz, sat>(Op::of(input<ftz>(a), input<ftz>(b))); };
template <class T, class Op, bool ftz, bool sat>
constexpr auto ternary = [](T a, T b, T c) -> T {
  return output<ftz, sat>(Op::of(input<ftz>(a), input<ftz>(b), input<ftz>(c)));
};

// clang-format off
// Four forms of an f32 operation in one rounding mode: plain, .ftz, .sat, .ftz.sat.
#define FOUR(arity, Op, name, mode)                                             \
  rounding_row(name ".f32", mode, arity<f32, Op, false, false>),                \
      rounding_row(name ".ftz.f32", mode, arity<f32, Op, true, false>),         \
      rounding_row(name ".sat.f32", mode, arity<f32, Op, false, true>),         \
      rounding_row(name ".ftz.sat.f32", mode, arity<f32, Op, true, true>),
#define TWO(arity, Op, name, mode)                                              \
  rounding_row(name ".f32", mode, arity<f32, Op, false, false>),                \
      rounding_row(name ".ftz.f32", mode, arity<f32, Op, true, false>),
#define DOUBLE(arity, Op, name, mode) rounding_row(name ".f64", mode, arity<f64, Op, false, false>),

#define DIRECTED(X, arity, Op, name) \
  X(arity, Op, name ".rz", to_zero) X(arity, Op, name ".rm", down) X(arity, Op, name ".rp", up)
#define MODES(X, arity, Op, name) X(arity, Op, name ".rn", to_nearest) DIRECTED(X, arity, Op, name)
#define FUSED(X, name) \
  X(ternary, MultiplyAdd, name ".rn", to_nearest) DIRECTED(X, ternary, FusedMultiplyAdd, name)
#define ROUNDED_OR_NOT(X, arity, Op, name) X(arity, Op, name, to_nearest) MODES(X, arity, Op, name)

#define TESTS(T, U, most, mantissa) \
  row("testp.finite." #T, [](T a) -> bool { return (bits_of(a) & most) < (most & ~mantissa); }), \
      row("testp.infinite." #T, \
          [](T a) -> bool { return (bits_of(a) & most) == (most & ~mantissa); }), \
      row("testp.number." #T, [](T a) -> bool { return a == a; }), \
      row("testp.notanumber." #T, [](T a) -> bool { return a != a; }), \
      row("testp.normal." #T, [](T a) -> bool { \
        const U exponent = bits_of(a) & most & ~mantissa; \
        return exponent != 0 && exponent != (most & ~mantissa); \
      }), \
      row("testp.subnormal." #T, [](T a) -> bool { \
        return (bits_of(a) & most & ~mantissa) == 0 && (bits_of(a) & mantissa) != 0; \
      }),

#define SELECT_SIGN(T) \
  row("slct." #T ".f32", [](T a, T b, f32 c) -> T { return c >= 0.0f ? a : b; }), \
      row("slct.ftz." #T ".f32", [](T a, T b, f32 c) -> T { return flush(c) >= 0.0f ? a : b; }),

constexpr Row rows[] = {
    ROUNDED_OR_NOT(FOUR, binary, Add, "add") ROUNDED_OR_NOT(DOUBLE, binary, Add, "add")
    ROUNDED_OR_NOT(FOUR, binary, Subtract, "sub") ROUNDED_OR_NOT(DOUBLE, binary, Subtract, "sub")
    ROUNDED_OR_NOT(FOUR, binary, Multiply, "mul") ROUNDED_OR_NOT(DOUBLE, binary, Multiply, "mul")
    FUSED(FOUR, "fma") FUSED(DOUBLE, "fma") FUSED(FOUR, "mad") FUSED(DOUBLE, "mad")
    MODES(TWO, binary, Divide, "div") MODES(DOUBLE, binary, Divide, "div")
    MODES(TWO, unary, Reciprocal, "rcp") MODES(DOUBLE, unary, Reciprocal, "rcp")
    MODES(TWO, unary, Root, "sqrt") MODES(DOUBLE, unary, Root, "sqrt")
    TWO(binary, Divide, "div.full", to_nearest) TWO(binary, Divide, "div.approx", to_nearest)
    TWO(unary, Reciprocal, "rcp.approx", to_nearest) TWO(unary, Root, "sqrt.approx", to_nearest)
    TWO(unary, ReciprocalRoot, "rsqrt.approx", to_nearest)
    DOUBLE(unary, ReciprocalRoot, "rsqrt.approx", to_nearest)
    TWO(unary, Exp2, "ex2.approx", to_nearest) TWO(unary, Log2, "lg2.approx", to_nearest)
    TWO(unary, Sine, "sin.approx", to_nearest) TWO(unary, Cosine, "cos.approx", to_nearest)
    row("tanh.approx.f32", unary<f32, Tanh, false, false>),
    TWO(binary, Minimum, "min", to_nearest) TWO(binary, Maximum, "max", to_nearest)
    DOUBLE(binary, Minimum, "min", to_nearest) DOUBLE(binary, Maximum, "max", to_nearest)
    row("min.NaN.f32", binary<f32, OrNan<Minimum>, false, false>),
    row("min.ftz.NaN.f32", binary<f32, OrNan<Minimum>, true, false>),
    row("max.NaN.f32", binary<f32, OrNan<Maximum>, false, false>),
    row("max.ftz.NaN.f32", binary<f32, OrNan<Maximum>, true, false>),
    row("abs.f32", [](u32 a) -> u32 { return a & 0x7fffffffu; }),
    row("abs.ftz.f32", [](f32 a) -> u32 { return bits_of(flush(a)) & 0x7fffffffu; }),
    row("abs.f64", [](u64 a) -> u64 { return a & 0x7fffffffffffffffu; }),
    row("neg.f32", [](u32 a) -> u32 { return a ^ 0x80000000u; }),
    row("neg.ftz.f32", [](f32 a) -> u32 { return bits_of(flush(a)) ^ 0x80000000u; }),
    row("neg.f64", [](u64 a) -> u64 { return a ^ 0x8000000000000000u; }),
    row("copysign.f32", [](u32 a, u32 b) -> u32 { return (a & 0x80000000u) | (b & 0x7fffffffu); }),
    row("copysign.f64", [](u64 a, u64 b) -> u64 {
      return (a & 0x8000000000000000u) | (b & 0x7fffffffffffffffu);
    }),
    TESTS(f32, u32, 0x7fffffffu, 0x7fffffu) TESTS(f64, u64, 0x7fffffffffffffffu, 0xfffffffffffffu)
    SELECT_SIGN(b16) SELECT_SIGN(b32) SELECT_SIGN(b64) SELECT_SIGN(u16) SELECT_SIGN(u32)
    SELECT_SIGN(u64)
    SELECT_SIGN(s16) SELECT_SIGN(s32) SELECT_SIGN(s64)
    row("slct.f32.f32", [](b32 a, b32 b, f32 c) -> b32 { return c >= 0.0f ? a : b; }),
    row("slct.ftz.f32.f32", [](b32 a, b32 b, f32 c) -> b32 { return flush(c) >= 0.0f ? a : b; }),
    row("slct.f64.f32", [](b64 a, b64 b, f32 c) -> b64 { return c >= 0.0f ? a : b; }),
    row("slct.ftz.f64.f32", [](b64 a, b64 b, f32 c) -> b64 { return flush(c) >= 0.0f ? a : b; }),
};
// clang-format on

}  // namespace

Rows float_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
