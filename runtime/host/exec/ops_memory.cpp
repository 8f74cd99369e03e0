// ld and st of every state space, scalar and vector.
#include "runtime/host/exec/address.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

using Quad = u32 __attribute__((vector_size(16)));

template <class T>
LACUNA_INLINE T read(u64 at) {
  T value;
  __builtin_memcpy(&value, reinterpret_cast<const void*>(at), sizeof(T));
  return value;
}
template <class T>
LACUNA_INLINE void write(u64 at, T value) {
  __builtin_memcpy(reinterpret_cast<void*>(at), &value, sizeof(T));
}

/// Whether lane l's address is the first one plus l * stride.
LACUNA_INLINE bool in_steps(const Addresses& a, u64 stride) {
  u64 different = 0;
#pragma omp simd reduction(| : different)
  for (int l = 0; l < warp_size; ++l)
    different |= a.at[l] ^ (a.at[0] + static_cast<u64>(l) * stride);
  return different == 0;
}

/// Four lanes' rows of four words to four registers' lanes, and back.
LACUNA_INLINE void transpose(Quad& a, Quad& b, Quad& c, Quad& d) {
  const Quad ab_low = __builtin_shuffle(a, b, Quad{0, 4, 1, 5}),
             ab_high = __builtin_shuffle(a, b, Quad{2, 6, 3, 7});
  const Quad cd_low = __builtin_shuffle(c, d, Quad{0, 4, 1, 5}),
             cd_high = __builtin_shuffle(c, d, Quad{2, 6, 3, 7});
  a = __builtin_shuffle(ab_low, cd_low, Quad{0, 1, 4, 5});
  b = __builtin_shuffle(ab_low, cd_low, Quad{2, 3, 6, 7});
  c = __builtin_shuffle(ab_high, cd_high, Quad{0, 1, 4, 5});
  d = __builtin_shuffle(ab_high, cd_high, Quad{2, 3, 6, 7});
}

void load_quads(Warp& w, const Instruction& i, const Addresses& a) {
  u32* to[4] = {slot<u32>(w, i.dst[0]), slot<u32>(w, i.dst[1]), slot<u32>(w, i.dst[2]),
                slot<u32>(w, i.dst[3])};
  if (in_steps(a, 0)) {
    const Quad row = read<Quad>(a.at[0]);
    for (int v = 0; v < 4; ++v) LACUNA_LANES to[v][l] = row[v];
    return;
  }
  for (int l = 0; l < warp_size; l += 4) {
    Quad rows[4];
    for (int k = 0; k < 4; ++k) rows[k] = read<Quad>(a.at[l + k]);
    transpose(rows[0], rows[1], rows[2], rows[3]);
    for (int k = 0; k < 4; ++k) write(reinterpret_cast<u64>(to[k] + l), rows[k]);
  }
}
void store_quads(Warp& w, const Instruction& i, const Addresses& a) {
  const u32* from[4] = {slot<u32>(w, i.src[1]), slot<u32>(w, i.src[2]), slot<u32>(w, i.src[3]),
                        slot<u32>(w, i.src[4])};
  for (int l = 0; l < warp_size; l += 4) {
    Quad rows[4];
    for (int k = 0; k < 4; ++k) rows[k] = read<Quad>(reinterpret_cast<u64>(from[k] + l));
    transpose(rows[0], rows[1], rows[2], rows[3]);
    for (int k = 0; k < 4; ++k) write(a.at[l + k], rows[k]);
  }
}

/// Words from 32 places.
LACUNA_INLINE void gather_words(u32* to, const Addresses& a) {
#ifdef __AVX512F__
  using Places = long long __attribute__((vector_size(64)));
  using Words = int __attribute__((vector_size(32)));
  for (int l = 0; l < warp_size; l += 8) {
    const auto places = *reinterpret_cast<const Places*>(a.at + l);
    *reinterpret_cast<Words*>(to + l) =
        __builtin_ia32_gatherdiv16si(Words{}, nullptr, places, 255, 1);
  }
#else
  for (int l = 0; l < warp_size; ++l) to[l] = read<u32>(a.at[l]);
#endif
}

/// A whole warp's access of one element a lane.
template <class T>
LACUNA_INLINE void load_all(Stored<T>* to, const Addresses& a) {
  if (in_steps(a, sizeof(T))) {
    const u64 base = a.at[0];
    LACUNA_LANES to[l] = Access<T>::put(read<T>(base + static_cast<u64>(l) * sizeof(T)));
  } else if constexpr (std::is_same_v<T, u32>) {
    gather_words(to, a);
  } else {
    for (int l = 0; l < warp_size; ++l) to[l] = Access<T>::put(read<T>(a.at[l]));
  }
}

template <Window window, class T>
void load(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes == 0) return;
  Addresses a;
  compute(w, i, a);
  resolve<window>(w, i, lanes, i.count * sizeof(T), Use::read, a);
  if (lanes == ~0u && i.count == 1) return load_all<T>(slot<T>(w, i.dst[0]), a);
  if (lanes == ~0u && i.count == 4 && sizeof(T) == 4) return load_quads(w, i, a);
  for (int v = 0; v < i.count; ++v) {
    Stored<T>* to = slot<T>(w, i.dst[v]);
    for (int l : each(lanes)) to[l] = Access<T>::put(read<T>(a.at[l] + v * sizeof(T)));
  }
}

template <Window window, class T>
void store(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes == 0) return;
  Addresses a;
  compute(w, i, a);
  resolve<window>(w, i, lanes, i.count * sizeof(T), Use::write, a);
  if (lanes == ~0u && i.count == 4 && sizeof(T) == 4) return store_quads(w, i, a);
  if (lanes == ~0u && i.count == 1 && in_steps(a, sizeof(T))) {
    const Stored<T>* from = slot<T>(w, i.src[1]);
    const u64 base = a.at[0];
    LACUNA_LANES write(base + static_cast<u64>(l) * sizeof(T), static_cast<T>(from[l]));
    return;
  }
  for (int v = 0; v < i.count; ++v) {
    const Stored<T>* from = slot<T>(w, i.src[1 + v]);
    for (int l : each(lanes)) write(a.at[l] + v * sizeof(T), static_cast<T>(from[l]));
  }
}

template <class T>
constexpr Kind kind = sizeof(T) == 8   ? Kind::b64
                      : sizeof(T) == 4 ? Kind::b32
                                       : Kind::b16;

template <class T>
constexpr Row load_row(const char* name, u8 count, Handler run) {
  return {name, run, Shape::load, Neutral::load, 0, count, {kind<T>}};
}
template <class T>
constexpr Row store_row(const char* name, u8 count, Handler run) {
  return {name, run, Shape::store, Neutral::store, 0, count, {}, {Kind::none, kind<T>}};
}

// clang-format off
#define LOAD(space, window, vector, count, type, T) \
  load_row<T>("ld" space vector "." #type, count, load<Window::window, T>),
#define STORE(space, window, vector, count, type, T) \
  store_row<T>("st" space vector "." #type, count, store<Window::window, T>),

// A type's bits are all that a load or store sees, but for the extension of narrow signed ones.
#define NARROW(X, space, window, vector, count) \
  X(space, window, vector, count, b8, u8) X(space, window, vector, count, u8, u8) \
  X(space, window, vector, count, s8, s8) X(space, window, vector, count, b16, u16) \
  X(space, window, vector, count, u16, u16) X(space, window, vector, count, s16, s16) \
  X(space, window, vector, count, b32, u32) X(space, window, vector, count, u32, u32) \
  X(space, window, vector, count, s32, u32) X(space, window, vector, count, f32, u32)
#define WIDE(X, space, window, vector, count) \
  X(space, window, vector, count, b64, u64) X(space, window, vector, count, u64, u64) \
  X(space, window, vector, count, s64, u64) X(space, window, vector, count, f64, u64)
#define TYPES(X, space, window) \
  NARROW(X, space, window, "", 1) NARROW(X, space, window, ".v2", 2) \
  NARROW(X, space, window, ".v4", 4) \
  WIDE(X, space, window, "", 1) WIDE(X, space, window, ".v2", 2)

constexpr Row rows[] = {
    TYPES(LOAD, "", generic) TYPES(LOAD, ".global", global) TYPES(LOAD, ".shared", shared)
    TYPES(LOAD, ".local", local) TYPES(LOAD, ".param", param) TYPES(LOAD, ".const", global)
    TYPES(STORE, "", generic) TYPES(STORE, ".global", global) TYPES(STORE, ".shared", shared)
    TYPES(STORE, ".local", local)
};
// clang-format on

}  // namespace

Rows memory_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
