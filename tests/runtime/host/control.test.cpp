// Divergence: branches, loops, switches, calls, exits; each against the same control flow in C++.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::test {
namespace {

using lacuna::test::fresh_seed;
using u32 = std::uint32_t;

/// %r0 thread, %r1 its input; the body leaves a result in %r2.
constexpr std::string_view head = R"(
  mov.u32 %r0, %tid.x; mov.u32 %r60, %ctaid.x; mov.u32 %r61, %ntid.x; mad.lo.u32 %r0, %r60, %r61, %r0;
  mul.wide.u32 %d0, %r0, 4; ld.param.u64 %d1, [p0]; add.s64 %d1, %d1, %d0; ld.param.u64 %d2, [p1]; add.s64 %d2, %d2, %d0;
  ld.global.u32 %r1, [%d1]; mov.u32 %r2, 0;
)";
constexpr std::string_view tail = "\n st.global.u32 [%d2], %r2; ret;";

std::vector<u32> run_threads(const std::vector<u32>& in, std::string_view body,
                             std::string_view before = "", Setup setup = {.threads = 64}) {
  std::vector<u32> inputs = in, out(in.size(), 0xdeadbeef);
  setup.blocks = in.size() / static_cast<std::size_t>(setup.threads);
  run_body(fmt::format("{}{}{}", head, body, tail),
           {input("in", inputs, DType::i32), output("out", out, DType::i32)}, setup, before);
  return out;
}

std::vector<u32> random_inputs(std::mt19937& random, u32 below, std::size_t count = 256) {
  std::vector<u32> in(count);
  for (u32& value : in) value = random() % below;
  return in;
}

}  // namespace

TEST_CASE("nested branches and loops with a trip count of each lane's own") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto in = random_inputs(random, 100000);
  const auto out = run_threads(in, R"(
    add.u32 %r1, %r1, 1; mov.u32 %r3, %r1;
  $LOOP: setp.eq.u32 %p1, %r3, 1; @%p1 bra $DONE;
    and.b32 %r4, %r3, 1; setp.eq.u32 %p2, %r4, 0; @%p2 bra $EVEN;
    mad.lo.u32 %r3, %r3, 3, 1; add.u32 %r2, %r2, 1000;
    setp.gt.u32 %p3, %r3, 500; @!%p3 bra $NEXT; xor.b32 %r2, %r2, 5; bra.uni $NEXT;
  $EVEN: shr.u32 %r3, %r3, 1; add.u32 %r2, %r2, 1;
  $NEXT: bra $LOOP;
  $DONE:)");
  for (std::size_t t = 0; t < in.size(); ++t) {
    u32 x = in[t] + 1, y = 0;
    while (x != 1) {
      if (x % 2 != 0) {
        x = 3 * x + 1, y += 1000;
        if (x > 500) y ^= 5;
      } else {
        x /= 2, ++y;
      }
    }
    REQUIRE(out[t] == y);
  }
}

TEST_CASE("a switch by table and by comparisons, and lanes that leave early") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto in = random_inputs(random, 6);
  const auto out = run_threads(in, R"(
    setp.eq.u32 %p1, %r1, 5; @%p1 bra $STORE;
    $table: .branchtargets $A, $B, $C, $A, $D;
    brx.idx %r1, $table;
  $A: add.u32 %r2, %r2, 1; bra $JOIN;
  $B: add.u32 %r2, %r2, 20;
  $C: add.u32 %r2, %r2, 300; bra.uni $JOIN;
  $D: mov.u32 %r5, 9; st.global.u32 [%d2], %r5; exit;
  $JOIN: activemask.b32 %r6; vote.sync.ballot.b32 %r7, 1, %r6; popc.b32 %r7, %r7; setp.ge.u32 %p2, %r7, 1; @!%p2 trap;
  $STORE:)");
  for (std::size_t t = 0; t < in.size(); ++t) {
    static constexpr u32 wanted[] = {1, 320, 300, 1, 9, 0};
    REQUIRE(out[t] == wanted[in[t]]);
  }
  const std::string report = error_of([&] {
    run_threads(std::vector<u32>(64, 7), "$t: .branchtargets $A, $A;\n brx.idx %r1, $t;\n$A:");
  });
  CHECK(report.find("device: the branch index 7 is not below 2 (kernel 'k', CTA 0, warp 0, lane 0, "
                    "ptx line") == 0);
}

TEST_CASE("a lane that spins on another lane's store does not starve it") {
  // The lower pc is the spinner's.
  const auto out = run_threads(std::vector<u32>(64, 0), R"(
    and.b32 %r3, %r0, 31; mov.u64 %d5, flag; shr.u32 %r4, %r0, 5; mul.wide.u32 %d6, %r4, 4; add.s64 %d5, %d5, %d6;
    setp.eq.u32 %p1, %r3, 7; @%p1 st.shared.u32 [%d5], %r3; bar.warp.sync -1; @%p1 bra $SET;
  $SPIN: ld.volatile.shared.u32 %r2, [%d5]; setp.ne.u32 %p2, %r2, 77; @%p2 bra $SPIN;
    bra $OUT;
  $SET: mov.u32 %r5, 0;
  $WORK: add.u32 %r5, %r5, 1; setp.lt.u32 %p3, %r5, 3000; @%p3 bra $WORK;
    mov.u32 %r2, 77; st.volatile.shared.u32 [%d5], %r2;
  $OUT:)",
                               ".shared .align 4 .b32 flag[2];");
  for (u32 value : out) CHECK(value == 77);
}

TEST_CASE("a warp that spins on another warp does not starve it") {
  const auto out = run_threads(std::vector<u32>(64, 0), R"(
    mov.u64 %d5, flag; setp.ge.u32 %p1, %r0, 32; mov.u32 %r3, 1; @%p1 bra $SET;
  $SPIN: nanosleep.u32 20; atom.shared.cas.b32 %r2, [%d5], 3, 4; setp.lt.u32 %p2, %r2, 3; @%p2 bra $SPIN;
    bra $OUT;
  $SET: mov.u32 %r2, 3; st.shared.u32 [%d5], %r2; membar.cta;
  $OUT:)",
                               ".shared .align 4 .b32 flag[1];");
  for (u32 t = 0; t < 64; ++t) CHECK(out[t] == (t == 0 || t >= 32 ? 3u : 4u));
}

TEST_CASE("functions are called with parameters, results and locals") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto in = random_inputs(random, 1000);
  const std::string_view functions = R"(
  .func (.param .b32 result) twice(.param .b32 x);
  .func (.param .b32 result) clamp_to(.param .b32 x, .param .align 8 .b8 range[8]) {
    .reg .pred %p<3>; .reg .b32 %r<6>; .reg .b64 %rd<3>;
    .local .align 8 .b8 __local_depot1[8];
    ld.param.u32 %r1, [x]; ld.param.v2.u32 {%r2, %r3}, [range];
    mov.u64 %rd1, __local_depot1; cvta.local.u64 %rd2, %rd1; st.v2.u32 [%rd2], {%r2, %r3};
    setp.gt.u32 %p1, %r1, %r3; @%p1 bra $BIG;
    { .param .b32 param0; st.param.b32 [param0+0], %r1; .param .b32 retval0;
      call.uni (retval0), twice, (param0); ld.param.b32 %r4, [retval0+0]; }
    st.param.b32 [result+0], %r4; ret;
  $BIG: ld.u32 %r5, [%rd2+4]; st.param.b32 [result+0], %r5; ret;
  }
  .func (.param .b32 result) twice(.param .b32 x) {
    .reg .b32 %r<3>; ld.param.u32 %r1, [x]; add.u32 %r2, %r1, %r1; st.param.b32 [result], %r2; ret.uni;
  })";
  const auto out = run_threads(in, R"(
    { .param .b32 param0; st.param.b32 [param0+0], %r1; .param .align 8 .b8 param1[8]; mov.u32 %r5, 5; mov.u32 %r6, 600;
      st.param.v2.u32 [param1], {%r5, %r6}; .param .b32 retval0;
      call (retval0), clamp_to, (param0, param1); ld.param.b32 %r2, [retval0]; })",
                               functions);
  for (std::size_t t = 0; t < in.size(); ++t) REQUIRE(out[t] == (in[t] > 600 ? 600 : 2 * in[t]));
}

TEST_CASE("what calls cannot be is said") {
  const auto call = [](std::string_view functions, std::string_view body) {
    return error_of([&] { run_threads(std::vector<u32>(64), body, functions); });
  };
  CHECK(
      call(".func f() { call f; ret; }", "call f;")
          .find(
              "unsupported: the host device does not know the recursive call of 'f' (ptx line 4") ==
      0);
  CHECK(call(".extern .func f();", "call f;")
            .find("unsupported: the host device does not know the function 'f', which has no body "
                  "(ptx line") == 0);
  CHECK(call("", "call %d1;")
            .find("unsupported: the host device does not know an indirect call (ptx line") == 0);
  CHECK(call(".func f(.param .b32 x) { ret; }", "call f;")
            .find("device: kernel 'k': 'f' takes 1 parameters (ptx line") == 0);
}

TEST_CASE("fences, prefetches and empty loops change nothing") {
  std::string body = "mov.u32 %r2, %r1;\n";
  for (const Row* row : table(Isa::baseline).rows()) {
    const std::string_view name = row->name;
    if (name.starts_with("membar") || name.starts_with("fence")) body += fmt::format("{};\n", name);
    if (name.starts_with("prefetch")) body += fmt::format("{} [%d1];\n", name);
  }
  const auto in = std::vector<u32>(64, 42);
  CHECK(run_threads(in, body + "nanosleep.u32 100;") == in);
}

TEST_CASE("a kernel that stops itself is reported with its place") {
  for (const char* stop : {"trap", "brkpt"}) {
    const std::string report = error_of([&] {
      run_threads(std::vector<u32>(128, 0), fmt::format(R"(.file 3 "mask.lac"
        .loc 3 17 5
        setp.eq.u32 %p1, %r0, 99; @%p1 {};)",
                                                        stop));
    });
    CHECK(report == fmt::format("device: the kernel stopped itself (kernel 'k', CTA 1, warp 1, "
                                "lane 3, mask.lac:17, ptx line 21: @%p1 {})",
                                stop));
  }
}

TEST_CASE("control that runs off the end leaves") {
  std::vector<u32> out(32, 0);
  run_body("ld.param.u64 %d1, [p0]; mov.u32 %r1, 3; st.global.u32 [%d1], %r1;",
           {output("out", out, DType::i32)});
  CHECK(out[0] == 3);
}

TEST_CASE("an endless kernel ends at the limit that it was given") {
  const std::string report = error_of([] {
    run_threads(std::vector<u32>(64), "$L: add.u32 %r2, %r2, 1; bra $L;", "",
                {.threads = 64, .instruction_limit = 100000});
  });
  CHECK(report.find("device: endless: a CTA has executed more than 100000 warp-instructions "
                    "(kernel 'k', CTA 0):\n  warp 0: all lanes can run from ptx line") == 0);
}

TEST_CASE("results do not depend on the number of threads of the host") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto in = random_inputs(random, 5000, 64 * 40);
  const std::string_view body =
      "mov.u32 %r3, %r1;\n$L: mad.lo.u32 %r2, %r2, 33, %r3; add.u32 %r3, %r3, -1; setp.gt.s32 %p1, "
      "%r3, 0; @%p1 bra $L;";
  const auto one = run_threads(in, body);
  for (int workers : {2, 3, 8})
    CHECK(run_threads(in, body, "", {.threads = 64, .workers = workers}) == one);
}

TEST_CASE("special registers tell where a thread is") {
  std::vector<u32> out(70 * 3 * 16);
  run_body(R"(
    mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mad.lo.u32 %r3, %r1, %r2, %r0;
    mul.wide.u32 %d0, %r3, 64; ld.param.u64 %d1, [p0]; add.s64 %d1, %d1, %d0;
    mov.u32 %r4, %nctaid.x; mov.u32 %r5, %warpid; mov.u32 %r6, %laneid; mov.u32 %r7, %nwarpid;
    mov.u32 %r8, %tid.y; mov.u32 %r9, %ctaid.z; mov.u32 %r10, %ntid.y; mov.u32 %r11, %nctaid.z;
    mov.u32 %r12, %dynamic_smem_size; mov.u32 %r13, %total_smem_size;
    st.global.v4.u32 [%d1], {%r0, %r1, %r2, %r4}; st.global.v4.u32 [%d1+16], {%r5, %r6, %r7, %r8};
    st.global.v4.u32 [%d1+32], {%r9, %r10, %r11, %r12}; st.global.u32 [%d1+48], %r13;
    ret;)",
           {output("out", out, DType::i32)}, {.threads = 70, .blocks = 3, .shared_bytes = 100});
  for (u32 b = 0; b < 3; ++b)
    for (u32 t = 0; t < 70; ++t) {
      const u32* at = &out[(b * 70 + t) * 16];
      const std::vector<u32> wanted = {t, b, 70, 3, t / 32, t % 32, 3, 0, 0, 1, 1, 100, 100};
      REQUIRE(std::vector<u32>(at, at + 13) == wanted);
    }
}

}  // namespace lacuna::runtime::host::test
