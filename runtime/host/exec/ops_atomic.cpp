// atom and red: lanes in order; global memory is shared with the CTAs of other threads, so there
// they are host atomics.
#include "runtime/host/exec/address.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

struct Add {
  template <class T>
  static T of(T a, T b) {
    return a + b;
  }
};
struct Min {
  template <class T>
  static T of(T a, T b) {
    return b < a ? b : a;
  }
};
struct Max {
  template <class T>
  static T of(T a, T b) {
    return a < b ? b : a;
  }
};
struct And {
  template <class T>
  static T of(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <class T>
  static T of(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <class T>
  static T of(T a, T b) {
    return a ^ b;
  }
};
struct Exchange {
  template <class T>
  static T of(T, T b) {
    return b;
  }
};
/// Wraps to 0 beyond b.
struct Increment {
  template <class T>
  static T of(T a, T b) {
    return a >= b ? 0 : a + 1;
  }
};
struct Decrement {
  template <class T>
  static T of(T a, T b) {
    return a == 0 || a > b ? b : a - 1;
  }
};

/// Replaces *at by f(*at); returns what was there. Alignment has been checked.
template <class Bits, class F>
Bits update(u64 at, F f) {
  auto* word = reinterpret_cast<Bits*>(at);
  Bits old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
  while (
      !__atomic_compare_exchange_n(word, &old, f(old), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
  }
  return old;
}

template <class T, class Op>
Stored<T> apply(Stored<T> old, Stored<T> operand) {
  if constexpr (std::is_same_v<T, f32>) {
    const f32 sum = Op::of(__builtin_bit_cast(f32, old), __builtin_bit_cast(f32, operand));
    return sum != sum ? 0x7fffffffu : __builtin_bit_cast(u32, sum);
  } else if constexpr (std::is_same_v<T, f64>) {
    return __builtin_bit_cast(
        u64, Op::of(__builtin_bit_cast(f64, old), __builtin_bit_cast(f64, operand)));
  } else {
    return static_cast<Stored<T>>(Op::of(static_cast<T>(old), static_cast<T>(operand)));
  }
}

/// `result` is where the old values go; null for red.
template <Window window, class T, class Op>
void read_modify_write(Warp& w, const Instruction& i, Stored<T>* result) {
  const u32 lanes = executing(w, i);
  if (lanes == 0) return;
  Addresses a;
  compute(w, i, a);
  resolve<window>(w, i, lanes, sizeof(T), Use::update, a);
  const Stored<T>* operand = slot<T>(w, i.src[1]);
  for (int l : each(lanes)) {
    const Stored<T> with = operand[l];
    const Stored<T> old =
        update<Stored<T>>(a.at[l], [&](Stored<T> x) { return apply<T, Op>(x, with); });
    if (result != nullptr) result[l] = old;
  }
}
template <Window window, class T, class Op>
void atom(Warp& w, const Instruction& i) {
  read_modify_write<window, T, Op>(w, i, slot<T>(w, i.dst[0]));
}
template <Window window, class T, class Op>
void red(Warp& w, const Instruction& i) {
  read_modify_write<window, T, Op>(w, i, nullptr);
}
template <Window window, class T>
void compare_and_swap(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes == 0) return;
  Addresses a;
  compute(w, i, a);
  resolve<window>(w, i, lanes, sizeof(T), Use::update, a);
  const T* expected = slot<T>(w, i.src[1]);
  const T* desired = slot<T>(w, i.src[2]);
  T* result = slot<T>(w, i.dst[0]);
  for (int l : each(lanes)) {
    const T from = expected[l], to = desired[l];
    result[l] = update<T>(a.at[l], [&](T x) { return x == from ? to : x; });
  }
}

template <class T>
constexpr Kind kind = sizeof(T) == 8 ? Kind::b64 : Kind::b32;
template <class T>
constexpr Row atom_row(const char* name, Handler run, Kind third = Kind::none) {
  return {name, run, Shape::atomic, Neutral::atomic, 0, 1, {kind<T>}, {Kind::none, kind<T>, third}};
}
template <class T>
constexpr Row red_row(const char* name, Handler run) {
  return {name, run, Shape::reduction, Neutral::atomic, 0, 1, {}, {Kind::none, kind<T>}};
}

// clang-format off
#define ATOM(space, window, op, Op, T) \
  atom_row<T>("atom" space "." op "." #T, atom<Window::window, T, Op>),
#define BOTH(space, window, op, Op, T) \
  ATOM(space, window, op, Op, T) red_row<T>("red" space "." op "." #T, red<Window::window, T, Op>),
#define SWAP(space, window, T) \
  atom_row<T>("atom" space ".cas." #T, compare_and_swap<Window::window, T>, kind<T>),
#define SPACE(space, window) \
  BOTH(space, window, "add", Add, u32) BOTH(space, window, "add", Add, s32) \
  BOTH(space, window, "add", Add, u64) \
  BOTH(space, window, "add", Add, f32) BOTH(space, window, "add", Add, f64) \
  BOTH(space, window, "min", Min, u32) BOTH(space, window, "min", Min, s32) \
  BOTH(space, window, "min", Min, u64) \
  BOTH(space, window, "min", Min, s64) BOTH(space, window, "max", Max, u32) \
  BOTH(space, window, "max", Max, s32) \
  BOTH(space, window, "max", Max, u64) BOTH(space, window, "max", Max, s64) \
  BOTH(space, window, "inc", Increment, u32) BOTH(space, window, "dec", Decrement, u32) \
  BOTH(space, window, "and", And, b32) BOTH(space, window, "or", Or, b32) \
  BOTH(space, window, "xor", Xor, b32) \
  BOTH(space, window, "and", And, b64) BOTH(space, window, "or", Or, b64) \
  BOTH(space, window, "xor", Xor, b64) \
  ATOM(space, window, "exch", Exchange, b32) ATOM(space, window, "exch", Exchange, b64) \
  SWAP(space, window, b32) SWAP(space, window, b64)

constexpr Row rows[] = {SPACE("", generic) SPACE(".global", global) SPACE(".shared", shared)};
// clang-format on

}  // namespace

Rows atomic_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
