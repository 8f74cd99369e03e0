// Global memory by address. Loads take the read-only path: only for what no thread of the launch
// writes.
#pragma once
#include "prelude.cuh"

namespace lacuna {

// Volatile although they have no effect: NVRTC moves a plain asm load in front of the test that
// guards it, and then reads where nothing is.
LACUNA_DEVICE void read_global(u64 from, u8& to) {
  u16 r;
  asm volatile("ld.global.nc.u8 %0, [%1];" : "=h"(r) : "l"(from));
  to = static_cast<u8>(r);
}
LACUNA_DEVICE void read_global(u64 from, s8& to) {
  s16 r;
  asm volatile("ld.global.nc.s8 %0, [%1];" : "=h"(r) : "l"(from));
  to = static_cast<s8>(r);
}
LACUNA_DEVICE void read_global(u64 from, u16& to) {
  asm volatile("ld.global.nc.u16 %0, [%1];" : "=h"(to) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, s16& to) {
  asm volatile("ld.global.nc.s16 %0, [%1];" : "=h"(to) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, u32& to) {
  asm volatile("ld.global.nc.u32 %0, [%1];" : "=r"(to) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, s32& to) {
  asm volatile("ld.global.nc.s32 %0, [%1];" : "=r"(to) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, u64& to) {
  asm volatile("ld.global.nc.u64 %0, [%1];" : "=l"(to) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, s64& to) {
  asm volatile("ld.global.nc.s64 %0, [%1];" : "=l"(to) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, float& to) {
  asm volatile("ld.global.nc.f32 %0, [%1];" : "=f"(to) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, U2& to) {
  asm volatile("ld.global.nc.v2.u32 {%0, %1}, [%2];" : "=r"(to.x), "=r"(to.y) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, F2& to) {
  asm volatile("ld.global.nc.v2.f32 {%0, %1}, [%2];" : "=f"(to.x), "=f"(to.y) : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, U4& to) {
  asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(to.x), "=r"(to.y), "=r"(to.z), "=r"(to.w)
               : "l"(from));
}
LACUNA_DEVICE void read_global(u64 from, F4& to) {
  asm volatile("ld.global.nc.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(to.x), "=f"(to.y), "=f"(to.z), "=f"(to.w)
               : "l"(from));
}
template <class T>
LACUNA_DEVICE T load_global(u64 address) {
  T value;
  read_global(address, value);
  return value;
}

// Of what this launch writes: by this thread, or by others before a barrier.
LACUNA_DEVICE void read_written(u64 from, u32& to) {
  asm volatile("ld.global.u32 %0, [%1];" : "=r"(to) : "l"(from) : "memory");
}
LACUNA_DEVICE void read_written(u64 from, float& to) {
  asm volatile("ld.global.f32 %0, [%1];" : "=f"(to) : "l"(from) : "memory");
}
LACUNA_DEVICE void read_written(u64 from, F2& to) {
  asm volatile("ld.global.v2.f32 {%0, %1}, [%2];" : "=f"(to.x), "=f"(to.y) : "l"(from) : "memory");
}
template <class T>
LACUNA_DEVICE T load_written(u64 address) {
  T value;
  read_written(address, value);
  return value;
}

LACUNA_DEVICE void store_global(u64 to, u16 value) {
  asm volatile("st.global.u16 [%0], %1;" ::"l"(to), "h"(value) : "memory");
}
LACUNA_DEVICE void store_global(u64 to, u32 value) {
  asm volatile("st.global.u32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
}
LACUNA_DEVICE void store_global(u64 to, s32 value) {
  asm volatile("st.global.s32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
}
LACUNA_DEVICE void store_global(u64 to, float value) {
  asm volatile("st.global.f32 [%0], %1;" ::"l"(to), "f"(value) : "memory");
}
LACUNA_DEVICE void store_global(u64 to, U2 value) {
  asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(to), "r"(value.x), "r"(value.y) : "memory");
}
LACUNA_DEVICE void store_global(u64 to, F2 value) {
  asm volatile("st.global.v2.f32 [%0], {%1, %2};" ::"l"(to), "f"(value.x), "f"(value.y) : "memory");
}
LACUNA_DEVICE void store_global(u64 to, U4 value) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(value.x), "r"(value.y),
               "r"(value.z), "r"(value.w)
               : "memory");
}
LACUNA_DEVICE void store_global(u64 to, F4 value) {
  asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(value.x), "f"(value.y),
               "f"(value.z), "f"(value.w)
               : "memory");
}

}  // namespace lacuna
