// Candidates of a threshold: scores above a gate that only ever rises. A lane keeps those of its
// own rows, a list to each; new ones first go, four scores at a time, to a staging area, since
// within a warp few lanes find one at the same time. All of it lies in global memory that the CTA
// owns, by 32-bit offsets. Nothing is atomic: the same lists every time.
#pragma once
#include "memory.cuh"

namespace lacuna {

// Lists: {a score or its distance, key}, 32 lanes side by side.
constexpr u32 list_pitch = 256;
// Scores of 2 rows and 2 keys, or their distances to the gates of their rows, and the first key.
constexpr u32 block_pitch = 1024;

// Appends a block where `signs`, the bits of its distances and-ed, says that one is above its gate.
// All lanes of a warp meet in it; where none has one, it is left at once.
LACUNA_DEVICE void append_block(u64 base, u32& end, u32 signs, float a, float b, float c, float d,
                                s32 key, s32 behind) {
  asm volatile(
      "{ .reg .pred p, any; .reg .u64 to; .reg .s32 first; setp.ge.s32 p, %1, 0; "
      "vote.sync.any.pred any, p, 0xffffffff; @!any bra past; add.s32 first, %6, %8; "
      "cvt.u64.u32 to, %0; add.u64 to, to, %7; @p st.global.v4.f32 [to], {%2, %3, %4, %5}; "
      "@p st.global.s32 [to+16], first; @p add.u32 %0, %0, 1024; past: }"
      : "+r"(end)
      : "r"(signs), "f"(a), "f"(b), "f"(c), "f"(d), "r"(key), "l"(base), "r"(behind)
      : "memory");
}
// Where at >= end, four times -inf, and no key.
LACUNA_DEVICE void load_block(u64 base, u32 at, u32 end, float (&x)[4], s32& key) {
  asm volatile(
      "{ .reg .pred p; .reg .u64 from; setp.lt.u32 p, %6, %7; cvt.u64.u32 from, %6; "
      "add.u64 from, from, %5; mov.b32 %0, 0fff800000; mov.b32 %1, 0fff800000; "
      "mov.b32 %2, 0fff800000; mov.b32 %3, 0fff800000; mov.b32 %4, 0; "
      "@p ld.global.v4.f32 {%0, %1, %2, %3}, [from]; @p ld.global.s32 %4, [from+16]; }"
      : "=&f"(x[0]), "=&f"(x[1]), "=&f"(x[2]), "=&f"(x[3]), "=&r"(key)
      : "l"(base), "r"(at), "r"(end)
      : "memory");
}
// The candidate `behind` bytes behind at. Where at >= end, which is as many before the list's, -inf
// and no key.
template <u32 behind>
LACUNA_DEVICE void load_candidate(u64 base, u32 at, u32 end, float& value, s32& key) {
  asm volatile(
      "{ .reg .pred p; .reg .u64 from; setp.lt.s32 p, %3, %4; cvt.u64.u32 from, %3; "
      "add.u64 from, from, %2; mov.b32 %0, 0fff800000; mov.b32 %1, 0; "
      "@p ld.global.v2.b32 {%0, %1}, [from+%5]; }"
      : "=&f"(value), "=&r"(key)
      : "l"(base), "r"(at), "r"(end), "n"(behind)
      : "memory");
}

// What a row's scores above its gate add up to: Σ x^β, Σ x^(β-1) of their distances x.
struct Above {
  float f = 0, slopes = 0;

  // Returns x.
  template <class Norm>
  LACUNA_MEMBER float add(const Norm& norm, float distance) {
    const float x = max_or_nan(distance, 0.0f), slope = norm.slope(x);
    f = norm.sum(f, x, slope);
    slopes += slope;
    return x;
  }
  // The same for a candidate, which is appended if its distance x is above 0, or NaN; nothing is
  // added otherwise. slope: x^(β-1).
  LACUNA_MEMBER void append(u64 base, u32& end, float x, float slope, float value, s32 key) {
    asm volatile(
        "{ .reg .pred p; .reg .u64 to; setp.gtu.f32 p, %3, 0f00000000; cvt.u64.u32 to, %0; "
        "add.u64 to, to, %7; @p fma.rn.f32 %1, %4, %3, %1; @p add.rn.f32 %2, %2, %4; "
        "@p st.global.v2.b32 [to], {%5, %6}; @p add.u32 %0, %0, 256; }"
        : "+r"(end), "+f"(f), "+f"(slopes)
        : "f"(x), "f"(slope), "f"(value), "r"(key), "l"(base)
        : "memory");
  }
  template <class Machine>
  LACUNA_MEMBER void meet() {
    f = Machine::row_sum(f);
    slopes = Machine::row_sum(slopes);
  }
};

}  // namespace lacuna
