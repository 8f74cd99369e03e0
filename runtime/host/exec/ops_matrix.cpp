// What tensor cores do: mma.sync on fragments, and ldmatrix and stmatrix, which load and
// store them.
#include "runtime/host/exec/address.h"
#include "runtime/host/exec/matrix.h"
#include "runtime/host/exec/schedule.h"

#include <immintrin.h>

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

/// Operands of every mma: A in src 0-3, B in src 4-5, C in src 6-9.
constexpr int b_at = 4, c_at = 6;

template <class E, int blocks>
LACUNA_INLINE Fragments<E, blocks> factors(const Warp& w, const Instruction& i) {
  Fragments<E, blocks> f;
  for (int k = 0; k < 2 * blocks; ++k) f.a[k] = slot<u32>(w, i.src[k]);
  for (int k = 0; k < blocks; ++k) f.b[k] = slot<u32>(w, i.src[b_at + k]);
  return f;
}

template <class E, int blocks>
void multiply(Warp& w, const Instruction& i) {
  if (!whole_warp_is_here(w, i, executing(w, i))) return;
  Fragments<E, blocks> f = factors<E, blocks>(w, i);
  for (int r = 0; r < 4; ++r) {
    f.c[r] = slot<u32>(w, i.src[c_at + r]);
    f.d[r] = slot<u32>(w, i.dst[r]);
  }
  multiply_add(f);
}

/// Sums in f32, rounded once to f16.
template <int blocks>
void multiply_to_half(Warp& w, const Instruction& i) {
  if (!whole_warp_is_here(w, i, executing(w, i))) return;
  alignas(64) u32 sums[4][warp_size];
  Fragments<f16, blocks> f = factors<f16, blocks>(w, i);
  for (int r = 0; r < 4; ++r) {
    const u32* from = slot<u32>(w, i.src[c_at + r / 2]);
    LACUNA_LANES sums[r][l] = bits_of(widen(f16{static_cast<u16>(from[l] >> (r % 2 * 16))}));
    f.c[r] = f.d[r] = sums[r];
  }
  multiply_add(f);
  for (int r = 0; r < 2; ++r) {
    u32* to = slot<u32>(w, i.dst[r]);
    LACUNA_LANES to[l] = narrow<f16>(f32_of(sums[2 * r][l])).bits |
                         static_cast<u32>(narrow<f16>(f32_of(sums[2 * r + 1][l])).bits) << 16;
  }
}

constexpr int row_bytes = 16;  ///< of an 8x8 tile

LACUNA_INLINE void load_tile(const u64* rows, u32* to) {
  for (int r = 0; r < 8; ++r)
    __builtin_memcpy(to + 4 * r, reinterpret_cast<const void*>(rows[r]), row_bytes);
}

#ifdef __AVX512BW__

LACUNA_INLINE __m512i load_rows(const u64* rows) {
  const auto row = [&](int r) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r]));
  };
  const __m512i first = _mm512_inserti32x4(_mm512_castsi128_si512(row(0)), row(1), 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(first, row(2), 2), row(3), 3);
}

struct alignas(64) Columns {
  u16 from[64];
};
constexpr Columns by_column() {
  Columns columns = {};
  for (int k = 0; k < 64; ++k) columns.from[k] = static_cast<u16>(k % 8 * 8 + k / 8);
  return columns;
}
constexpr Columns columns = by_column();

/// Column c of the rows becomes row c of the tile.
LACUNA_INLINE void load_transposed(const u64* rows, u32* to) {
  const __m512i low = load_rows(rows), high = load_rows(rows + 4);
  for (int half = 0; half < 2; ++half) {
    const __m512i from = _mm512_load_si512(columns.from + 32 * half);
    _mm512_store_si512(to + 16 * half, _mm512_permutex2var_epi16(low, from, high));
  }
}

#else

/// Column c of the rows becomes row c of the tile.
LACUNA_INLINE void load_transposed(const u64* rows, u32* to) {
  __m128i x[8], y[8];
  for (int r = 0; r < 8; ++r) x[r] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r]));
  for (int r = 0; r < 4; ++r) {
    y[2 * r] = _mm_unpacklo_epi16(x[r], x[r + 4]);
    y[2 * r + 1] = _mm_unpackhi_epi16(x[r], x[r + 4]);
  }
  for (int r = 0; r < 4; ++r) {
    x[2 * r] = _mm_unpacklo_epi16(y[r], y[r + 4]);
    x[2 * r + 1] = _mm_unpackhi_epi16(y[r], y[r + 4]);
  }
  for (int r = 0; r < 4; ++r) {
    auto* at = reinterpret_cast<__m128i*>(to + 8 * r);
    _mm_store_si128(at, _mm_unpacklo_epi16(x[r], x[r + 4]));
    _mm_store_si128(at + 1, _mm_unpackhi_epi16(x[r], x[r + 4]));
  }
}

#endif

template <Window window, int tiles, bool transposed>
void load_matrix(Warp& w, const Instruction& i) {
  if (!whole_warp_is_here(w, i, executing(w, i))) return;
  constexpr u32 addressing = tiles == 4 ? ~0u : (1u << (8 * tiles)) - 1;
  Addresses a;
  compute(w, i, a);
  resolve<window>(w, i, addressing, row_bytes, Use::read, a);
  for (int k = 0; k < tiles; ++k) {
    u32* to = slot<u32>(w, i.dst[k]);
    transposed ? load_transposed(a.at + 8 * k, to) : load_tile(a.at + 8 * k, to);
  }
}

template <Window window, int tiles, bool transposed>
void store_matrix(Warp& w, const Instruction& i) {
  if (!whole_warp_is_here(w, i, executing(w, i))) return;
  constexpr u32 addressing = tiles == 4 ? ~0u : (1u << (8 * tiles)) - 1;
  Addresses a;
  compute(w, i, a);
  resolve<window>(w, i, addressing, row_bytes, Use::write, a);
  for (int k = 0; k < tiles; ++k) {
    alignas(64) u32 tile[warp_size];
    const u32* from = slot<u32>(w, i.src[1 + k]);
    if (transposed) {
      u64 rows[8];
      for (int r = 0; r < 8; ++r) rows[r] = reinterpret_cast<u64>(from + 4 * r);
      load_transposed(rows, tile);
      from = tile;
    }
    for (int r = 0; r < 8; ++r)
      __builtin_memcpy(reinterpret_cast<void*>(a.at[8 * k + r]), from + 4 * r, row_bytes);
  }
}

/// `a` registers hold A, half as many hold B, `d` hold C and D each.
constexpr Row mma(const char* name, Handler run, u8 a, u8 d) {
  return {name, run, Shape::multiply, Neutral::none, a, d};
}
template <Window window, int tiles, bool transposed>
constexpr Row loads(const char* name) {
  return {name, load_matrix<window, tiles, transposed>, Shape::load_matrix, Neutral::matrix, 0,
          tiles};
}

template <Window window, int tiles, bool transposed>
constexpr Row stores(const char* name) {
  return {name, store_matrix<window, tiles, transposed>, Shape::store_matrix, Neutral::matrix, 0,
          tiles};
}

// clang-format off
#define MMA(shape, types) "mma.sync.aligned." shape ".row.col." types
#define STMATRIX(space, window) \
  stores<Window::window, 1, false>("stmatrix.sync.aligned.m8n8.x1" space ".b16"), \
  stores<Window::window, 2, false>("stmatrix.sync.aligned.m8n8.x2" space ".b16"), \
  stores<Window::window, 4, false>("stmatrix.sync.aligned.m8n8.x4" space ".b16"), \
  stores<Window::window, 1, true>("stmatrix.sync.aligned.m8n8.x1.trans" space ".b16"), \
  stores<Window::window, 2, true>("stmatrix.sync.aligned.m8n8.x2.trans" space ".b16"), \
  stores<Window::window, 4, true>("stmatrix.sync.aligned.m8n8.x4.trans" space ".b16"),
#define LDMATRIX(space, window) \
  loads<Window::window, 1, false>("ldmatrix.sync.aligned.m8n8.x1" space ".b16"), \
  loads<Window::window, 2, false>("ldmatrix.sync.aligned.m8n8.x2" space ".b16"), \
  loads<Window::window, 4, false>("ldmatrix.sync.aligned.m8n8.x4" space ".b16"), \
  loads<Window::window, 1, true>("ldmatrix.sync.aligned.m8n8.x1.trans" space ".b16"), \
  loads<Window::window, 2, true>("ldmatrix.sync.aligned.m8n8.x2.trans" space ".b16"), \
  loads<Window::window, 4, true>("ldmatrix.sync.aligned.m8n8.x4.trans" space ".b16"),

constexpr Row rows[] = {
    mma(MMA("m16n8k16", "f32.f16.f16.f32"), multiply<f16, 2>, 4, 4),
    mma(MMA("m16n8k16", "f32.bf16.bf16.f32"), multiply<bf16, 2>, 4, 4),
    mma(MMA("m16n8k16", "f16.f16.f16.f16"), multiply_to_half<2>, 4, 2),
    mma(MMA("m16n8k8", "f32.f16.f16.f32"), multiply<f16, 1>, 2, 4),
    mma(MMA("m16n8k8", "f32.bf16.bf16.f32"), multiply<bf16, 1>, 2, 4),
    mma(MMA("m16n8k8", "f16.f16.f16.f16"), multiply_to_half<1>, 2, 2),
    mma(MMA("m16n8k8", "f32.tf32.tf32.f32"), multiply<tf32, 2>, 4, 4),
    LDMATRIX("", generic) LDMATRIX(".shared", shared)
    STMATRIX("", generic) STMATRIX(".shared", shared)
};
// clang-format on

}  // namespace

Rows matrix_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
