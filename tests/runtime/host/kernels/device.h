// The few words that these kernels need, for NVRTC and for clang without any toolkit header.
#pragma once
#if defined(__clang__)
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define INLINE static __attribute__((device, always_inline)) inline
#define NOINLINE static __attribute__((device, noinline))
#define BOUNDS(n) __attribute__((launch_bounds(n)))
#define ALIGN(n) __attribute__((aligned(n)))
#else
#define INLINE static __device__ __forceinline__
#define NOINLINE static __device__ __noinline__
#define BOUNDS(n) __launch_bounds__(n)
#define ALIGN(n) __align__(n)
#endif
#define KERNEL extern "C" __global__ void
typedef unsigned int u32;
typedef unsigned long long u64;
INLINE u32 thread() { u32 r; asm volatile("mov.u32 %0, %%tid.x;" : "=r"(r)); return r; }
INLINE u32 block() { u32 r; asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(r)); return r; }
INLINE void sync() { __syncthreads(); }
INLINE float bits_to_float(u32 x) { float y; asm("mov.b32 %0, %1;" : "=f"(y) : "r"(x)); return y; }
INLINE float exp2(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
INLINE float max(float a, float b) { float y; asm("max.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b)); return y; }
INLINE float fma_(float a, float b, float c) { float y; asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(y) : "f"(a), "f"(b), "f"(c)); return y; }
INLINE float shuffle_xor(float x, int lanes) {
  float y;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(y) : "f"(x), "r"(lanes));
  return y;
}
