// The vocabulary of the instruction tables. Files that include this are compiled once for each
// instruction set of the host (LACUNA_ISA names it), so all of it has internal linkage: a linker
// must never merge code for different machines.
#pragma once
#include "runtime/host/exec/cta.h"
#include "runtime/host/exec/row.h"
#include "runtime/host/exec/warp.h"

#include <type_traits>

#ifndef LACUNA_ISA
#error "LACUNA_ISA names the instruction set"
#endif

/// The loop over a warp: lanes are independent.
#define LACUNA_LANES _Pragma("omp simd") for (int l = 0; l < warp_size; ++l)
#define LACUNA_INLINE inline __attribute__((always_inline))

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;
using b16 = u16;
using b32 = u32;
using b64 = u64;
using f32 = float;
using f64 = double;
struct f16 {
  u16 bits;
};
struct bf16 {
  u16 bits;
};

template <class T>
constexpr bool is_wide = sizeof(T) == 8;
template <bool wide>
struct StoredAs {
  using type = u32;
};
template <>
struct StoredAs<true> {
  using type = u64;
};
/// How a register of this type is stored for each lane; narrow values sit in the low bits.
template <class T>
using Stored = typename StoredAs<is_wide<T>>::type;

template <class T>
constexpr bool is_signed_integer = static_cast<T>(-1) < static_cast<T>(0);

template <class T>
struct Access {
  static LACUNA_INLINE T get(const Stored<T>* from, int l) { return static_cast<T>(from[l]); }
  static LACUNA_INLINE Stored<T> put(T value) {
    if constexpr (!is_wide<T> && is_signed_integer<T>)
      return static_cast<u32>(static_cast<s32>(value));
    else
      return static_cast<Stored<T>>(value);
  }
};
template <>
struct Access<f32> {
  static LACUNA_INLINE f32 get(const u32* from, int l) { return __builtin_bit_cast(f32, from[l]); }
  static LACUNA_INLINE u32 put(f32 value) { return __builtin_bit_cast(u32, value); }
};
template <>
struct Access<f64> {
  static LACUNA_INLINE f64 get(const u64* from, int l) { return __builtin_bit_cast(f64, from[l]); }
  static LACUNA_INLINE u64 put(f64 value) { return __builtin_bit_cast(u64, value); }
};
template <>
struct Access<f16> {
  static LACUNA_INLINE f16 get(const u32* from, int l) { return {static_cast<u16>(from[l])}; }
  static LACUNA_INLINE u32 put(f16 value) { return value.bits; }
};
template <>
struct Access<bf16> {
  static LACUNA_INLINE bf16 get(const u32* from, int l) { return {static_cast<u16>(from[l])}; }
  static LACUNA_INLINE u32 put(bf16 value) { return value.bits; }
};

alignas(64) constexpr u32 lane_bits[warp_size] = {
    1u << 0,  1u << 1,  1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,
    1u << 8,  1u << 9,  1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15,
    1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21, 1u << 22, 1u << 23,
    1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31};

LACUNA_INLINE bool lane_in(u32 mask, int l) {
  return (mask & lane_bits[l]) != 0;
}

LACUNA_INLINE int first_lane(u32 mask) {
  return __builtin_ctz(mask);
}
/// for (int l : each(mask)): the lanes of a mask, lowest first.
struct each {
  u32 mask;
  explicit LACUNA_INLINE each(u32 lanes) : mask(lanes) {}
  struct Iterator {
    u32 rest;
    LACUNA_INLINE int operator*() const { return first_lane(rest); }
    LACUNA_INLINE void operator++() { rest &= rest - 1; }
    LACUNA_INLINE bool operator!=(const Iterator& other) const { return rest != other.rest; }
  };
  LACUNA_INLINE Iterator begin() const { return {mask}; }
  LACUNA_INLINE Iterator end() const { return {0}; }
};

LACUNA_INLINE u32 predicate(const Warp& w, u16 index) {
  const u32 value = w.predicates[index & ~negated_bit];
  return index & negated_bit ? ~value : value;
}
/// The lanes that execute this instruction.
LACUNA_INLINE u32 executing(const Warp& w, const Instruction& i) {
  return i.guard == no_predicate ? w.active : w.active & predicate(w, i.guard);
}
LACUNA_INLINE void set_predicate(Warp& w, u16 index, u32 lanes, u32 value) {
  w.predicates[index] = (w.predicates[index] & ~lanes) | (value & lanes);
}
template <class T>
LACUNA_INLINE Stored<T>* slot(const Warp& w, u16 index) {
  void* at = w.slots + static_cast<u32>(index) * slot_bytes;
  return static_cast<Stored<T>*>(__builtin_assume_aligned(at, 64));
}

/// Sources of a lambda: registers, or one bit a lane for bool.
template <class T>
struct Source {
  const Stored<T>* lanes;
  Source(const Warp& w, u16 index) : lanes(slot<T>(w, index)) {}
  LACUNA_INLINE T operator[](int l) const { return Access<T>::get(lanes, l); }
};
template <>
struct Source<bool> {
  u32 lanes;
  Source(const Warp& w, u16 index) : lanes(predicate(w, index)) {}
  LACUNA_INLINE bool operator[](int l) const { return lane_in(lanes, l); }
};

template <int... N>
struct Numbers {};
template <int count>
struct NumbersTo;
template <>
struct NumbersTo<1> {
  using type = Numbers<0>;
};
template <>
struct NumbersTo<2> {
  using type = Numbers<0, 1>;
};
template <>
struct NumbersTo<3> {
  using type = Numbers<0, 1, 2>;
};
template <>
struct NumbersTo<4> {
  using type = Numbers<0, 1, 2, 3>;
};

/// One bit of each lane, from bytes that are 0 or 255.
LACUNA_INLINE u32 gather_bits(const u8* bytes) {
#ifdef __SSE2__
  using Bytes = char __attribute__((vector_size(16)));
  const auto* halves = reinterpret_cast<const Bytes*>(bytes);
  return static_cast<u32>(__builtin_ia32_pmovmskb128(halves[0])) |
         static_cast<u32>(__builtin_ia32_pmovmskb128(halves[1])) << 16;
#else
  u32 bits = 0;
  for (int l = 0; l < warp_size; ++l) bits |= static_cast<u32>(bytes[l] & 1) << l;
  return bits;
#endif
}

/// The lanes for which f holds.
template <class F, class... S>
LACUNA_INLINE u32 lanes_where(F f, S... sources) {
  alignas(16) u8 bytes[warp_size];
  LACUNA_LANES bytes[l] = f(sources[l]...) ? 255 : 0;
  return gather_bits(bytes);
}

/// `hot` has a loop of its own for a full warp; without it there is half the code.
template <class D, bool hot = true, class F, class... S>
LACUNA_INLINE void store_lanes(Warp& w, const Instruction& i, F f, S... sources) {
  Stored<D>* to = slot<D>(w, i.dst[0]);
  const u32 lanes = executing(w, i);
  if (hot && lanes == ~0u) {
    LACUNA_LANES to[l] = Access<D>::put(f(sources[l]...));
  } else {
    LACUNA_LANES {
      const Stored<D> value = Access<D>::put(f(sources[l]...));
      to[l] = lane_in(lanes, l) ? value : to[l];
    }
  }
}

/// The handler and the row of a lambda over one lane's values: its signature says what the operands
/// are.
template <class F, bool hot, class Call>
struct Lanewise;
template <class F, bool hot, class D, class... S>
struct Lanewise<F, hot, D (F::*)(S...) const> {
  template <int... N>
  static LACUNA_INLINE void run(Warp& w, const Instruction& i, Numbers<N...>) {
    if constexpr (std::is_same_v<D, bool>)
      set_predicate(w, i.dst[0], executing(w, i), lanes_where(F{}, Source<S>(w, i.src[N])...));
    else
      store_lanes<D, hot>(w, i, F{}, Source<S>(w, i.src[N])...);
  }
  static void run(Warp& w, const Instruction& i) {
    run(w, i, typename NumbersTo<sizeof...(S)>::type{});
  }
  template <class T>
  static constexpr Kind kind() {
    if (std::is_same_v<T, bool>) return Kind::pred;
    return sizeof(T) == 8 ? Kind::b64 : sizeof(T) == 4 ? Kind::b32 : Kind::b16;
  }
  static constexpr Row row(const char* name, Shape shape) {
    return {name, run, shape, Neutral::none, 0, 1, {kind<D>()}, {kind<S>()...}};
  }
};

/// row("add.s32", [](s32 a, s32 b) -> s32 { ... })
template <class F>
constexpr Row row(const char* name, F, Shape shape = Shape::plain) {
  return Lanewise<F, true, decltype(&F::operator())>::row(name, shape);
}
/// For what inner loops do not use.
template <class F>
constexpr Row rare(const char* name, F, Shape shape = Shape::plain) {
  return Lanewise<F, false, decltype(&F::operator())>::row(name, shape);
}

}  // namespace
}  // namespace lacuna::runtime::host::LACUNA_ISA
