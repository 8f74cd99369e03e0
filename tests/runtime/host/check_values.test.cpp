// Uninitialised values: every place where one matters, and every way to carry one on unharmed.
#include "tests/catch.h"
#include "tests/runtime/host/checked.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::test {
namespace {

/// %r50 has a value in lanes 4 and above alone, %p9 in lanes 8 and above.
const std::string some =
    "setp.ge.u32 %p1, %r0, 4; @%p1 mov.u32 %r50, 1; setp.ge.u32 %p2, %r0, 8; "
    "@%p2 setp.eq.u32 %p9, %r0, 9;\n";
std::string after_some(std::string_view use) {
  return checked(some + std::string(use), 32);
}
/// With the lanes cut off that have no value.
std::string where_defined(std::string_view use) {
  return checked(some + "@!%p2 bra $E;\n" + std::string(use) + "\n$E:", 32);
}

}  // namespace

TEST_CASE("a register that was never written is reported where it matters") {
  CHECK(after_some("add.u32 %r2, %r0, %r50;") ==
        "device: uninitialised register: source 2 has no value (kernel 'k', CTA 0, warp 0, lane 0, "
        "ptx line 17: add.u32 %r2, %r0, %r50)");
  CHECK(after_some("@%p2 add.u32 %r2, %r0, %r50;") == "");
  for (const char* use :
       {"add.u32 %r2, %r0, %r50;", "ld.shared.u32 %r2, [%r50];", "st.shared.u32 [%r1], %r50;",
        "st.global.u32 [%d2], %r50;", "atom.global.add.u32 %r2, [%d2], %r50;",
        "red.shared.add.u32 [%r1], %r50;", "setp.eq.u32 %p3, %r50, 1;",
        "shfl.sync.idx.b32 %r2, %r0, %r50, 31, -1;", "vote.sync.any.pred %p3, %p9, -1;",
        "selp.u32 %r2, 1, 2, %p9;", "cvt.rn.f32.u32 %f1, %r50;", "@%p9 mov.u32 %r2, 1;",
        "@%p9 bra $X; mov.u32 %r2, 1; $X:", "bar.red.popc.u32 %r2, 0, %p9;"}) {
    INFO(use);
    CHECK(after_some(use).find("device: uninitialised ") == 0);
  }
  for (const char* use :
       {"add.u32 %r2, %r0, %r50;", "setp.eq.u32 %p3, %r50, 1;", "st.global.u32 [%d2], %r50;",
        "selp.u32 %r2, 1, 2, %p9;", "@%p9 mov.u32 %r2, 1;", "cvt.rn.f32.u32 %f1, %r50;"}) {
    INFO(use);
    CHECK(where_defined(use) == "");
  }
  CHECK(after_some("ld.global.u32 %r2, [%d50];") ==
        "device: uninitialised address: its register has no value (kernel 'k', CTA 0, warp 0, lane "
        "0, ptx line 17: ld.global.u32 %r2, [%d50])");
  CHECK(after_some("@%p9 mov.u32 %r2, 1;") ==
        "device: uninitialised predicate: what decides whether the lane executes the instruction "
        "has no value (kernel 'k', CTA 0, warp 0, lane 0, ptx line 17: @%p9 mov.u32 %r2, 1)");
}

TEST_CASE("an undefined value may be carried on, selected away and packed") {
  for (const char* use :
       {"mov.u32 %r2, %r50;", "mov.b32 %f1, %r50;",
        "selp.u32 %r2, %r50, 1, %p1; add.u32 %r3, %r2, 1;",
        "mov.b64 %d3, {%r0, %r50}; mov.b64 {%r2, %r3}, %d3; add.u32 %r4, %r2, 1;",
        "cvt.u64.u32 %d3, %r50;", "shfl.sync.idx.b32 %r2, %r50, 7, 31, -1; add.u32 %r3, %r2, 1;",
        "cvt.u16.u32 %h1, %r0; mov.b32 %r2, {%h1, %h9}; mov.b32 {%h2, %h3}, %r2; add.u16 %h4, %h2, "
        "1;",
        "mov.pred %p3, %p9; and.pred %p4, %p9, %p2; @%p4 mov.u32 %r2, 1;",
        "not.pred %p5, %p2; or.pred %p6, %p5, %p9; @%p6 mov.u32 %r2, 1;",
        ".local .align 4 .b8 mine[8]; mov.u64 %d3, mine; st.local.u32 [%d3], %r50; ld.local.u32 "
        "%r2, [%d3]; mov.u32 %r3, %r2;"}) {
    INFO(use);
    CHECK(after_some(use) == "");
  }
  for (const char* use :
       {"mov.u32 %r2, %r50; add.u32 %r3, %r2, 1;",
        "selp.u32 %r2, 1, %r50, %p1; add.u32 %r3, %r2, 1;",
        "mov.b64 %d3, {%r0, %r50}; mov.b64 {%r2, %r3}, %d3; add.u32 %r4, %r3, 1;",
        "mov.b64 %d3, {%r0, %r50}; add.s64 %d4, %d3, 1;",
        "cvt.u64.u32 %d3, %r50; add.s64 %d3, %d3, 1;",
        "shfl.sync.idx.b32 %r2, %r50, 3, 31, -1; add.u32 %r3, %r2, 1;",
        "cvt.u16.u32 %h1, %r0; mov.b32 %r2, {%h1, %h9}; mov.b32 {%h2, %h3}, %r2; add.u16 %h4, %h3, "
        "1;",
        "or.pred %p4, %p9, %p2; @%p4 mov.u32 %r2, 1;", "mov.pred %p3, %p9; @%p3 mov.u32 %r2, 1;",
        ".local .align 4 .b8 mine[8]; mov.u64 %d3, mine; st.local.u32 [%d3], %r50; ld.local.u32 "
        "%r2, [%d3]; add.u32 %r3, %r2, 1;",
        ".local .align 4 .b8 mine[8]; mov.u64 %d3, mine; ld.local.u32 %r2, [%d3]; add.u32 %r3, "
        "%r2, 1;"}) {
    INFO(use);
    CHECK(after_some(use).find("device: uninitialised ") == 0);
  }
}

TEST_CASE("a register that loses its value is noticed however often it had one") {
  // %r2 has a value in three rounds and not in the fourth, but where lanes keep theirs.
  const auto kernel = [](std::string_view guard) {
    return checked(fmt::format(R"(
      mov.u32 %r2, 1; mov.u32 %r3, 0; setp.lt.u32 %p5, %r0, 16;
    $L: add.u32 %r4, %r2, 1; setp.eq.u32 %p1, %r3, 2; and.pred %p1, %p1, %p5; @%p1 mov.u32 %r2, %r51;
      add.u32 %r3, %r3, 1; setp.lt.u32 %p2, %r3, 4; {}@%p2 bra $L;)",
                               guard),
                   32);
  };
  CHECK(kernel("").find("device: uninitialised register: source 1 has no value (kernel 'k', CTA 0, "
                        "warp 0, lane 0, ptx line 18: add.u32 %r4, %r2, 1)") == 0);
  CHECK(kernel("@%p1 mov.u32 %r2, 5; ") == "");
}

TEST_CASE("a byte of shared memory that was never written is reported where it is read") {
  CHECK(checked("st.shared.u32 [%r1], 3; ld.shared.u32 %r2, [%r1];", 1) == "");
  CHECK(checked("cvt.u16.u32 %h1, %r0; st.shared.u16 [%r1+4], %h1;\nld.shared.u32 %r2, [%r1+4];",
                1) ==
        "device: uninitialised read of 4 bytes in shared memory at byte 4 of the 1024 bytes of "
        "shared memory: byte 6 has never been written (kernel 'k', CTA 0, warp 0, lane 0, ptx line "
        "17: ld.shared.u32 %r2, [%r1+4])");
  CHECK(checked("cvt.u16.u32 %h1, %r0; st.shared.u16 [%r1+4], %h1; st.shared.u16 [%r1+6], "
                "%h1;\nld.shared.u32 %r2, [%r1+4];",
                1) == "");
  CHECK(checked("atom.shared.add.u32 %r2, [%r1], 1;", 1)
            .find("device: uninitialised read of 4 bytes in shared memory at byte 0") == 0);
  CHECK(checked("mad.lo.u32 %r2, %r0, 16, %r1; st.shared.v4.u32 [%r2], {%r0, %r0, %r0, %r0}; "
                "bar.sync 0; ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r3, %r4, %r5, %r6}, [%r2];",
                32) == "");
  CHECK(checked("mad.lo.u32 %r2, %r0, 16, %r1; setp.lt.u32 %p1, %r0, 31; @%p1 st.shared.v4.u32 "
                "[%r2], {%r0, %r0, %r0, %r0}; bar.sync 0; "
                "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r3, %r4, %r5, %r6}, [%r2];",
                32)
            .find("uninitialised read of 16 bytes in shared memory at byte 496 of the 1024 bytes "
                  "of shared memory: byte 496 has never been written (kernel 'k', CTA 0, warp 0, "
                  "lane 31") != std::string::npos);
}

TEST_CASE("fragments of a product must have values") {
  const std::string zero = "mov.u32 %r2, 0; mov.f32 %f1, 0f00000000;\n";
  const std::string product =
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f2, %f3, %f4, %f5}, {%r2, %r2, %r2, "
      "%r2}, {%r2, %r2}, {%f1, %f1, %f1, ";
  CHECK(checked(zero + product + "%f1};", 32) == "");
  CHECK(checked(zero + product + "%f9};", 32)
            .find("device: uninitialised register: source 10 has no value") == 0);
}

}  // namespace lacuna::runtime::host::test
