// setp and set: comparisons, alone or combined with a predicate.
#include "runtime/host/exec/numeric.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

/// Instruction::code of a comparison.
enum Combination : u8 { alone, with_and, with_or, with_xor };

struct lt {
  template <class T>
  static LACUNA_INLINE bool of(T a, T b) {
    return a < b;
  }
};
struct le {
  template <class T>
  static LACUNA_INLINE bool of(T a, T b) {
    return a <= b;
  }
};
struct gt {
  template <class T>
  static LACUNA_INLINE bool of(T a, T b) {
    return a > b;
  }
};
struct ge {
  template <class T>
  static LACUNA_INLINE bool of(T a, T b) {
    return a >= b;
  }
};
struct eq {
  template <class T>
  static LACUNA_INLINE bool of(T a, T b) {
    return a == b;
  }
};
/// Ordered: false where an operand is NaN.
struct ne {
  template <class T>
  static LACUNA_INLINE bool of(T a, T b) {
    return a < b || a > b;
  }
};
struct num {
  template <class T>
  static LACUNA_INLINE bool of(T a, T b) {
    return a == a && b == b;
  }
};
template <class Opposite>
struct Unless {
  template <class T>
  static LACUNA_INLINE bool of(T a, T b) {
    return !Opposite::of(a, b);
  }
};
using ltu = Unless<ge>;
using leu = Unless<gt>;
using gtu = Unless<le>;
using geu = Unless<lt>;
using equ = Unless<ne>;
using neu = Unless<eq>;
using nan = Unless<num>;
using lo = lt;
using ls = le;
using hi = gt;
using hs = ge;

template <bool ftz, class T>
LACUNA_INLINE T operand(T x) {
  return x;
}
template <bool ftz>
LACUNA_INLINE f32 operand(f32 x) {
  return input<ftz>(x);
}
template <bool ftz>
LACUNA_INLINE f32 operand(f16 x) {
  return widen(ftz ? flush(x) : x);
}
template <bool ftz>
LACUNA_INLINE f32 operand(bf16 x) {
  return widen(x);
}

template <class Compare, class T, bool ftz>
LACUNA_INLINE u32 compared(const Warp& w, const Instruction& i) {
  return lanes_where([](T a, T b) { return Compare::of(operand<ftz>(a), operand<ftz>(b)); },
                     Source<T>(w, i.src[0]), Source<T>(w, i.src[1]));
}
LACUNA_INLINE u32 combine(u8 code, u32 a, u32 b) {
  return code == with_and ? a & b : code == with_or ? a | b : a ^ b;
}

/// p = (a cmp b) op c; q = !(a cmp b) op c.
template <class Compare, class T, bool ftz>
void set_predicates(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i), yes = compared<Compare, T, ftz>(w, i);
  const u32 other = i.code == alone ? 0 : predicate(w, i.src[2]);
  const u32 p = i.code == alone ? yes : combine(i.code, yes, other);
  const u32 q = i.code == alone ? ~yes : combine(i.code, ~yes, other);
  set_predicate(w, i.dst[0], lanes, p);
  if (i.optional) set_predicate(w, i.dst[1], lanes, q);
}

/// All ones or 1.0 where the comparison holds.
template <class Compare, class T, bool ftz, u32 truth>
void set_register(Warp& w, const Instruction& i) {
  const u32 yes = compared<Compare, T, ftz>(w, i);
  const u32 value = i.code == alone ? yes : combine(i.code, yes, predicate(w, i.src[2]));
  const u32 lanes = executing(w, i);
  u32* to = slot<u32>(w, i.dst[0]);
  LACUNA_LANES {
    const u32 result = lane_in(value, l) ? truth : 0u;
    to[l] = lane_in(lanes, l) ? result : to[l];
  }
}

template <class T>
constexpr Kind kind = sizeof(T) == 8   ? Kind::b64
                      : sizeof(T) == 4 ? Kind::b32
                                       : Kind::b16;

template <class T>
constexpr Row compare_row(const char* name, Combination code, Handler run) {
  Row result{name, run, Shape::compare,           Neutral::none,
             code, 1,   {Kind::pred, Kind::pred}, {kind<T>, kind<T>}};
  if (code != alone) result.src[2] = Kind::pred;
  return result;
}
template <class T>
constexpr Row set_row(const char* name, Combination code, Handler run) {
  Row result{name, run, Shape::plain, Neutral::none, code, 1, {Kind::b32}, {kind<T>, kind<T>}};
  if (code != alone) result.src[2] = Kind::pred;
  return result;
}

// clang-format off
#define SETP(cmp, type, T, ftz, name) \
  compare_row<T>("setp." #cmp name "." #type, alone, set_predicates<cmp, T, ftz>), \
      compare_row<T>("setp." #cmp ".and" name "." #type, with_and, set_predicates<cmp, T, ftz>), \
      compare_row<T>("setp." #cmp ".or" name "." #type, with_or, set_predicates<cmp, T, ftz>), \
      compare_row<T>("setp." #cmp ".xor" name "." #type, with_xor, set_predicates<cmp, T, ftz>),
#define SET_ROW(cmp, type, T, ftz, name, D, truth, op, code) \
  set_row<T>("set." #cmp op name "." #D "." #type, code, set_register<cmp, T, ftz, truth>),
#define SET(...) \
  SET_ROW(__VA_ARGS__, "", alone) SET_ROW(__VA_ARGS__, ".and", with_and) \
  SET_ROW(__VA_ARGS__, ".or", with_or) SET_ROW(__VA_ARGS__, ".xor", with_xor)
#define SETS(cmp, type, T, ftz, name) \
  SET(cmp, type, T, ftz, name, u32, ~0u) SET(cmp, type, T, ftz, name, s32, ~0u) \
  SET(cmp, type, T, ftz, name, f32, 0x3f800000u)

#define EQUALITY(X, ...) X(eq, __VA_ARGS__) X(ne, __VA_ARGS__)
#define ORDER(X, ...) X(lt, __VA_ARGS__) X(le, __VA_ARGS__) X(gt, __VA_ARGS__) X(ge, __VA_ARGS__)
#define UNSIGNED(X, ...) X(lo, __VA_ARGS__) X(ls, __VA_ARGS__) X(hi, __VA_ARGS__) X(hs, __VA_ARGS__)
#define UNORDERED(X, ...) \
  X(ltu, __VA_ARGS__) X(leu, __VA_ARGS__) X(gtu, __VA_ARGS__) X(geu, __VA_ARGS__) \
  X(equ, __VA_ARGS__) X(neu, __VA_ARGS__) X(num, __VA_ARGS__) X(nan, __VA_ARGS__)
#define BITS(X, T) EQUALITY(X, T, T, false, "")
#define SIGNED(X, T) BITS(X, T) ORDER(X, T, T, false, "")
#define NATURAL(X, T) SIGNED(X, T) UNSIGNED(X, T, T, false, "")
#define FLOATING(X, T, ftz, name) \
  EQUALITY(X, T, T, ftz, name) ORDER(X, T, T, ftz, name) UNORDERED(X, T, T, ftz, name)

constexpr Row rows[] = {
    BITS(SETP, b16) BITS(SETP, b32) BITS(SETP, b64)
    SIGNED(SETP, s16) SIGNED(SETP, s32) SIGNED(SETP, s64)
    NATURAL(SETP, u16) NATURAL(SETP, u32) NATURAL(SETP, u64)
    FLOATING(SETP, f32, false, "") FLOATING(SETP, f32, true, ".ftz") FLOATING(SETP, f64, false, "")
    FLOATING(SETP, f16, false, "") FLOATING(SETP, f16, true, ".ftz") FLOATING(SETP, bf16, false, "")
    SIGNED(SETS, s32) NATURAL(SETS, u32) BITS(SETS, b32)
    FLOATING(SETS, f32, false, "") FLOATING(SETS, f32, true, ".ftz")
};
// clang-format on

}  // namespace

Rows compare_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
