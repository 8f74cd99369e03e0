// Asynchronous copies: what must wait for them, early and late, each with its correct twin.
#include "tests/catch.h"
#include "tests/runtime/host/checked.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::test {
namespace {

/// Both modes of copies; each must say the same.
std::string both(std::string_view body, int threads = 32) {
  std::string first;
  for (bool late : {false, true}) {
    Checked scene{.threads = threads};
    scene.checks.late_copies = late;
    const std::string report = scene.report(body);
    if (late && report != first) return "early: " + first + "\nlate: " + report;
    first = report;
  }
  return first;
}

/// Every lane copies 4 bytes, twice, into groups of their own.
const std::string two_groups = R"(
  mul.wide.u32 %d3, %r0, 4; add.s64 %d3, %d1, %d3; mad.lo.u32 %r2, %r0, 4, %r1;
  cp.async.ca.shared.global [%r2], [%d3], 4; cp.async.commit_group;
  cp.async.ca.shared.global [%r2+256], [%d3], 4; cp.async.commit_group;
)";

}  // namespace

TEST_CASE("what a copy writes may be read behind the wait that covers it") {
  CHECK(both(two_groups + "cp.async.wait_group 0; ld.shared.u32 %r3, [%r2+256];") == "");
  CHECK(both(two_groups + "cp.async.wait_all; ld.shared.u32 %r3, [%r2+256];") == "");
  CHECK(both(two_groups + "cp.async.wait_group 1; ld.shared.u32 %r3, [%r2];") == "");
  CHECK(both(two_groups + "cp.async.wait_group 1;\nld.shared.u32 %r3, [%r2+256];") ==
        "device: copy in flight: read of 4 bytes in shared memory at byte 256 of the 1024 bytes of "
        "shared memory, the destination of a copy by warp 0, lane 0 (ptx line 19: "
        "cp.async.ca.shared.global [%r2+256], [%d3], 4), which no wait has covered yet (kernel "
        "'k', CTA 0, warp 0, lane 0, ptx line 21: ld.shared.u32 %r3, [%r2+256])");
  CHECK(both(two_groups + "cp.async.wait_group 2; ld.shared.u32 %r3, [%r2];")
            .find("copy in flight: read") != std::string::npos);
  // What is not committed is in no group.
  CHECK(both("mad.lo.u32 %r2, %r0, 4, %r1; cp.async.ca.shared.global [%r2], [%d1], 4; "
             "cp.async.wait_group 0; ld.shared.u32 %r3, [%r2];")
            .find("copy in flight: read") != std::string::npos);
}

TEST_CASE("a buffer may be written again when its copy has arrived") {
  CHECK(both(two_groups + "cp.async.wait_group 1; st.shared.u32 [%r2], %r0;") == "");
  CHECK(both(two_groups + "st.shared.u32 [%r2], %r0;").find("copy in flight: write of 4 bytes") !=
        std::string::npos);
  CHECK(both(two_groups + "cp.async.ca.shared.global [%r2], [%d3], 4;")
            .find("copy in flight: another copy's write of 4 bytes") != std::string::npos);
}

TEST_CASE("other warps see a copy behind wait and barrier, in that order") {
  const auto kernel = [](std::string_view wait) {
    return two_groups + fmt::format("{} xor.b32 %r3, %r2, 128;\nld.shared.u32 %r4, [%r3];", wait);
  };
  CHECK(both(kernel("cp.async.wait_group 0; bar.sync 0;"), 64) == "");
  CHECK(both(kernel("bar.sync 0; cp.async.wait_group 0;"), 64)
            .find("copy in flight: read of 4 bytes in shared memory at byte 0 of the 1024 bytes "
                  "of shared memory, the destination of a copy by warp 0, lane 0") !=
        std::string::npos);
  Checked scene{.threads = 64};
  scene.seed = 3;
  CHECK(scene.report(kernel("cp.async.wait_group 0; bar.sync 0;")) == "");
  // Lanes of one warp want a bar.warp.sync behind their waits.
  const std::string neighbour =
      two_groups + "cp.async.wait_group 0; {} xor.b32 %r3, %r2, 4; ld.shared.u32 %r4, [%r3];";
  CHECK(both(fmt::format(fmt::runtime(neighbour), "bar.warp.sync -1;")) == "");
  CHECK(both(fmt::format(fmt::runtime(neighbour), "")).find("no bar.warp.sync orders them") !=
        std::string::npos);
}

TEST_CASE("a copy into what another warp still reads wants a barrier before it is issued") {
  const auto kernel = [](std::string_view barrier) {
    return fmt::format(R"(
      mul.wide.u32 %d3, %r0, 4; add.s64 %d3, %d1, %d3; mad.lo.u32 %r2, %r0, 4, %r1; st.shared.u32 [%r2], %r0; bar.sync 0;
      xor.b32 %r3, %r2, 128; ld.shared.u32 %r4, [%r3]; {}
      setp.lt.u32 %p1, %r0, 32; @%p1 cp.async.ca.shared.global [%r2], [%d3], 4;)",
                       barrier);
  };
  CHECK(both(kernel("bar.sync 0;"), 64) == "");
  CHECK(both(kernel(""), 64)
            .find("race: write in shared memory at byte 0 of the 1024 bytes of shared "
                  "memory and read by warp 1, lane 0") != std::string::npos);
}

TEST_CASE("the source of a copy in flight may not be written") {
  const auto kernel = [](std::string_view wait) {
    return fmt::format(
        "mul.wide.u32 %d3, %r0, 4; add.s64 %d3, %d2, %d3; mad.lo.u32 %r2, %r0, 4, "
        "%r1;\ncp.async.ca.shared.global [%r2], [%d3], 4; {}\nst.global.u32 [%d3], "
        "%r0;",
        wait);
  };
  CHECK(both(kernel("cp.async.wait_all;")) == "");
  CHECK(both(kernel("")) ==
        "device: copy in flight: write of 4 bytes in global memory at out[0] (i32 [256]), the "
        "source of a copy by warp 0, lane 0 (ptx line 17: cp.async.ca.shared.global [%r2], [%d3], "
        "4), which no wait has covered yet (kernel 'k', CTA 0, warp 0, lane 0, ptx line 18: "
        "st.global.u32 [%d3], %r0)");
}

TEST_CASE("late copies show a missing wait in the values") {
  const auto result = [](std::string_view wait, bool late) {
    Checked scene{.threads = 32};
    scene.checks = {.late_copies = late};
    CHECK(scene.report(two_groups + std::string(wait) +
                       "ld.shared.u32 %r3, [%r2]; ld.shared.u32 %r4, [%r2+256]; sub.u32 %r3, %r3, "
                       "%r4; add.s64 %d4, %d3, 0; mul.wide.u32 %d4, %r0, 4; add.s64 %d4, %d2, "
                       "%d4; st.global.u32 [%d4], %r3;") == "");
    return scene.out[5];
  };
  CHECK(result("cp.async.wait_group 1;", false) == 0);
  CHECK(result("cp.async.wait_group 1;", true) == 8);  // 7 - 0xffffffff
  CHECK(result("cp.async.wait_group 0;", true) == 0);
}

TEST_CASE("zeros of a short copy arrive too") {
  for (bool late : {false, true}) {
    Checked scene{.threads = 32};
    scene.checks.late_copies = late;
    CHECK(scene.report(R"(
      mad.lo.u32 %r2, %r0, 16, %r1; setp.lt.u32 %p1, %r0, 8; selp.u32 %r3, 8, 0, %p1; mov.u64 %d4, 16;
      selp.b64 %d4, %d1, %d4, %p1;
      cp.async.cg.shared.global [%r2], [%d4], 16, %r3; cp.async.commit_group; cp.async.wait_group 0;
      ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r2]; add.u32 %r4, %r4, %r5; mad.lo.u32 %r4, %r6, 100, %r4;
      mad.lo.u32 %r4, %r7, 1000, %r4; mul.wide.u32 %d5, %r0, 4; add.s64 %d5, %d2, %d5; st.global.u32 [%d5], %r4;)") ==
          "");
    for (std::size_t k = 0; k < 32; ++k) CHECK(scene.out[k] == (k < 8 ? 14u : 0u));
  }
}

TEST_CASE("a deadlock names copies that nobody waits for") {
  CHECK(checked(two_groups + "setp.lt.u32 %p1, %r0, 32; @%p1 bra $E; bar.sync 1, 64;\n$E:", 64)
            .find("\n  warp 1: asynchronous copies of lanes 0-31 in flight") != std::string::npos);
}

TEST_CASE("a result that depends on the order of warps is reported, unless atomics make it so") {
  const auto report = [](std::string_view body) {
    Setup setup{.threads = 64};
    setup.checks = Checks::all();
    setup.every_order = true;
    std::vector<std::uint32_t> out(64);
    return error_of([&] {
      run_body(body, {output("out", out, DType::i32)}, setup, ".shared .align 4 .b8 tile[64];");
    });
  };
  // Warp 0 looks at what warp 1 may or may not have written yet; strong accesses are no race.
  const auto kernel = [](std::string_view before_look, std::string_view look) {
    return fmt::format(R"(
      ld.param.u64 %d1, [p0]; mov.u32 %r0, %tid.x; mov.u32 %r1, tile; setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [%r1], 7;
      bar.sync 0; setp.eq.u32 %p2, %r0, 32; @%p2 st.volatile.shared.u32 [%r1], 8; {}
      @%p1 {} @%p1 st.global.u32 [%d1+4], %r2; ret;)",
                       before_look, look);
  };
  const std::string look = "ld.volatile.shared.u32 %r2, [%r1];";
  CHECK(report(kernel("", look)) ==
        "device: order: out[1] depends on the order of warps (kernel 'k', seed 1)");
  CHECK(report(kernel("bar.sync 0;", look)) == "");
  CHECK(report(kernel("", "atom.shared.add.u32 %r2, [%r1], 1;")) == "");
}

}  // namespace lacuna::runtime::host::test
