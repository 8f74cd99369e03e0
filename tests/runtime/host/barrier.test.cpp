// Barriers of a CTA: what they order, and every way to get them wrong, with the whole report.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::test {
namespace {

using u32 = std::uint32_t;

/// %r0 thread; `body` may use shared words at `buffer`; results from %r2.
std::vector<u32> run_cta(std::string_view body, int threads = 128, std::uint64_t blocks = 2) {
  std::vector<u32> out(static_cast<std::size_t>(threads) * blocks, 0xdeadbeef);
  run_body(fmt::format(R"(
  mov.u32 %r0, %tid.x; mov.u32 %r60, %ctaid.x; mov.u32 %r61, %ntid.x; mad.lo.u32 %r59, %r60, %r61, %r0;
  mul.wide.u32 %d0, %r59, 4; ld.param.u64 %d2, [p0]; add.s64 %d2, %d2, %d0; mov.u32 %r2, 0; mov.u32 %r58, buffer;
{}
  st.global.u32 [%d2], %r2; ret;)",
                       body),
           {output("out", out, DType::i32)}, {.threads = threads, .blocks = blocks},
           ".shared .align 4 .b8 buffer[4096];");
  return out;
}
std::string report_of(std::string_view body, int threads = 128) {
  return error_of([&] { run_cta(body, threads, 1); });
}

}  // namespace

TEST_CASE("a barrier makes the stores of all warps visible") {
  for (const char* barrier :
       {"bar.sync 0", "bar.cta.sync 0", "barrier.sync 3", "barrier.cta.sync 3",
        "barrier.sync.aligned 15", "barrier.cta.sync.aligned 1", "bar.sync 2, 128",
        "barrier.sync 2, 128"}) {
    const auto out = run_cta(fmt::format(R"(
      mov.u32 %r3, 0;
    $L: mad.lo.u32 %r4, %r0, 4, %r58; mad.lo.u32 %r5, %r3, 1000, %r0; st.shared.u32 [%r4], %r5; {};
      xor.b32 %r6, %r0, 127; mad.lo.u32 %r4, %r6, 4, %r58; ld.shared.u32 %r7, [%r4]; add.u32 %r2, %r2, %r7; {};
      add.u32 %r3, %r3, 1; setp.lt.u32 %p1, %r3, 5; @%p1 bra $L;)",
                                         barrier, barrier));
    for (u32 t = 0; t < 256; ++t) REQUIRE(out[t] == 5 * (127 - t % 128) + 10000);
  }
}

TEST_CASE("named barriers let a producer run ahead of its consumers") {
  for (const char* arrive : {"bar.arrive", "bar.cta.arrive", "barrier.arrive", "barrier.cta.arrive",
                             "barrier.arrive.aligned", "barrier.cta.arrive.aligned"}) {
    // Warp 0 fills, warps 1-3 wait on their own barrier for it: 32 + 32 threads each.
    const auto out = run_cta(fmt::format(R"(
      shr.u32 %r3, %r0, 5; setp.ne.u32 %p1, %r3, 0; @%p1 bra $CONSUME;
      mov.u32 %r4, 4242; st.shared.u32 [%r58], %r4; {} 1, 64; {} 2, 64; {} 3, 64; mov.u32 %r2, 1; bra $END;
    $CONSUME: bar.sync %r3, 64; ld.shared.u32 %r2, [%r58];
    $END:)",
                                         arrive, arrive, arrive));
    for (u32 t = 0; t < 128; ++t) REQUIRE(out[t] == (t < 32 ? 1u : 4242u));
  }
}

TEST_CASE("barriers count and combine predicates") {
  for (const char* name : {"bar.red.{}.{}", "bar.cta.red.{}.{}", "barrier.red.{}.aligned.{}",
                           "barrier.cta.red.{}.aligned.{}"}) {
    const auto form = [&](const char* op, const char* type) {
      return fmt::format(fmt::runtime(name), op, type);
    };
    const auto out =
        run_cta(fmt::format(R"(
      setp.lt.u32 %p1, %r0, 40; {} %r3, 0, %p1; {} %p2, 1, %p1; {} %p3, 1, %p1; {} %p4, 2, 128, !%p1;
      setp.lt.u32 %p5, %r0, 1000; {} %p6, 0, %p5;
      selp.u32 %r4, 1000, 0, %p2; selp.u32 %r5, 2000, 0, %p3; selp.u32 %r6, 4000, 0, %p4; selp.u32 %r7, 8000, 0, %p6;
      add.u32 %r2, %r3, %r4; add.u32 %r2, %r2, %r5; add.u32 %r2, %r2, %r6; add.u32 %r2, %r2, %r7;)",
                            form("popc", "u32"), form("and", "pred"), form("or", "pred"),
                            form("or", "pred"), form("and", "pred")));
    for (u32 value : out) REQUIRE(value == 40 + 2000 + 4000 + 8000);
  }
}

TEST_CASE("a CTA of a partial warp meets at its barriers") {
  const auto out = run_cta(
      "st.shared.u32 [%r58], %r0; bar.sync 0; mov.u32 %r2, 7; bar.sync 1, 96; barrier.sync 2;", 70);
  for (u32 value : out) CHECK(value == 7);
}

TEST_CASE("lanes that come apart before an aligned barrier meet again at it") {
  const auto out = run_cta(R"(
    and.b32 %r3, %r0, 1; setp.eq.u32 %p1, %r3, 0; @%p1 bra $MEET; mov.u32 %r2, 5; nanosleep.u32 1; bra.uni $MEET;
    $MEET: bar.sync 0;)");
  for (u32 t = 0; t < 256; ++t) CHECK(out[t] == (t % 2 ? 5 : 0));
}

TEST_CASE("lanes that leave let the others pass the barrier that they wait at") {
  // The leaving lanes stand behind the barrier in the text, so that the others come to it first.
  const auto out = run_cta(R"(
    setp.ge.u32 %p1, %r0, 16; @%p1 bra $LEAVE; bar.sync 0; mov.u32 %r2, 7; bra $END;
  $LEAVE: ret;
  $END:)",
                           32, 1);
  for (u32 t = 0; t < 32; ++t) REQUIRE(out[t] == (t < 16 ? 7u : 0xdeadbeefu));
}

TEST_CASE("a barrier under a condition of lanes is divergent") {
  CHECK(report_of("setp.lt.u32 %p1, %r0, 16; @%p1 bar.sync 0;", 32) ==
        "device: divergent barrier: the lane skips it by its predicate (kernel 'k', CTA 0, warp 0, "
        "lane 16, ptx line 17: @%p1 bar.sync 0)");
  CHECK(report_of("setp.ge.u32 %p1, %r0, 16; @%p1 bra $ELSE;\n bar.sync 0;\n bra $END;\n$ELSE: "
                  "bar.sync 0;\n$END:",
                  32) ==
        "device: divergent barrier: lanes 0-15 of warp 0 wait for lanes that do not come (kernel "
        "'k', CTA 0, ptx line 18: bar.sync 0):\n"
        "  warp 0: lanes 0-15 wait at ptx line 18: bar.sync 0; lanes 16-31 wait at ptx line 20: "
        "bar.sync 0");
}

TEST_CASE("a barrier that some warps never reach is a deadlock") {
  CHECK(report_of("setp.ge.u32 %p1, %r0, 64; @%p1 bra $END;\n bar.sync 0;\n$END:") ==
        "device: deadlock: 64 of 128 threads have come to barrier 0 (kernel 'k', CTA 0, ptx line "
        "18: bar.sync 0):\n"
        "  warp 0: all lanes wait at ptx line 18: bar.sync 0\n  warp 1: all lanes wait at ptx line "
        "18: bar.sync 0\n"
        "  warp 2: all lanes have exited\n  warp 3: all lanes have exited");
  CHECK(report_of("setp.ge.u32 %p1, %r0, 32; @%p1 bra $TWO;\n bar.sync 1;\n bra $END;\n$TWO: "
                  "bar.sync 2;\n$END:",
                  64) ==
        "device: deadlock: 32 of 64 threads have come to barrier 1 (kernel 'k', CTA 0, ptx line "
        "18: bar.sync 1):\n"
        "  warp 0: all lanes wait at ptx line 18: bar.sync 1\n  warp 1: all lanes wait at ptx line "
        "20: bar.sync 2\n"
        "  barrier 1: 32 of 64 threads have come\n  barrier 2: 32 of 64 threads have come");
}

TEST_CASE("barriers whose users disagree are reported") {
  CHECK(report_of("setp.ge.u32 %p1, %r0, 32; @%p1 bra $TWO;\n bar.sync 1, 64;\n bra $END;\n$TWO: "
                  "bar.sync 1, 96;\n$END:") ==
        "device: barrier 1 is waited at for 64 threads and here for 96 (kernel 'k', CTA 0, warp 1, "
        "lane 0, ptx line 20: bar.sync 1, 96)");
  CHECK(report_of("bar.sync 1, 40;") ==
        "device: a barrier cannot wait for 40 threads (kernel 'k', CTA 0, warp 0, lane 0, ptx line "
        "17: bar.sync 1, 40)");
  CHECK(report_of("bar.sync 16;") ==
        "device: there is no barrier 16; a CTA has 16 (kernel 'k', CTA 0, warp 0, lane 0, ptx line "
        "17: bar.sync 16)");
  CHECK(report_of("bar.sync %r0;")
            .find("device: the operands of a barrier differ between lanes (kernel 'k', CTA 0, warp "
                  "0, lane 1") == 0);
}

TEST_CASE("a shuffle whose members never come is reported") {
  CHECK(report_of("setp.lt.u32 %p1, %r0, 8; @%p1 bra $END;\n shfl.sync.idx.b32 %r2, %r0, 0, 31, "
                  "-1;\n bra $OUT;\n"
                  "$END: bar.warp.sync -1;\n$OUT:",
                  32) ==
        "device: warp synchronisation that cannot complete: lanes 8-31 of warp 0 wait for lanes "
        "that do not come (kernel 'k', CTA 0, "
        "ptx line 18: shfl.sync.idx.b32 %r2, %r0, 0, 31, -1):\n"
        "  warp 0: lanes 8-31 wait at ptx line 18: shfl.sync.idx.b32 %r2, %r0, 0, 31, -1; lanes "
        "0-7 wait at ptx line 20: bar.warp.sync -1");
}

}  // namespace lacuna::runtime::host::test
