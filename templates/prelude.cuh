// The vocabulary of all device code: one text that NVRTC (12.4 and later) and clang 19 in CUDA
// device mode both accept, without any header of CUDA. Device code says only these names and inline
// PTX; what a compiler has of its own stays here.
//
// An include guard and not a pragma: a host test that brings the same names itself defines
// LACUNA_PRELUDE first.
#ifndef LACUNA_PRELUDE
#define LACUNA_PRELUDE

#if defined(__clang__)
#define LACUNA_DEVICE static __attribute__((device, always_inline)) inline
#define LACUNA_MEMBER __attribute__((device, always_inline)) inline
#define LACUNA_OUTLINED __attribute__((device, noinline)) inline
#define LACUNA_KERNEL extern "C" __attribute__((global))
#define LACUNA_BOUNDS(threads, ctas) __attribute__((launch_bounds(threads, ctas)))
#define LACUNA_ALIGN(bytes) __attribute__((aligned(bytes)))
// clang 19 has no such attribute; runtime/llvm turns the annotation into the one that its code
// generator knows.
#define LACUNA_GRID_CONST const __attribute__((annotate("lacuna_grid_constant")))
#define LACUNA_SHARED __attribute__((shared))
#elif defined(__CUDACC_RTC__)
#define LACUNA_DEVICE static __device__ __forceinline__
#define LACUNA_MEMBER __device__ __forceinline__
#define LACUNA_OUTLINED __device__ __noinline__
#define LACUNA_KERNEL extern "C" __global__
#define LACUNA_BOUNDS(threads, ctas) __launch_bounds__(threads, ctas)
#define LACUNA_ALIGN(bytes) __align__(bytes)
#define LACUNA_GRID_CONST const __grid_constant__
#define LACUNA_SHARED __shared__
#else
#error "device code is compiled by NVRTC or by clang"
#endif

// LACUNA_KERNEL void LACUNA_BOUNDS(128, 2) name(LACUNA_GRID_CONST Params params) { ... }
// LACUNA_DEVICE begins a free function, LACUNA_MEMBER a member function, static ones too;
// LACUNA_OUTLINED one of which a kernel shall hold a single copy.
#define LACUNA_UNROLL _Pragma("unroll")
#define LACUNA_NOUNROLL _Pragma("unroll 1")
#define LACUNA_PRAGMA(text) _Pragma(#text)
#define LACUNA_UNROLL_BY(count) LACUNA_PRAGMA(unroll(count))
#define LACUNA_RESTRICT __restrict__
// All dynamic shared memory of a kernel, as bytes, on 128: what a swizzle of 128 bytes needs.
#define LACUNA_DYNAMIC_SHARED(name) extern LACUNA_SHARED LACUNA_ALIGN(128) unsigned char name[]

namespace lacuna {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using s8 = signed char;
using s16 = short;
using s32 = int;
using s64 = long long;

struct LACUNA_ALIGN(8) U2 {
  u32 x, y;
};
struct LACUNA_ALIGN(16) U4 {
  u32 x, y, z, w;
};
struct LACUNA_ALIGN(8) F2 {
  float x, y;
};
struct LACUNA_ALIGN(16) F4 {
  float x, y, z, w;
};

// ---- What the two compilers spell differently. Every lane of the warp takes part in a vote or
// shuffle. Unsigned everywhere: a signed index changes / % and <. ----
#if defined(__clang__)
LACUNA_DEVICE u32 thread_index() {
  return static_cast<u32>(__nvvm_read_ptx_sreg_tid_x());
}
LACUNA_DEVICE u32 block_index() {
  return static_cast<u32>(__nvvm_read_ptx_sreg_ctaid_x());
}
LACUNA_DEVICE u32 popcount(u32 x) {
  return static_cast<u32>(__builtin_popcount(x));
}
LACUNA_DEVICE u32 count_leading_zeros(u32 x) {
  return x ? static_cast<u32>(__builtin_clz(x)) : 32;  // the builtin is undefined at 0
}
// Opaque: clang 19 turns the conversion of a negated bool into one that says +1 for -1.
LACUNA_DEVICE float float_of_s32(s32 x) {
  float r;
  asm("cvt.rn.f32.s32 %0, %1;" : "=f"(r) : "r"(x));
  return r;
}
LACUNA_DEVICE float fma_rn(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
LACUNA_DEVICE float max_f32(float a, float b) {
  return __builtin_fmaxf(a, b);
}
LACUNA_DEVICE float min_f32(float a, float b) {
  return __builtin_fminf(a, b);
}
LACUNA_DEVICE float abs_f32(float x) {
  return __builtin_fabsf(x);
}
LACUNA_DEVICE float square_root(float x) {
  return __builtin_sqrtf(x);
}
LACUNA_DEVICE u32 ballot(bool condition) {
  return static_cast<u32>(__nvvm_vote_ballot_sync(0xffffffffu, condition));
}
LACUNA_DEVICE bool any_lane(bool condition) {
  return __nvvm_vote_any_sync(0xffffffffu, condition);
}
LACUNA_DEVICE bool all_lanes(bool condition) {
  return __nvvm_vote_all_sync(0xffffffffu, condition);
}
LACUNA_DEVICE u32 shared_address(const void* p) {
  return static_cast<u32>((u64)(__attribute__((address_space(3))) const void*)p);
}
#else
LACUNA_DEVICE u32 thread_index() {
  return threadIdx.x;
}
LACUNA_DEVICE u32 block_index() {
  return blockIdx.x;
}
LACUNA_DEVICE u32 popcount(u32 x) {
  return static_cast<u32>(__popc(x));
}
LACUNA_DEVICE u32 count_leading_zeros(u32 x) {
  return static_cast<u32>(__clz(x));
}
LACUNA_DEVICE float float_of_s32(s32 x) {
  return static_cast<float>(x);
}
LACUNA_DEVICE float fma_rn(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
LACUNA_DEVICE float max_f32(float a, float b) {
  return fmaxf(a, b);
}
LACUNA_DEVICE float min_f32(float a, float b) {
  return fminf(a, b);
}
LACUNA_DEVICE float abs_f32(float x) {
  return fabsf(x);
}
LACUNA_DEVICE float square_root(float x) {
  return __fsqrt_rn(x);
}
LACUNA_DEVICE u32 ballot(bool condition) {
  return __ballot_sync(0xffffffffu, condition);
}
LACUNA_DEVICE bool any_lane(bool condition) {
  return __any_sync(0xffffffffu, condition);
}
LACUNA_DEVICE bool all_lanes(bool condition) {
  return __all_sync(0xffffffffu, condition);
}
LACUNA_DEVICE u32 shared_address(const void* p) {
  return static_cast<u32>(__cvta_generic_to_shared(p));
}
#endif

// ---- Threads. A CTA is one-dimensional, so a lane is the low five bits of the thread. ----
LACUNA_DEVICE u32 lane_index() {
  return thread_index() & 31;
}
LACUNA_DEVICE u32 warp_index() {
  return thread_index() / 32;
}
// Warps of a CTA may meet at different places of the code, but no lanes of one warp.
LACUNA_DEVICE void cta_sync() {
  asm volatile("bar.sync 0;" ::: "memory");
}
LACUNA_DEVICE void warp_sync() {
  asm volatile("bar.warp.sync 0xffffffff;" ::: "memory");
}

// A barrier that also says whether any thread's condition held.
LACUNA_DEVICE bool cta_any(bool condition) {
  u32 r;
  asm volatile(
      "{ .reg .pred p, q; setp.ne.u32 p, %1, 0; bar.red.or.pred q, 0, p; selp.u32 %0, 1, 0, q; }"
      : "=r"(r)
      : "r"((u32)condition)
      : "memory");
  return r != 0;
}
LACUNA_DEVICE u32 warp_max(u32 value) {
  u32 r;
  asm volatile("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(r) : "r"(value));
  return r;
}

LACUNA_DEVICE u32 shuffle_xor(u32 value, u32 lane_mask) {
  u32 r;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;"
               : "=r"(r)
               : "r"(value), "r"(lane_mask));
  return r;
}
LACUNA_DEVICE u32 shuffle_idx(u32 value, u32 lane) {
  u32 r;
  asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(r) : "r"(value), "r"(lane));
  return r;
}

// ---- Bits and integers. NVRTC declares min, max, any, all ... itself, hence other names. ----
LACUNA_DEVICE constexpr u32 bits_of(float x) {
  return __builtin_bit_cast(u32, x);
}
LACUNA_DEVICE constexpr float float_of_bits(u32 x) {
  return __builtin_bit_cast(float, x);
}
LACUNA_DEVICE constexpr float infinity() {
  return float_of_bits(0x7f800000u);
}
template <class T>
LACUNA_DEVICE constexpr T min_of(T a, T b) {
  return b < a ? b : a;
}
template <class T>
LACUNA_DEVICE constexpr T max_of(T a, T b) {
  return a < b ? b : a;
}
template <class T>
LACUNA_DEVICE constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}
LACUNA_DEVICE float shuffle_xor(float value, u32 lane_mask) {
  return float_of_bits(shuffle_xor(bits_of(value), lane_mask));
}
LACUNA_DEVICE float shuffle_idx(float value, u32 lane) {
  return float_of_bits(shuffle_idx(bits_of(value), lane));
}

// ---- f32. Rounded to nearest and never contracted; max_f32 and min_f32 return the number beside a
// NaN. ----
LACUNA_DEVICE float divide(float a, float b) {
  return a / b;
}
// The larger, or NaN where one is.
LACUNA_DEVICE float max_or_nan(float a, float b) {
  float r;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
// a b + c, clamped to [0, 1]; NaN is 0.
LACUNA_DEVICE float fma_saturated(float a, float b, float c) {
  float r;
  asm("fma.rn.sat.f32 %0, %1, %2, %3;" : "=f"(r) : "f"(a), "f"(b), "f"(c));
  return r;
}
LACUNA_DEVICE u32 and_of(u32 a, u32 b, u32 c) {
  u32 r;
  asm("lop3.b32 %0, %1, %2, %3, 0x80;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
}
LACUNA_DEVICE float floor_f32(float x) {
  float r;
  asm("cvt.rmi.f32.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
// Toward zero, saturating, NaN to 0: what a C++ cast leaves undefined.
LACUNA_DEVICE s32 truncate_f32(float x) {
  s32 r;
  asm("cvt.rzi.s32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}
// One instruction each, about 2 ulp; subnormal arguments and results count as zero.
LACUNA_DEVICE float exp2_approx(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
LACUNA_DEVICE float log2_approx(float x) {
  float r;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
LACUNA_DEVICE float sqrt_approx(float x) {
  float r;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
LACUNA_DEVICE float rcp_approx(float x) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

// ---- f16 and bf16 are bits; conversions round to nearest even, a NaN stays one. ----
LACUNA_DEVICE float float_of_f16(u16 x) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x));
  return r;
}
LACUNA_DEVICE float float_of_bf16(u16 x) {
  return float_of_bits(static_cast<u32>(x) << 16);
}
LACUNA_DEVICE u16 f16_of(float x) {
  u16 r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
  return r;
}
LACUNA_DEVICE u16 bf16_of(float x) {
  u16 r;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x));
  return r;
}
// `lo` in the low half.
LACUNA_DEVICE u32 f16x2_of(float lo, float hi) {
  u32 r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
  return r;
}
LACUNA_DEVICE u32 bf16x2_of(float lo, float hi) {
  u32 r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
  return r;
}

// What follows from these is computed anew behind this, and not kept from before.
LACUNA_DEVICE void forget(s32& x) {
  asm volatile("" : "+r"(x));
}
template <class... Integers>
LACUNA_DEVICE void forget(s32& x, Integers&... more) {
  forget(x);
  forget(more...);
}

// The first becomes the last. A loop over rows that shall be one piece of code works on the first
// place and turns every array that it uses, which after all rows is as before.
template <class T, int n>
LACUNA_DEVICE void rotate(T (&values)[n]) {
  const T first = values[0];
  LACUNA_UNROLL
  for (int i = 0; i + 1 < n; ++i) values[i] = values[i + 1];
  values[n - 1] = first;
}
template <class T, int n, int m>
LACUNA_DEVICE void rotate(T (&values)[n][m]) {
  LACUNA_UNROLL
  for (int j = 0; j < m; ++j) {
    const T first = values[0][j];
    LACUNA_UNROLL
    for (int i = 0; i + 1 < n; ++i) values[i][j] = values[i + 1][j];
    values[n - 1][j] = first;
  }
}

}  // namespace lacuna

#endif
