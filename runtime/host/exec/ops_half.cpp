// Arithmetic of f16 and bf16, alone and in pairs: computed wide and rounded once.
#include "runtime/host/exec/numeric.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

// Sums and products of halves are exact enough in double that one rounding follows.
struct Add {
  static LACUNA_INLINE f64 of(f64 a, f64 b) { return add_to_odd(a, b); }
};
struct Subtract {
  static LACUNA_INLINE f64 of(f64 a, f64 b) { return add_to_odd(a, -b); }
};
struct Multiply {
  static LACUNA_INLINE f64 of(f64 a, f64 b) { return a * b; }
};
struct MultiplyAdd {
  static LACUNA_INLINE f64 of(f64 a, f64 b, f64 c) { return add_to_odd(a * b, c); }
};

LACUNA_INLINE bool is_nan(f16 a) {
  return (a.bits & 0x7fffu) > 0x7c00u;
}
LACUNA_INLINE bool is_nan(bf16 a) {
  return (a.bits & 0x7fffu) > 0x7f80u;
}
template <class H>
LACUNA_INLINE H half_of(u32 bits) {
  return {static_cast<u16>(bits)};
}
template <bool ftz, class H>
LACUNA_INLINE H input(H a) {
  if constexpr (ftz) return flush(a);
  return a;
}

template <class H, class Op, bool ftz, bool sat>
LACUNA_INLINE H finish(f64 x) {
  const H rounded = narrow_double<H>(sat ? saturate(x) : x);
  return input<ftz>(rounded);
}

template <bool larger, bool or_nan, class H>
LACUNA_INLINE H choose(H a, H b) {
  const f32 x = widen(a), y = widen(b);
  const H nan = half_of<H>(0x7fffu);
  const H zeros = half_of<H>(larger ? a.bits & b.bits : a.bits | b.bits);
  const H number = x == y ? zeros : (x > y) == larger ? a : b;
  if (or_nan) return is_nan(a) || is_nan(b) ? nan : number;
  return is_nan(a) ? (is_nan(b) ? nan : b) : is_nan(b) ? a : number;
}

template <class H, class Op, bool ftz, bool sat>
struct Binary {
  static LACUNA_INLINE H of(H a, H b) {
    return finish<H, Op, ftz, sat>(Op::of(widen(input<ftz>(a)), widen(input<ftz>(b))));
  }
};
template <class H, bool ftz, bool sat, bool relu>
struct Ternary {
  static LACUNA_INLINE H of(H a, H b, H c) {
    const f64 x = MultiplyAdd::of(widen(input<ftz>(a)), widen(input<ftz>(b)), widen(input<ftz>(c)));
    return finish<H, MultiplyAdd, ftz, sat>(relu && x <= 0.0 ? 0.0 : x);
  }
};
template <class H, bool larger, bool ftz, bool or_nan>
struct Choose {
  static LACUNA_INLINE H of(H a, H b) {
    return choose<larger, or_nan>(input<ftz>(a), input<ftz>(b));
  }
};
template <class H>
struct Exp2 {
  static LACUNA_INLINE H of(H a) { return narrow<H>(exp2_single(widen(a))); }
};
template <class H>
struct Tanh {
  static LACUNA_INLINE H of(H a) { return narrow<H>(tanh_single(widen(a))); }
};
template <class H, u16 keep, u16 flip>
struct Sign {
  static LACUNA_INLINE H of(H a) { return half_of<H>((a.bits & keep) ^ flip); }
};

template <class H>
LACUNA_INLINE H low(u32 pair) {
  return half_of<H>(pair);
}
template <class H>
LACUNA_INLINE H high(u32 pair) {
  return half_of<H>(pair >> 16);
}
template <class H>
LACUNA_INLINE u32 join(H high, H low) {
  return static_cast<u32>(high.bits) << 16 | low.bits;
}

template <class H, class Op>
constexpr auto one1 = [](H a) -> H { return Op::of(a); };
template <class H, class Op>
constexpr auto one2 = [](H a, H b) -> H { return Op::of(a, b); };
template <class H, class Op>
constexpr auto one3 = [](H a, H b, H c) -> H { return Op::of(a, b, c); };
template <class H, class Op>
constexpr auto two1 = [](u32 a) -> u32 { return join<H>(Op::of(high<H>(a)), Op::of(low<H>(a))); };
template <class H, class Op>
constexpr auto two2 = [](u32 a, u32 b) -> u32 {
  return join<H>(Op::of(high<H>(a), high<H>(b)), Op::of(low<H>(a), low<H>(b)));
};
template <class H, class Op>
constexpr auto two3 = [](u32 a, u32 b, u32 c) -> u32 {
  return join<H>(Op::of(high<H>(a), high<H>(b), high<H>(c)),
                 Op::of(low<H>(a), low<H>(b), low<H>(c)));
};

// clang-format off
#define FORMS(arity, name, H, ...) \
  rare(name "." #H, one##arity<H, __VA_ARGS__>), rare(name "." #H "x2", two##arity<H, __VA_ARGS__>),
#define SUM(name, Op) \
  FORMS(2, name, f16, Binary<f16, Op, false, false>) \
  FORMS(2, name ".ftz", f16, Binary<f16, Op, true, false>) \
  FORMS(2, name ".sat", f16, Binary<f16, Op, false, true>) \
  FORMS(2, name ".ftz.sat", f16, Binary<f16, Op, true, true>)
#define CHOOSE(name, larger) \
  FORMS(2, name, f16, Choose<f16, larger, false, false>) \
  FORMS(2, name ".ftz", f16, Choose<f16, larger, true, false>) \
  FORMS(2, name ".NaN", f16, Choose<f16, larger, false, true>) \
  FORMS(2, name ".ftz.NaN", f16, Choose<f16, larger, true, true>) \
  FORMS(2, name, bf16, Choose<bf16, larger, false, false>) \
  FORMS(2, name ".NaN", bf16, Choose<bf16, larger, false, true>)

constexpr Row rows[] = {
    SUM("add", Add) SUM("add.rn", Add) SUM("sub", Subtract) SUM("sub.rn", Subtract)
    SUM("mul", Multiply) SUM("mul.rn", Multiply)
    FORMS(2, "add.rn", bf16, Binary<bf16, Add, false, false>)
    FORMS(2, "add", bf16, Binary<bf16, Add, false, false>)
    FORMS(2, "sub.rn", bf16, Binary<bf16, Subtract, false, false>)
    FORMS(2, "sub", bf16, Binary<bf16, Subtract, false, false>)
    FORMS(2, "mul.rn", bf16, Binary<bf16, Multiply, false, false>)
    FORMS(2, "mul", bf16, Binary<bf16, Multiply, false, false>)
    FORMS(3, "fma.rn", f16, Ternary<f16, false, false, false>)
    FORMS(3, "fma.rn.ftz", f16, Ternary<f16, true, false, false>)
    FORMS(3, "fma.rn.sat", f16, Ternary<f16, false, true, false>)
    FORMS(3, "fma.rn.ftz.sat", f16, Ternary<f16, true, true, false>)
    FORMS(3, "fma.rn.relu", f16, Ternary<f16, false, false, true>)
    FORMS(3, "fma.rn.ftz.relu", f16, Ternary<f16, true, false, true>)
    FORMS(3, "fma.rn", bf16, Ternary<bf16, false, false, false>)
    FORMS(3, "fma.rn.relu", bf16, Ternary<bf16, false, false, true>)
    CHOOSE("min", false) CHOOSE("max", true)
    FORMS(1, "abs", f16, Sign<f16, 0x7fff, 0>) FORMS(1, "neg", f16, Sign<f16, 0xffff, 0x8000>)
    FORMS(1, "abs", bf16, Sign<bf16, 0x7fff, 0>) FORMS(1, "neg", bf16, Sign<bf16, 0xffff, 0x8000>)
    FORMS(1, "ex2.approx", f16, Exp2<f16>) FORMS(1, "ex2.approx.ftz", bf16, Exp2<bf16>)
    FORMS(1, "tanh.approx", f16, Tanh<f16>) FORMS(1, "tanh.approx", bf16, Tanh<bf16>)
};
// clang-format on

}  // namespace

Rows half_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
