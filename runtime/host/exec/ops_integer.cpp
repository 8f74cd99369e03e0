// Integer arithmetic, logic and bit manipulation. Built with -fwrapv: signed arithmetic wraps.
#include "runtime/host/exec/lanes.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

#define FOR_S(X) X(s16) X(s32) X(s64)
#define FOR_U(X) X(u16) X(u32) X(u64)
#define FOR_SU(X) FOR_S(X) FOR_U(X)
#define FOR_B(X) X(b16) X(b32) X(b64)
#define FOR_MUL(X) X(s16, s32) X(u16, u32) X(s32, s64) X(u32, u64)

template <class T>
constexpr int width = sizeof(T) * 8;
template <class T>
constexpr T lowest = is_signed_integer<T> ? static_cast<T>(u64{1} << (width<T> - 1)) : T{0};

template <class T>
T add_saturated(T a, T b) {
  T sum;
  return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? lowest<T> : static_cast<T>(~lowest<T>))
                                            : sum;
}
template <class T>
T subtract_saturated(T a, T b) {
  T rest;
  return __builtin_sub_overflow(a, b, &rest) ? (b > 0 ? lowest<T> : static_cast<T>(~lowest<T>))
                                             : rest;
}

/// Division is total here, as on a GPU: by zero gives all ones, and lowest / -1 wraps.
template <class T>
T divide(T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});
  if (is_signed_integer<T> && b == static_cast<T>(-1)) return static_cast<T>(T{0} - a);
  return static_cast<T>(a / b);
}
template <class T>
T remainder(T a, T b) {
  if (b == 0) return a;
  if (is_signed_integer<T> && b == static_cast<T>(-1)) return T{0};
  return static_cast<T>(a % b);
}

template <class T>
Stored<T> product(T a, T b) {
  return static_cast<Stored<T>>(a) * static_cast<Stored<T>>(b);
}
template <class T>
T high_product(T a, T b) {
  if constexpr (sizeof(T) == 8 && is_signed_integer<T>)
    return static_cast<T>((static_cast<__int128>(a) * b) >> 64);
  else if constexpr (sizeof(T) == 8)
    return static_cast<T>((static_cast<unsigned __int128>(a) * b) >> 64);
  else
    return static_cast<T>((static_cast<s64>(a) * static_cast<s64>(b)) >> width<T>);
}
template <>
u32 high_product(u32 a, u32 b) {
  return static_cast<u32>((static_cast<u64>(a) * b) >> 32);
}

template <class T>
T shift_left(T a, u32 n) {
  return n >= width<T> ? T{0} : static_cast<T>(static_cast<u64>(a) << (n & 63));
}
template <class T>
T shift_right(T a, u32 n) {
  const u32 most = width<T> - 1;
  if constexpr (is_signed_integer<T>) return static_cast<T>(a >> (n > most ? most : n));
  return n > most ? T{0} : static_cast<T>(a >> (n & most));
}

/// The high and the low word of b:a moved by at most 32 places.
LACUNA_INLINE u32 funnel_left(u32 a, u32 b, u32 n) {
  return static_cast<u32>((u64{b} << 32 | a) << n >> 32);
}
LACUNA_INLINE u32 funnel_right(u32 a, u32 b, u32 n) {
  return static_cast<u32>((u64{b} << 32 | a) >> n);
}

template <class T>
T extract_bits(T a, u32 position, u32 length) {
  position &= 255, length &= 255;
  constexpr u32 bits = width<T>;
  if (length == 0) return T{0};
  const u64 raw =
      is_signed_integer<T> ? static_cast<u64>(static_cast<s64>(a)) : static_cast<u64>(a);
  const u64 masked = bits == 64 ? raw : raw & 0xffffffffu;
  const u32 top = position + length - 1 < bits - 1 ? position + length - 1 : bits - 1;
  const u64 field = position >= bits ? 0 : masked >> position;
  const u64 sign = is_signed_integer<T> ? (masked >> top) & 1 : 0;
  const u64 inside = length >= 64 ? ~u64{0} : (u64{1} << length) - 1;
  // Bits beyond the word, as those beyond the field, repeat the sign.
  const u64 valid = position >= bits        ? 0
                    : bits - position >= 64 ? ~u64{0}
                                            : (u64{1} << (bits - position)) - 1;
  return static_cast<T>((field & inside & valid) | (sign ? ~(inside & valid) : 0));
}

template <class T>
T insert_bits(T a, T b, u32 position, u32 length) {
  position &= 255, length &= 255;
  if (position >= width<T>) return b;
  const T ones = static_cast<T>(~T{0});
  const T mask = static_cast<T>((length >= width<T> ? ones : static_cast<T>((T{1} << length) - 1))
                                << position);
  return static_cast<T>((b & ~mask) | (static_cast<T>(a << position) & mask));
}

template <class T>
u32 leading_zeros(T a) {
  if (a == 0) return width<T>;
  return sizeof(T) == 8 ? __builtin_clzll(a) : __builtin_clz(static_cast<u32>(a));
}
/// Of the most significant bit that differs from the sign; all ones where there is none.
template <class T>
u32 find_bit(T a) {
  using U = Stored<T>;
  const U bits = static_cast<U>(is_signed_integer<T> && a < 0 ? ~a : a);
  return bits == 0 ? ~0u : width<T> - 1 - leading_zeros(bits);
}
template <class T>
u32 find_shift(T a) {
  const u32 bit = find_bit(a);
  return bit == ~0u ? bit : width<T> - 1 - bit;
}

template <class T>
T reverse(T a) {
  u64 r = a;
  r = (r & 0x5555555555555555) << 1 | (r >> 1 & 0x5555555555555555);
  r = (r & 0x3333333333333333) << 2 | (r >> 2 & 0x3333333333333333);
  r = (r & 0x0f0f0f0f0f0f0f0f) << 4 | (r >> 4 & 0x0f0f0f0f0f0f0f0f);
  r = __builtin_bswap64(r);
  return static_cast<T>(sizeof(T) == 8 ? r : r >> 32);
}

LACUNA_INLINE u32 pick_byte(u64 bytes, u32 selector) {
  const u32 byte = static_cast<u32>(bytes >> (8 * (selector & 7))) & 255;
  return selector & 8 ? (byte & 128 ? 255u : 0u) : byte;
}
LACUNA_INLINE u32 permute(u32 a, u32 b, u32 selectors) {
  const u64 bytes = static_cast<u64>(b) << 32 | a;
  u32 result = 0;
  for (int k = 0; k < 4; ++k) result |= pick_byte(bytes, selectors >> (4 * k) & 15) << (8 * k);
  return result;
}
/// The selectors of prmt's named modes for each value of the low two bits of c.
constexpr u16 permute_modes[6][4] = {
    {0x3210, 0x4321, 0x5432, 0x6543},  // f4e
    {0x5670, 0x6701, 0x7012, 0x0123},  // b4e
    {0x0000, 0x1111, 0x2222, 0x3333},  // rc8
    {0x3210, 0x3211, 0x3222, 0x3333},  // ecl
    {0x0000, 0x1110, 0x2210, 0x3210},  // ecr
    {0x1010, 0x3232, 0x1010, 0x3232},  // rc16
};
template <int mode>
u32 permute_mode(u32 a, u32 b, u32 c) {
  return permute(a, b, permute_modes[mode][c & 3]);
}

template <class A, class B>
s32 dot4(u32 a, u32 b, u32 c) {
  s32 sum = static_cast<s32>(c);
  for (int k = 0; k < 4; ++k)
    sum += static_cast<s32>(static_cast<A>(a >> (8 * k))) *
           static_cast<s32>(static_cast<B>(b >> (8 * k)));
  return sum;
}

void lookup3(Warp& w, const Instruction& i) {
  const u32 table = static_cast<u32>(i.immediate);
  u32 row[8];
  for (int k = 0; k < 8; ++k) row[k] = table >> k & 1 ? ~0u : 0u;
  store_lanes<u32>(
      w, i,
      [&](u32 a, u32 b, u32 c) {
        const u32 high =
            (b & ((c & row[7]) | (~c & row[6]))) | (~b & ((c & row[5]) | (~c & row[4])));
        const u32 low =
            (b & ((c & row[3]) | (~c & row[2]))) | (~b & ((c & row[1]) | (~c & row[0])));
        return (a & high) | (~a & low);
      },
      Source<u32>(w, i.src[0]), Source<u32>(w, i.src[1]), Source<u32>(w, i.src[2]));
}

/// Predicates are masks: one operation for all lanes.
template <u32 (*f)(u32, u32)>
void predicates(Warp& w, const Instruction& i) {
  set_predicate(w, i.dst[0], executing(w, i), f(predicate(w, i.src[0]), predicate(w, i.src[1])));
}
constexpr Row predicate_row(const char* name, Handler run, int sources) {
  Row result{name, run, Shape::plain, Neutral::none, 0, 1, {Kind::pred}, {Kind::pred}};
  if (sources == 2) result.src[1] = Kind::pred;
  return result;
}
u32 pred_and(u32 a, u32 b) {
  return a & b;
}
u32 pred_or(u32 a, u32 b) {
  return a | b;
}
u32 pred_xor(u32 a, u32 b) {
  return a ^ b;
}
void pred_not(Warp& w, const Instruction& i) {
  set_predicate(w, i.dst[0], executing(w, i), ~predicate(w, i.src[0]));
}

// clang-format off
#define ARITHMETIC(T)                                                            \
  row("add." #T, [](T a, T b) -> T { return static_cast<T>(a + b); }),           \
      row("sub." #T, [](T a, T b) -> T { return static_cast<T>(a - b); }),       \
      row("mul.lo." #T, [](T a, T b) -> T { return static_cast<T>(product<T>(a, b)); }),    \
      row("mul.hi." #T, [](T a, T b) -> T { return high_product<T>(a, b); }),    \
      row("mad.lo." #T, [](T a, T b, T c) -> T { return static_cast<T>(product<T>(a, b) + c); }), \
      row("mad.hi." #T, \
          [](T a, T b, T c) -> T { return static_cast<T>(high_product<T>(a, b) + c); }), \
      row("div." #T, [](T a, T b) -> T { return divide<T>(a, b); }),             \
      row("rem." #T, [](T a, T b) -> T { return remainder<T>(a, b); }),          \
      row("min." #T, [](T a, T b) -> T { return b < a ? b : a; }),               \
      row("max." #T, [](T a, T b) -> T { return a < b ? b : a; }),               \
      row("shr." #T, [](T a, u32 n) -> T { return shift_right<T>(a, n); }),
#define WIDE(T, D)                                                                     \
  row("mul.wide." #T, [](T a, T b) -> D { return static_cast<D>(D(a) * D(b)); }),      \
      row("mad.wide." #T, [](T a, T b, D c) -> D { return static_cast<D>(D(a) * D(b) + c); }),
#define SIGNED(T)                                                           \
  row("neg." #T, [](T a) -> T { return static_cast<T>(T{0} - a); }),        \
      row("abs." #T, [](T a) -> T { return static_cast<T>(a < 0 ? T{0} - a : a); }),
#define LOGIC(T)                                                           \
  row("and." #T, [](T a, T b) -> T { return static_cast<T>(a & b); }),     \
      row("or." #T, [](T a, T b) -> T { return static_cast<T>(a | b); }),  \
      row("xor." #T, [](T a, T b) -> T { return static_cast<T>(a ^ b); }), \
      row("not." #T, [](T a) -> T { return static_cast<T>(~a); }),         \
      row("cnot." #T, [](T a) -> T { return a == 0; }),                    \
      row("shl." #T, [](T a, u32 n) -> T { return shift_left<T>(a, n); }), \
      row("shr." #T, [](T a, u32 n) -> T { return shift_right<T>(a, n); }),
#define SELECT(T) row("selp." #T, [](T a, T b, bool p) -> T { return p ? a : b; }),
#define SELECT_SIGN(T) row("slct." #T ".s32", [](T a, T b, s32 c) -> T { return c >= 0 ? a : b; }),
#define BITS(T) \
  row("popc." #T, [](T a) -> u32 { return static_cast<u32>(__builtin_popcountll(a)); }), \
      row("clz." #T, [](T a) -> u32 { return leading_zeros<T>(a); }), \
      row("brev." #T, [](T a) -> T { return reverse<T>(a); }), \
      row("bfi." #T, [](T a, T b, u32 p, u32 n) -> T { return insert_bits<T>(a, b, p, n); }),
#define FIELDS(T)                                                                            \
  row("bfe." #T, [](T a, u32 p, u32 n) -> T { return extract_bits<T>(a, p, n); }),           \
      row("bfind." #T, [](T a) -> u32 { return find_bit<T>(a); }),                           \
      row("bfind.shiftamt." #T, [](T a) -> u32 { return find_shift<T>(a); }),
#define DOT(A, B) \
  row("dp4a." #A "32." #B "32", \
      [](u32 a, u32 b, u32 c) -> s32 { return dot4<A##8, B##8>(a, b, c); }),
#define PERMUTE(mode, n) \
  row("prmt.b32." #mode, [](u32 a, u32 b, u32 c) -> u32 { return permute_mode<n>(a, b, c); }),

constexpr Row rows[] = {
    FOR_SU(ARITHMETIC) FOR_MUL(WIDE) FOR_S(SIGNED) FOR_B(LOGIC)
    FOR_SU(SELECT) FOR_B(SELECT) FOR_SU(SELECT_SIGN) FOR_B(SELECT_SIGN)
    BITS(b32) BITS(b64) FIELDS(s32) FIELDS(u32) FIELDS(s64) FIELDS(u64)
    DOT(u, u) DOT(u, s) DOT(s, u) DOT(s, s)
    PERMUTE(f4e, 0) PERMUTE(b4e, 1) PERMUTE(rc8, 2) PERMUTE(ecl, 3) PERMUTE(ecr, 4) PERMUTE(rc16, 5)
    row("prmt.b32", [](u32 a, u32 b, u32 c) -> u32 { return permute(a, b, c); }),
    row("add.sat.s32", [](s32 a, s32 b) -> s32 { return add_saturated(a, b); }),
    row("sub.sat.s32", [](s32 a, s32 b) -> s32 { return subtract_saturated(a, b); }),
    row("mul24.lo.s32", [](s32 a, s32 b) -> s32 { return (a << 8 >> 8) * (b << 8 >> 8); }),
    row("mul24.lo.u32", [](u32 a, u32 b) -> u32 { return (a & 0xffffff) * (b & 0xffffff); }),
    row("shf.l.wrap.b32",
        [](u32 a, u32 b, u32 n) -> u32 { return funnel_left(a, b, n & 31); }),
    row("shf.r.wrap.b32",
        [](u32 a, u32 b, u32 n) -> u32 { return funnel_right(a, b, n & 31); }),
    row("shf.l.clamp.b32",
        [](u32 a, u32 b, u32 n) -> u32 { return funnel_left(a, b, n < 32 ? n : 32); }),
    row("shf.r.clamp.b32",
        [](u32 a, u32 b, u32 n) -> u32 { return funnel_right(a, b, n < 32 ? n : 32); }),
    row("selp.f32", [](b32 a, b32 b, bool p) -> b32 { return p ? a : b; }),
    row("selp.f64", [](b64 a, b64 b, bool p) -> b64 { return p ? a : b; }),
    row("slct.f32.s32", [](b32 a, b32 b, s32 c) -> b32 { return c >= 0 ? a : b; }),
    row("slct.f64.s32", [](b64 a, b64 b, s32 c) -> b64 { return c >= 0 ? a : b; }),
    {"lop3.b32", lookup3, Shape::plain, Neutral::none, 0, 1, {Kind::b32},
     {Kind::b32, Kind::b32, Kind::b32, Kind::immediate}},
    predicate_row("and.pred", predicates<pred_and>, 2),
    predicate_row("or.pred", predicates<pred_or>, 2),
    predicate_row("xor.pred", predicates<pred_xor>, 2),
    predicate_row("not.pred", pred_not, 1),
};
// clang-format on

}  // namespace

Rows integer_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
