// cvt between integers, f16, bf16, f32 and f64; cvta and isspacep for address windows.
#include "runtime/host/exec/numeric.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

template <class T>
constexpr int width = sizeof(T) * 8;
template <class T>
constexpr T lowest = is_signed_integer<T> ? static_cast<T>(u64{1} << (width<T> - 1)) : T{0};
template <class T>
constexpr T highest = static_cast<T>(~lowest<T>);

/// Clamps to the range of D.
template <class D, class S>
LACUNA_INLINE D saturate_integer(S a) {
  if constexpr (is_signed_integer<S> && !is_signed_integer<D>) {
    const u64 positive = a < 0 ? 0 : static_cast<u64>(a);
    return positive > highest<D> ? highest<D> : static_cast<D>(positive);
  } else if constexpr (!is_signed_integer<S>) {
    return static_cast<u64>(a) > static_cast<u64>(highest<D>) ? highest<D> : static_cast<D>(a);
  } else {
    const s64 wide = a;
    return wide < lowest<D> ? lowest<D> : wide > highest<D> ? highest<D> : static_cast<D>(wide);
  }
}

struct rni {
  static LACUNA_INLINE f64 of(f64 x) { return __builtin_rint(x); }
};
struct rzi {
  static LACUNA_INLINE f64 of(f64 x) { return __builtin_trunc(x); }
};
struct rmi {
  static LACUNA_INLINE f64 of(f64 x) { return __builtin_floor(x); }
};
struct rpi {
  static LACUNA_INLINE f64 of(f64 x) { return __builtin_ceil(x); }
};

/// Clamped; NaN is 0, or where one side has 64 bits the pattern 100...0.
template <class D, class Round, bool wide_source>
LACUNA_INLINE D to_integer(f64 x) {
  const f64 whole = Round::of(x);
  constexpr D not_a_number =
      wide_source || is_wide<D> ? static_cast<D>(u64{1} << (width<D> - 1)) : D{0};
  if constexpr (is_wide<D>) {
    constexpr f64 bound = is_signed_integer<D> ? 0x1p63 : 0x1p64;
    if (whole != whole) return not_a_number;
    if (whole >= bound) return highest<D>;
    if (whole < static_cast<f64>(lowest<D>)) return lowest<D>;
    return static_cast<D>(whole);
  } else {
    constexpr f64 low = static_cast<f64>(lowest<D>), high = static_cast<f64>(highest<D>);
    const f64 above = whole > low ? whole : low;
    const f64 inside = above < high ? above : high;
    // Every narrow range fits s64, and u32 does not fit s32.
    const D value = sizeof(D) == 4 && !is_signed_integer<D>
                        ? static_cast<D>(static_cast<s64>(inside))
                        : static_cast<D>(static_cast<s32>(inside));
    return whole == whole ? value : not_a_number;
  }
}

template <class T>
LACUNA_INLINE f64 as_double(T x) {
  return x;
}
template <>
LACUNA_INLINE f64 as_double(f16 x) {
  return widen(x);
}
template <bool ftz, class S>
LACUNA_INLINE S flushed(S x) {
  return x;
}
template <bool ftz>
LACUNA_INLINE f32 flushed(f32 x) {
  return input<ftz>(x);
}

template <class D, class S, class Round, bool ftz>
constexpr auto integer_of =
    [](S a) -> D { return to_integer<D, Round, is_wide<S>>(as_double(flushed<ftz>(a))); };
template <class S, class Round, bool ftz, bool sat>
constexpr auto whole_of = [](S a) -> S {
  if constexpr (std::is_same_v<S, f16>)
    return narrow<f16>(output<false, sat>(static_cast<f32>(Round::of(as_double(a)))));
  else
    return output<ftz, sat>(static_cast<S>(Round::of(as_double(flushed<ftz>(a)))));
};

template <class D, class S, bool sat>
constexpr auto floating = [](S a) -> D {
  if constexpr (std::is_same_v<D, f16>)
    return narrow_double<f16>(sat ? saturate(static_cast<f64>(a)) : static_cast<f64>(a));
  else
    return output<false, sat>(static_cast<D>(a));
};
template <class D, class S>
constexpr auto floating_ftz = [](S a) -> D { return output<true, false>(static_cast<D>(a)); };

template <class H, bool ftz, bool sat, bool relu>
LACUNA_INLINE H half_of(f32 a) {
  const f32 x = input<ftz>(a);
  return narrow<H>(sat ? saturate(x) : relu ? (x != x ? x : x > 0.0f ? x : 0.0f) : x);
}
template <class H, bool relu>
LACUNA_INLINE H truncated(f32 a) {
  return truncate_to<H>(relu && !(a != a) && !(a > 0.0f) ? 0.0f : a);
}
LACUNA_INLINE u32 pack(u16 high, u16 low) {
  return static_cast<u32>(high) << 16 | low;
}

template <class H, bool relu>
constexpr auto rounded_pair = [](f32 a, f32 b) -> u32 {
  return pack(half_of<H, false, false, relu>(a).bits, half_of<H, false, false, relu>(b).bits);
};
template <class H, bool relu>
constexpr auto truncated_pair = [](f32 a, f32 b) -> u32 {
  return pack(truncated<H, relu>(a).bits, truncated<H, relu>(b).bits);
};

/// To tf32: 10 bits of mantissa, ties away from zero.
LACUNA_INLINE u32 tf32_of(f32 a) {
  const u32 bits = bits_of(a);
  return (bits & 0x7f800000u) == 0x7f800000u ? (a != a ? 0x7fffffffu : bits)
                                             : (bits + 0x1000u) & ~0x1fffu;
}

// clang-format off
#define INTEGER(D, S)                                                                           \
  rare("cvt." #D "." #S, [](S a) -> D { return static_cast<D>(a); }, Shape::converts),           \
      rare("cvt.sat." #D "." #S, [](S a) -> D { return saturate_integer<D>(a); }, Shape::converts),
#define FROM_FLOAT(D, S, mode)                                                                  \
  rare("cvt." #mode "." #D "." #S, integer_of<D, S, mode, false>, Shape::converts),
#define FROM_FLOAT_FTZ(D, mode)                                                                 \
  rare("cvt." #mode ".ftz." #D ".f32", integer_of<D, f32, mode, true>, Shape::converts),
#define TO_FLOAT(D, S, name, mode)                                                              \
  rounding_row<false>("cvt." name "." #D "." #S, mode, floating<D, S, false>, Shape::converts), \
      rounding_row<false>("cvt." name ".sat." #D "." #S, mode, floating<D, S, true>,               \
                          Shape::converts),
#define TO_FLOAT_FTZ(D, S, name, mode)                                                          \
  rounding_row<false>("cvt." name ".ftz." #D "." #S, mode, floating_ftz<D, S>, Shape::converts),
#define TO_FLOATS(S)                                                                            \
  MODES(TO_FLOAT, f32, S) MODES(TO_FLOAT, f64, S) TO_FLOAT(f16, S, "rn", to_nearest)
#define FROM_FLOATS(D)                                                                          \
  WHOLE(FROM_FLOAT, D, f32) WHOLE(FROM_FLOAT, D, f64) WHOLE(FROM_FLOAT, D, f16)                 \
  FROM_FLOAT_FTZ(D, rni) FROM_FLOAT_FTZ(D, rzi) FROM_FLOAT_FTZ(D, rmi) FROM_FLOAT_FTZ(D, rpi)
#define MODES(X, D, S) \
  X(D, S, "rn", to_nearest) X(D, S, "rz", to_zero) X(D, S, "rm", down) X(D, S, "rp", up)
#define WHOLE(X, D, S) X(D, S, rni) X(D, S, rzi) X(D, S, rmi) X(D, S, rpi)
#define FOR_NARROW(X, S) \
  X(s8, S) X(u8, S) X(s16, S) X(u16, S) X(s32, S) X(u32, S) X(s64, S) X(u64, S)
#define FOR_INTEGERS(X) X(s8) X(u8) X(s16) X(u16) X(s32) X(u32) X(s64) X(u64)
#define INTEGERS(S) FOR_NARROW(INTEGER, S)

#define SAME(T, mode)                                                                           \
  rare("cvt." #mode "." #T "." #T, whole_of<T, mode, false, false>, Shape::converts),            \
      rare("cvt." #mode ".sat." #T "." #T, whole_of<T, mode, false, true>, Shape::converts),
#define SAME_FTZ(mode)                                                                          \
  rare("cvt." #mode ".ftz.f32.f32", whole_of<f32, mode, true, false>, Shape::converts),          \
      rare("cvt." #mode ".ftz.sat.f32.f32", whole_of<f32, mode, true, true>, Shape::converts),

#define HALF(H, name) \
  rare("cvt.rn" name, \
      [](f32 a) -> H { return half_of<H, false, false, false>(a); }, Shape::converts), \
      rare("cvt.rn.relu" name, \
          [](f32 a) -> H { return half_of<H, false, false, true>(a); }, Shape::converts), \
      rare("cvt.rz" name, [](f32 a) -> H { return truncated<H, false>(a); }, Shape::converts), \
      rare("cvt.rz.relu" name, [](f32 a) -> H { return truncated<H, true>(a); }, Shape::converts),
#define PAIR(H, name)                                                                    \
  rare("cvt.rn" name, rounded_pair<H, false>), rare("cvt.rn.relu" name, rounded_pair<H, true>), \
      rare("cvt.rz" name, truncated_pair<H, false>),                                     \
      rare("cvt.rz.relu" name, truncated_pair<H, true>),

// Windows of the generic address space: global addresses are generic as they are.
#define IS_WINDOW(space, tag) \
  row("isspacep." #space, [](u64 a) -> bool { return a >> tag_shift == tag; }),
#define WINDOW(space, tag) \
  rare("cvta." #space ".u64", [](u64 a) -> u64 { return a + (tag << tag_shift); }), \
      rare("cvta.to." #space ".u64", [](u64 a) -> u64 { return a - (tag << tag_shift); }),

constexpr Row rows[] = {
    FOR_INTEGERS(INTEGERS) FOR_INTEGERS(TO_FLOATS) FOR_INTEGERS(FROM_FLOATS)
    SAME(f32, rni) SAME(f32, rzi) SAME(f32, rmi) SAME(f32, rpi)
    SAME(f64, rni) SAME(f64, rzi) SAME(f64, rmi) SAME(f64, rpi)
    SAME(f16, rni) SAME(f16, rzi) SAME(f16, rmi) SAME(f16, rpi)
    SAME_FTZ(rni) SAME_FTZ(rzi) SAME_FTZ(rmi) SAME_FTZ(rpi)
    rare("cvt.f32.f32", [](u32 a) -> u32 { return a; }, Shape::converts),
    rare("cvt.f64.f64", [](u64 a) -> u64 { return a; }, Shape::converts),
    rare("cvt.f16.f16", [](b16 a) -> b16 { return a; }, Shape::converts),
    rare("cvt.sat.f32.f32", [](f32 a) -> f32 { return saturate(a); }, Shape::converts),
    rare("cvt.ftz.f32.f32", [](f32 a) -> f32 { return output<true, false>(a); }, Shape::converts),
    rare("cvt.ftz.sat.f32.f32",
        [](f32 a) -> f32 { return output<true, true>(a); }, Shape::converts),
    rare("cvt.sat.f64.f64", [](f64 a) -> f64 { return saturate(a); }, Shape::converts),
    rare("cvt.f64.f32",
        [](f32 a) -> f64 { return canonical(static_cast<f64>(a)); }, Shape::converts),
    rare("cvt.sat.f64.f32",
        [](f32 a) -> f64 { return saturate(static_cast<f64>(a)); }, Shape::converts),
    rare("cvt.ftz.f64.f32",
        [](f32 a) -> f64 { return canonical(static_cast<f64>(flush(a))); }, Shape::converts),
    MODES(TO_FLOAT, f32, f64) MODES(TO_FLOAT_FTZ, f32, f64)
    row("cvt.f32.f16", [](f16 a) -> f32 { return canonical(widen(a)); }, Shape::converts),
    rare("cvt.sat.f32.f16", [](f16 a) -> f32 { return saturate(widen(a)); }, Shape::converts),
    rare("cvt.ftz.f32.f16", [](f16 a) -> f32 { return canonical(widen(a)); }, Shape::converts),
    row("cvt.f32.bf16", [](bf16 a) -> f32 { return canonical(widen(a)); }, Shape::converts),
    rare("cvt.f64.f16",
        [](f16 a) -> f64 { return canonical(static_cast<f64>(widen(a))); }, Shape::converts),
    rare("cvt.rn.f16.f64", [](f64 a) -> f16 { return narrow_double<f16>(a); }, Shape::converts),
    rare("cvt.rn.sat.f16.f64",
        [](f64 a) -> f16 { return narrow_double<f16>(saturate(a)); }, Shape::converts),
    HALF(f16, ".f16.f32") HALF(bf16, ".bf16.f32") PAIR(f16, ".f16x2.f32") PAIR(bf16, ".bf16x2.f32")
    rare("cvt.rn.ftz.f16.f32",
        [](f32 a) -> f16 { return half_of<f16, true, false, false>(a); }, Shape::converts),
    rare("cvt.rn.sat.f16.f32",
        [](f32 a) -> f16 { return half_of<f16, false, true, false>(a); }, Shape::converts),
    rare("cvt.rn.ftz.sat.f16.f32",
        [](f32 a) -> f16 { return half_of<f16, true, true, false>(a); }, Shape::converts),
    rare("cvt.rna.tf32.f32", [](f32 a) -> u32 { return tf32_of(a); }, Shape::converts),
    WINDOW(shared, shared_tag) WINDOW(local, local_tag) WINDOW(param, param_tag)
    rare("cvta.global.u64", [](u64 a) -> u64 { return a; }),
    rare("cvta.to.global.u64", [](u64 a) -> u64 { return a; }),
    rare("cvta.const.u64", [](u64 a) -> u64 { return a; }),
    rare("cvta.to.const.u64", [](u64 a) -> u64 { return a; }),
};
// clang-format on

}  // namespace

Rows convert_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
