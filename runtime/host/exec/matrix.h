// D = A B + C on fragments of m16n8k8 and m16n8k16 tiles, spread over a warp as PTX says. Elements
// of A and B are exact in f32; each element of D is C, then one fma for each k, ascending: the same
// bits on every instruction set of the host. A GPU adds in another order and truncates.
#pragma once
#include "runtime/host/exec/numeric.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

/// f32 of which the low 13 bits do not count.
struct tf32 {
  u32 bits;
};

template <class E>
constexpr int parts = 2;  ///< elements in a register
template <>
constexpr int parts<tf32> = 1;

/// Registers of a fragment: a lane's element (row, k) of A is in a[2 * block + row / 8], of B in
/// b[block]. A register of all lanes is a tile of 8 rows, row-major.
template <class E, int blocks>
struct Fragments {
  const u32* a[2 * blocks];
  const u32* b[blocks];
  const u32* c[4];
  u32* d[4];
};

#if defined(__AVX512F__)

template <class E>
struct Halves {
  __m512 part[parts<E>];
};
/// The first and the second element of each of 16 lanes' registers.
template <class E>
LACUNA_INLINE Halves<E> expand(const u32* from) {
  if constexpr (std::is_same_v<E, f16>) {
    const auto* halves = reinterpret_cast<const __m256i*>(from);
    const __m512 low = _mm512_cvtph_ps(_mm256_load_si256(halves));
    const __m512 high = _mm512_cvtph_ps(_mm256_load_si256(halves + 1));
    const __m512i first =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(1));
    return {{_mm512_permutex2var_ps(low, first, high), _mm512_permutex2var_ps(low, second, high)}};
  } else {
    const __m512i x = _mm512_load_si512(from);
    if constexpr (std::is_same_v<E, tf32>)
      return {{_mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(-0x2000)))}};
    else
      return {{_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
               _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(-0x10000)))}};
  }
}

/// c[r][h] holds rows 8 * (r / 2) + 4 * h .. + 3, each 4 columns of the parity of r.
template <class E, int p>
LACUNA_INLINE void multiply_column(const Halves<E> (&a)[2][2], const Halves<E> (&b)[2],
                                   __m512 (&c)[4][2]) {
  // Columns 0, 2, 4, 6 of B at this k are the lanes p, 8 + p, ...; the odd ones are 4 further.
  const __m512i quad = _mm512_set4_epi32(24 + p, 16 + p, 8 + p, p);
  const __m512i columns[2] = {quad, _mm512_add_epi32(quad, _mm512_set1_epi32(4))};
  for (int e = 0; e < parts<E>; ++e) {
    __m512 factor[2];
    for (int q = 0; q < 2; ++q)
      factor[q] = _mm512_permutex2var_ps(b[0].part[e], columns[q], b[1].part[e]);
    for (int half = 0; half < 2; ++half)
      for (int h = 0; h < 2; ++h) {
        const __m512 x = _mm512_permute_ps(a[half][h].part[e], p * 0x55);
        for (int q = 0; q < 2; ++q)
          c[2 * half + q][h] = _mm512_fmadd_ps(x, factor[q], c[2 * half + q][h]);
      }
  }
}

template <class E, int blocks>
LACUNA_INLINE void multiply_add(const Fragments<E, blocks>& f) {
  __m512 c[4][2];
  for (int r = 0; r < 4; ++r)
    for (int h = 0; h < 2; ++h) c[r][h] = _mm512_load_ps(f.c[r] + 16 * h);
#pragma GCC unroll 2
  for (int block = 0; block < blocks; ++block) {
    Halves<E> a[2][2], b[2];
    for (int h = 0; h < 2; ++h) {
      b[h] = expand<E>(f.b[block] + 16 * h);
      for (int half = 0; half < 2; ++half) a[half][h] = expand<E>(f.a[2 * block + half] + 16 * h);
    }
    multiply_column<E, 0>(a, b, c);
    multiply_column<E, 1>(a, b, c);
    multiply_column<E, 2>(a, b, c);
    multiply_column<E, 3>(a, b, c);
  }
  const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fffffff));
  for (int r = 0; r < 4; ++r)
    for (int h = 0; h < 2; ++h) {
      const __mmask16 number = _mm512_cmp_ps_mask(c[r][h], c[r][h], _CMP_ORD_Q);
      _mm512_store_ps(f.d[r] + 16 * h, _mm512_mask_mov_ps(nan, number, c[r][h]));
    }
}

#elif defined(__AVX2__)

LACUNA_INLINE __m256 high_halves(__m256i x) {
  return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(-0x10000)));
}

/// The row of A that a register's 16 bytes hold.
template <class E>
LACUNA_INLINE void expand_row(const u32* from, f32* to) {
  const __m128i x = _mm_load_si128(reinterpret_cast<const __m128i*>(from));
  if constexpr (std::is_same_v<E, tf32>)
    _mm_store_ps(to, _mm_castsi128_ps(_mm_and_si128(x, _mm_set1_epi32(-0x2000))));
  else if constexpr (std::is_same_v<E, bf16>)
    _mm256_store_ps(to, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)));
  else
    _mm256_store_ps(to, _mm256_cvtph_ps(x));
}

/// 8 columns at each of the k of one lane of four.
template <class E>
LACUNA_INLINE void expand_columns(const u32* from, __m256* to) {
  const __m256i lanes = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  const __m256i x = _mm256_i32gather_epi32(reinterpret_cast<const int*>(from), lanes, 4);
  if constexpr (std::is_same_v<E, tf32>) {
    to[0] = _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(-0x2000)));
  } else if constexpr (std::is_same_v<E, bf16>) {
    to[0] = _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
    to[1] = high_halves(x);
  } else {
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi32(0xffff));
    const __m256i both = _mm256_packus_epi32(low, _mm256_srli_epi32(x, 16));
    const __m256i sorted = _mm256_permute4x64_epi64(both, 0xd8);
    to[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
    to[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
  }
}

/// A row of C: columns alternate between two registers.
LACUNA_INLINE __m256 load_row(const u32* even, const u32* odd) {
  const __m128 x = _mm_load_ps(reinterpret_cast<const f32*>(even));
  const __m128 y = _mm_load_ps(reinterpret_cast<const f32*>(odd));
  return _mm256_set_m128(_mm_unpackhi_ps(x, y), _mm_unpacklo_ps(x, y));
}
LACUNA_INLINE void store_row(u32* even, u32* odd, __m256 row) {
  const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  row = _mm256_blendv_ps(row, nan, _mm256_cmp_ps(row, row, _CMP_UNORD_Q));
  const __m128 low = _mm256_castps256_ps128(row), high = _mm256_extractf128_ps(row, 1);
  _mm_store_ps(reinterpret_cast<f32*>(even), _mm_shuffle_ps(low, high, 0x88));
  _mm_store_ps(reinterpret_cast<f32*>(odd), _mm_shuffle_ps(low, high, 0xdd));
}

template <class E, int blocks>
LACUNA_INLINE void multiply_add(const Fragments<E, blocks>& f) {
  constexpr int wide = 4 * parts<E>, depth = blocks * wide;
  alignas(32) f32 a[16][depth];
  __m256 b[depth], c[16];
  for (int block = 0; block < blocks; ++block) {
    for (int m = 0; m < 16; ++m)
      expand_row<E>(f.a[2 * block + m / 8] + m % 8 * 4, a[m] + block * wide);
    for (int t = 0; t < 4; ++t) expand_columns<E>(f.b[block] + t, b + block * wide + t * parts<E>);
  }
  for (int m = 0; m < 16; ++m)
    c[m] = load_row(f.c[m / 8 * 2] + m % 8 * 4, f.c[m / 8 * 2 + 1] + m % 8 * 4);
  for (int m = 0; m < 16; m += 8) {  // 8 chains of fma hide the latency of each
#pragma GCC unroll 16
    for (int k = 0; k < depth; ++k)
#pragma GCC unroll 8
      for (int j = m; j < m + 8; ++j)
        c[j] = _mm256_fmadd_ps(_mm256_broadcast_ss(&a[j][k]), b[k], c[j]);
  }
  for (int m = 0; m < 16; ++m)
    store_row(f.d[m / 8 * 2] + m % 8 * 4, f.d[m / 8 * 2 + 1] + m % 8 * 4, c[m]);
}

#else

template <class E>
LACUNA_INLINE f32 element(u32 bits, int part) {
  if constexpr (std::is_same_v<E, tf32>)
    return f32_of(bits & ~0x1fffu);
  else
    return widen(E{static_cast<u16>(bits >> (16 * part))});
}

/// Whether a product with another such number is exact in f32: at most 11 bits times 11 bits, and
/// not near the ends of the exponents.
LACUNA_INLINE bool is_moderate(f32 x) {
  const u32 magnitude = bits_of(x) & 0x7fffffffu;
  return magnitude == 0 || magnitude - 0x20000000u < 0x3e000000u;
}

template <bool exact>
LACUNA_INLINE f32 fused(f32 a, f32 b, f32 c) {
  return exact ? a * b + c : static_cast<f32>(add_to_odd(static_cast<f64>(a) * b, c));
}
template <bool exact, int depth>
void multiply_rows(const f32 (&a)[16][depth], const f32 (&b)[depth][8], f32 (&c)[16][8]) {
  for (int m = 0; m < 16; ++m)
    for (int k = 0; k < depth; ++k)
#pragma omp simd
      for (int n = 0; n < 8; ++n) c[m][n] = fused<exact>(a[m][k], b[k][n], c[m][n]);
}

template <class E, int blocks>
LACUNA_INLINE void multiply_add(const Fragments<E, blocks>& f) {
  constexpr int wide = 4 * parts<E>, depth = blocks * wide;
  f32 a[16][depth], b[depth][8], c[16][8];
  bool moderate = true;
  for (int block = 0; block < blocks; ++block)
    for (int l = 0; l < warp_size; ++l)
      for (int e = 0; e < parts<E>; ++e) {
        const int k = block * wide + l % 4 * parts<E> + e;
        a[l / 4][k] = element<E>(f.a[2 * block][l], e);
        a[l / 4 + 8][k] = element<E>(f.a[2 * block + 1][l], e);
        b[k][l / 4] = element<E>(f.b[block][l], e);
        moderate &=
            is_moderate(a[l / 4][k]) & is_moderate(a[l / 4 + 8][k]) & is_moderate(b[k][l / 4]);
      }
  const auto column = [](int r, int l) { return l % 4 * 2 + r % 2; };
  for (int r = 0; r < 4; ++r)
    for (int l = 0; l < warp_size; ++l) c[r / 2 * 8 + l / 4][column(r, l)] = f32_of(f.c[r][l]);
  moderate ? multiply_rows<true>(a, b, c) : multiply_rows<false>(a, b, c);
  for (int r = 0; r < 4; ++r)
    for (int l = 0; l < warp_size; ++l)
      f.d[r][l] = bits_of(canonical(c[r / 2 * 8 + l / 4][column(r, l)]));
}

#endif

}  // namespace
}  // namespace lacuna::runtime::host::LACUNA_ISA
