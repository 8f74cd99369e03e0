// Races: every kernel that has one, and its twin that is in order.
#include "tests/catch.h"
#include "tests/runtime/host/checked.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::test {
namespace {

/// Each thread writes its word; {} ; and reads that of the thread `step` further.
std::string exchange(std::string_view between, int step) {
  return fmt::format(R"(
    mad.lo.u32 %r2, %r0, 4, %r1;
    st.shared.u32 [%r2], %r0;
    {}
    add.u32 %r3, %r0, {}; and.b32 %r3, %r3, 63; mad.lo.u32 %r3, %r3, 4, %r1;
    ld.shared.u32 %r4, [%r3];)",
                     between, step);
}

}  // namespace

TEST_CASE("a read of what another warp wrote wants a barrier between") {
  CHECK(checked(exchange("", 32)) ==
        "device: uninitialised read of 4 bytes in shared memory at byte 128 of the 1024 bytes of "
        "shared memory: byte 128 has never been written (kernel 'k', CTA 0, warp 0, lane 0, ptx "
        "line 21: ld.shared.u32 %r4, [%r3])");
  CHECK(checked(exchange("bar.warp.sync -1;", 32)).find("uninitialised read") != std::string::npos);
  CHECK(checked(exchange("bar.sync 0;", 32)) == "");
  CHECK(checked(exchange("barrier.sync 3;", 32)) == "");
  CHECK(checked(exchange("setp.eq.u32 %p1, %r0, 0; bar.red.popc.u32 %r9, 1, %p1;", 32)) == "");
}

TEST_CASE("a write over what another warp still reads wants a barrier between") {
  const auto kernel = [](std::string_view barrier) {
    return exchange("bar.sync 0;", 32) + fmt::format("{}\n st.shared.u32 [%r2], %r4;", barrier);
  };
  CHECK(checked(kernel("")) ==
        "device: race: read in shared memory at byte 128 of the 1024 bytes of shared memory and "
        "write by warp 1, lane 0 (ptx line 22: st.shared.u32 [%r2], %r4): no barrier orders them "
        "(kernel 'k', CTA 0, warp 0, lane 0, ptx line 21: ld.shared.u32 %r4, [%r3])");
  CHECK(checked(kernel("bar.sync 0;")) == "");
}

TEST_CASE("two warps that write one word race") {
  const auto kernel = [](std::string_view barrier) {
    return fmt::format(
        "shr.u32 %r5, %r0, 5; setp.eq.u32 %p1, %r5, 0; and.b32 %r6, %r0, 31;"
        "mad.lo.u32 %r2, %r6, 4, %r1;\n@%p1 st.shared.u32 [%r2], %r0;\n{}\n"
        "@!%p1 st.shared.u32 [%r2], %r0;",
        barrier);
  };
  CHECK(
      checked(kernel(""))
          .find("device: race: write in shared memory at byte 0 of the 1024 bytes of shared memory "
                "and "
                "write by warp 0, lane 0 (ptx line 17: @%p1 st.shared.u32 [%r2], %r0): no barrier "
                "orders them (kernel 'k', CTA 0, warp 1, lane 0, ptx line 19") == 0);
  CHECK(checked(kernel("bar.sync 0;")) == "");
}

TEST_CASE("lanes of one warp want a bar.warp.sync between") {
  CHECK(checked(exchange("", 1), 32).find("uninitialised") == std::string::npos);
  CHECK(
      checked("mad.lo.u32 %r2, %r0, 4, %r1;\nst.shared.u32 [%r2], %r0;\nxor.b32 %r3, %r2, 4;\n"
              "ld.shared.u32 %r4, [%r3];",
              32) ==
      "device: race: read in shared memory at byte 4 of the 1024 bytes of shared memory and write "
      "by warp 0, lane 1 (ptx line 17: st.shared.u32 [%r2], %r0): no bar.warp.sync orders them "
      "(kernel 'k', CTA 0, warp 0, lane 0, ptx line 19: ld.shared.u32 %r4, [%r3])");
  CHECK(checked("mad.lo.u32 %r2, %r0, 4, %r1;\nst.shared.u32 [%r2], %r0;\nxor.b32 %r3, %r2, 4;\n"
                "bar.warp.sync -1; ld.shared.u32 %r4, [%r3];",
                32) == "");
  // A synchronisation of half the warp orders that half.
  const auto halves = [](int distance) {
    return fmt::format(
        "mad.lo.u32 %r2, %r0, 4, %r1; st.shared.u32 [%r2], %r0;"
        "setp.lt.u32 %p1, %r0, 16; selp.u32 %r5, 0xffff, 0xffff0000, %p1;"
        "bar.warp.sync %r5; xor.b32 %r3, %r2, {}; ld.shared.u32 %r4, [%r3];",
        distance * 4);
  };
  CHECK(checked(halves(8), 32) == "");
  CHECK(checked(halves(16), 32).find("no bar.warp.sync orders them") != std::string::npos);
}

TEST_CASE(
    "lanes that went apart are in order when they have met again, not when they run together") {
  const auto kernel = [](std::string_view meet) {
    return fmt::format(R"(
      mad.lo.u32 %r2, %r0, 4, %r1; setp.lt.u32 %p1, %r0, 16; @%p1 bra $LOW;
      st.shared.u32 [%r2], %r0; bra.uni $MEET;
    $LOW: mov.u32 %r5, 3;
    $MEET: {}
      @%p1 ld.shared.u32 %r4, [%r2+64];)",
                       meet);
  };
  Checked scene{.threads = 32};
  scene.checks.values = false;  // the lower lanes may come first
  CHECK(scene.report(kernel("")).find("no bar.warp.sync orders them") != std::string::npos);
  CHECK(scene.report(kernel("bar.warp.sync -1;")) == "");
  CHECK(checked(kernel("bar.warp.sync -1;"), 32) == "");
}

TEST_CASE("lanes of one instruction may write one word if they write one value") {
  CHECK(checked("mov.u32 %r2, 5; st.shared.u32 [%r1], %r2;", 32) == "");
  CHECK(checked("st.shared.u32 [%r1], %r0;", 32) ==
        "device: race: lanes 0 and 1 write different values in shared memory at byte 0 of the 1024 "
        "bytes of shared memory with one instruction (kernel 'k', CTA 0, warp 0, lane 1, ptx line "
        "16: st.shared.u32 [%r1], %r0)");
  CHECK(checked("cvt.u16.u32 %h1, %r0; shr.u32 %r2, %r0, 1; mad.lo.u32 %r2, %r2, 2, %r1; "
                "st.shared.u16 [%r2], %h1;",
                32)
            .find("lanes 0 and 1 write different values in shared memory at byte 0") !=
        std::string::npos);
}

TEST_CASE("halves of a word are places of their own") {
  const auto kernel = [](int neighbour) {
    return fmt::format(
        "mad.lo.u32 %r2, %r0, 2, %r1; cvt.u16.u32 %h1, %r0; st.shared.u16 [%r2], "
        "%h1; xor.b32 %r3, %r2, {}; ld.shared.u16 %h2, [%r3];",
        neighbour);
  };
  CHECK(checked(kernel(0)) == "");
  CHECK(checked(kernel(2)).find("race: read in shared memory at byte 2 of") != std::string::npos);
}

TEST_CASE("a barrier orders only those who come to it") {
  // Warps 0 and 1 meet at barrier 1; warp 2 reads what they wrote.
  const auto kernel = [](std::string_view last) {
    return fmt::format(R"(
      mad.lo.u32 %r2, %r0, 4, %r1; shr.u32 %r3, %r0, 5; setp.eq.u32 %p1, %r3, 2; @%p1 bra $C;
      st.shared.u32 [%r2], %r0; bar.sync 1, 64; {}
      bra $E;
    $C: {}
      ld.shared.u32 %r4, [%r2+-128];
    $E:)",
                       last, last);
  };
  Checked scene{.threads = 96};
  scene.checks.values = false;
  CHECK(scene.report(kernel(""))
            .find("race: read in shared memory at byte 128 of the 1024 bytes "
                  "of shared memory and write by warp 1, lane 0") != std::string::npos);
  CHECK(scene.report(kernel("bar.sync 2;")) == "");
}

TEST_CASE("an arrival releases and a wait acquires") {
  const auto kernel = [](std::string_view produce, std::string_view consume) {
    return fmt::format(R"(
      and.b32 %r5, %r0, 31; mad.lo.u32 %r2, %r5, 4, %r1; setp.lt.u32 %p1, %r0, 32; @%p1 bra $C;
      st.shared.u32 [%r2], %r0; {}
      bra $E;
    $C: {}
      ld.shared.u32 %r4, [%r2];
    $E:)",
                       produce, consume);
  };
  CHECK(checked(kernel("bar.arrive 1, 64;", "bar.sync 1, 64;")) == "");
  // The consumer that only arrives has learnt nothing.
  Checked scene{.threads = 64};
  scene.checks.values = false;
  CHECK(scene.report(kernel("bar.sync 1, 64;", "bar.arrive 1, 64;")).find("race: ") !=
        std::string::npos);
}

TEST_CASE("atomics do not race with each other, but with everything else") {
  const std::string start =
      "setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [%r1], 0;\n bar.sync 0;\n"
      "atom.shared.add.u32 %r2, [%r1], 1;\n";
  CHECK(checked(start) == "");
  CHECK(checked(start + "bar.sync 0; ld.shared.u32 %r3, [%r1];") == "");
  CHECK(checked(start + "ld.shared.u32 %r3, [%r1];") ==
        "device: race: read in shared memory at byte 0 of the 1024 bytes of shared memory and "
        "atomic access by warp 1, lanes 1-31 (ptx line 18: atom.shared.add.u32 %r2, [%r1], 1): no "
        "bar.warp.sync orders them (kernel 'k', CTA 0, warp 1, lane 0, ptx line 19: ld.shared.u32 "
        "%r3, [%r1])");
  CHECK(checked("setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [%r1], 0;\n"
                "red.shared.add.u32 [%r1], 1;")
            .find("race: atomic access in shared memory at byte 0") != std::string::npos);
}

TEST_CASE("release and acquire order what fences and flags say") {
  // Warp 1 fills and raises a flag; warp 0 spins on it.
  const auto kernel = [](std::string_view raise, std::string_view look) {
    return fmt::format(R"(
      setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [%r1], 0; bar.sync 0;
      setp.ne.u32 %p1, %r0, 32; setp.ne.u32 %p2, %r0, 0; setp.lt.u32 %p3, %r0, 32; @%p3 bra $C;
      @!%p1 st.shared.u32 [%r1+64], %r0; mov.u32 %r3, 1; @!%p1 {} bra $E;
    $C: @%p2 bra $E;
    $L: {} setp.eq.u32 %p4, %r4, 0; @%p4 bra $L;
      ld.shared.u32 %r5, [%r1+64];
    $E:)",
                       raise, look);
  };
  CHECK(checked(kernel("st.release.cta.shared.u32 [%r1], %r3;",
                       "ld.acquire.cta.shared.u32 %r4, [%r1];")) == "");
  CHECK(checked(kernel("membar.cta; @!%p1 st.volatile.shared.u32 [%r1], %r3;",
                       "ld.volatile.shared.u32 %r4, [%r1]; membar.cta;")) == "");
  CHECK(checked(kernel("st.volatile.shared.u32 [%r1], %r3;", "ld.volatile.shared.u32 %r4, [%r1];"))
            .find("race: read in shared memory at byte 64 of the 1024 bytes of shared memory and "
                  "write by warp 1, lane 0") != std::string::npos);
  CHECK(checked(kernel("st.shared.u32 [%r1], %r3;", "ld.acquire.cta.shared.u32 %r4, [%r1];"))
            .find("race: ") != std::string::npos);
}

TEST_CASE("global memory that a launch writes is watched within a CTA") {
  const auto kernel = [](std::string_view barrier) {
    return fmt::format(
        "mul.wide.u32 %d3, %r0, 4; add.s64 %d3, %d2, %d3;\nst.global.u32 [%d3], "
        "%r0;\n{} xor.b32 %r2, %r0, 32; mul.wide.u32 %d4, %r2, 4; add.s64 %d4, "
        "%d2, %d4;\nld.global.u32 %r3, [%d4];",
        barrier);
  };
  CHECK(checked(kernel("")) ==
        "device: race: write in global memory at out[32] (i32 [256]) and read by warp 0, lane 0 "
        "(ptx line 19: ld.global.u32 %r3, [%d4]): no barrier orders them (kernel 'k', CTA 0, warp "
        "1, lane 0, ptx line 17: st.global.u32 [%d3], %r0)");
  CHECK(checked(kernel("bar.sync 0;")) == "");
}

TEST_CASE("an order of warps that hides a race does not hide it from the clocks") {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Checked scene{.threads = 128};
    scene.seed = seed;
    CHECK(scene.report(exchange("bar.sync 0;", 32) + "st.shared.u32 [%r2], %r4;").find("race: ") !=
          std::string::npos);
    CHECK(scene.report(exchange("bar.sync 0;", 32) + "bar.sync 0; st.shared.u32 [%r2], %r4;") ==
          "");
  }
}

TEST_CASE("an mbarrier orders what is done before arrivals and after waits") {
  // Warp 1 fills, by a store or by copies, and arrives; warp 0 waits.
  const auto kernel = [](std::string_view fill, std::string_view wait) {
    return fmt::format(R"(
      setp.eq.u32 %p1, %r0, 0; @%p1 mbarrier.init.shared.b64 [%r1+512], 32; bar.sync 0;
      and.b32 %r5, %r0, 31; mad.lo.u32 %r2, %r5, 4, %r1; setp.lt.u32 %p1, %r0, 32; @%p1 bra $C;
      {} bra $E;
    $C: {}
      xor.b32 %r3, %r2, 4; ld.shared.u32 %r4, [%r3];
    $E:)",
                       fill, wait);
  };
  const std::string wait =
      "mov.u32 %r9, 0; $W: mbarrier.test_wait.parity.shared.b64 %p3, [%r1+512], %r9; @!%p3 bra $W;";
  const std::string store = "st.shared.u32 [%r2], %r0; mbarrier.arrive.shared.b64 %d9, [%r1+512];";
  const std::string copy =
      "cp.async.ca.shared.global [%r2], [%d1], 4; "
      "cp.async.mbarrier.arrive.noinc.shared.b64 [%r1+512];";
  CHECK(checked(kernel(store, wait)) == "");
  CHECK(checked(kernel(copy, wait)) == "");
  Checked scene{.threads = 64};
  scene.seed = 5;
  CHECK(scene.report(kernel(store, wait)) == "");
  scene.checks.values = false;
  CHECK(scene.report(kernel(store, "")).find("race: ") != std::string::npos);
  CHECK(scene
            .report(kernel("mbarrier.arrive.shared.b64 %d9, [%r1+512]; st.shared.u32 [%r2], %r0;",
                           wait))
            .find("race: ") != std::string::npos);
}

TEST_CASE("both parties of a report have their source lines, the generated one's too") {
  std::vector<std::uint32_t> out(64);
  Setup setup{.threads = 64};
  setup.checks = Checks::all();
  const std::string text = module_of(1, R"(
    mov.u32 %r0, %tid.x; mov.u32 %r1, tile; mad.lo.u32 %r2, %r0, 4, %r1;
    .loc 1 30 5
    st.shared.u32 [%r2], %r0; bar.sync 0; xor.b32 %r3, %r2, 128; ld.shared.u32 %r4, [%r3];
    .loc 2 7 12
    .loc 1 44 3, function_name $L__info_string0, inlined_at 2 9 1
    st.shared.u32 [%r2], %r4;
    ret;)",
                                     ".shared .align 4 .b8 tile[256];") +
                           ".file 1 \"templates/tiles.cuh\"\n.file 2 \"local.lac\"\n.section "
                           ".debug_str\n{\n$L__info_string0:\n.b8 95,90,0\n}\n";
  const auto kernel = load(text, 1, setup);
  const std::string report =
      error_of([&] { run(*kernel, {output("out", out, DType::i32)}, setup); });
  CHECK(report ==
        "device: race: read in shared memory at byte 128 of the 256 bytes of shared memory and "
        "write by warp 1, lane 0 (templates/tiles.cuh:44, inlined at local.lac:9, ptx line 20: "
        "st.shared.u32 [%r2], %r4): no barrier orders them (kernel 'k', CTA 0, warp 0, lane 0, "
        "templates/tiles.cuh:30, ptx line 17: ld.shared.u32 %r4, [%r3])");
}

}  // namespace lacuna::runtime::host::test
