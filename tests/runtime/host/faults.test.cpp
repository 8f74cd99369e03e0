// Every memory error, with its whole report: check, kernel, CTA, warp, lane, tensor element, source
// and PTX line.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <cstring>

namespace lacuna::runtime::host::test {
namespace {

/// A k of f32 [2,3,5,4] and an output; `body` finds k's address in %d1, o's in %d2, the thread in
/// %r0.
struct Scene {
  std::vector<float> k = std::vector<float>(2 * 3 * 5 * 4, 1.0f);
  std::vector<float> o = std::vector<float>(64, 0.0f);
  TensorView k_view = TensorView::contiguous(k.data(), DType::f32, {2, 3, 5, 4});
  Setup setup = {.threads = 64};

  std::string report(std::string_view body, std::string_view before = "") {
    const std::vector<Buffer> buffers = {{"k", k_view, false}, output("o", o, DType::f32)};
    return error_of([&] {
      run_body(fmt::format(
                   "mov.u32 %r0, %tid.x; ld.param.u64 %d1, [p0]; ld.param.u64 %d2, [p1];\n{}\nret;",
                   body),
               buffers, setup, before);
    });
  }
};

}  // namespace

TEST_CASE("a read past the end of a tensor names the element") {
  Scene scene;
  CHECK(scene.report("mul.wide.u32 %d3, %r0, 16; add.s64 %d3, %d1, %d3; add.s64 %d3, %d3, 320; "
                     "setp.lt.u32 %p1, %r0, 40;\n@%p1 ld.global.f32 %f1, [%d3+4];") ==
        "device: out-of-bounds read of 4 bytes in global memory at k[1,2,5,1], 8 bytes past the "
        "end of k (f32 [2,3,5,4]) "
        "(kernel 'k', CTA 0, warp 0, lane 10, ptx line 17: @%p1 ld.global.f32 %f1, [%d3+4])");
  CHECK(scene.report("ld.global.nc.v4.f32 {%f1, %f2, %f3, %f4}, [%d1+480];")
            .find("device: out-of-bounds read of 16 bytes in global memory at k[1,2,5,0], 16 bytes "
                  "past the end of k (f32 [2,3,5,4]) (kernel 'k'") == 0);
  CHECK(scene.report("ld.global.u8 %h1, [%d1+479]; ld.global.u8 %h1, [%d1+480];")
            .find("device: out-of-bounds read of 1 byte in global memory at k[1,2,5,0], 1 byte "
                  "past the end of k") == 0);
}

TEST_CASE("a read before the start of a tensor says so") {
  Scene scene;
  CHECK(scene.report("setp.eq.u32 %p1, %r0, 33;\n@%p1 ld.global.f32 %f1, [%d1+-4];") ==
        "device: out-of-bounds read of 4 bytes in global memory at k, 4 bytes before the start of "
        "k (f32 [2,3,5,4]) "
        "(kernel 'k', CTA 0, warp 1, lane 1, ptx line 17: @%p1 ld.global.f32 %f1, [%d1+-4])");
  CHECK(scene.report("ld.global.f32 %f1, [%d2+-400];")
            .find("at o, 400 bytes before the start of o (f32 [64])") != std::string::npos);
}

TEST_CASE("the end of one tensor never runs into the next") {
  Scene scene;
  // Neighbours in memory; in the device they are far apart.
  std::vector<float> both(128);
  const Buffer a{"a", TensorView::contiguous(both.data(), DType::f32, {64})};
  const Buffer b{"b", TensorView::contiguous(both.data() + 64, DType::f32, {64}), true};
  const std::string report = error_of([&] {
    run_body(
        "ld.param.u64 %d1, [p0]; ld.global.f32 %f1, [%d1+252]; ld.global.f32 %f1, [%d1+256]; ret;",
        {a, b});
  });
  CHECK(report.find("out-of-bounds read of 4 bytes in global memory at a[64], 4 bytes past the end "
                    "of a (f32 [64])") != std::string::npos);
}

TEST_CASE("a write to an input, a misaligned access and an atomic are told apart") {
  Scene scene;
  CHECK(scene.report("mov.f32 %f1, 0f00000000;\nst.global.f32 [%d1+88], %f1;") ==
        "device: forbidden write of 4 bytes in global memory at k[0,1,0,2] (f32 [2,3,5,4]), which "
        "is read-only "
        "(kernel 'k', CTA 0, warp 0, lane 0, ptx line 17: st.global.f32 [%d1+88], %f1)");
  CHECK(scene.report("red.global.add.f32 [%d1], 0f3f800000;")
            .find("device: forbidden atomic access of 4 bytes in global memory at k[0,0,0,0]") ==
        0);
  CHECK(scene.report("ld.global.v2.f32 {%f1, %f2}, [%d1+4];")
            .find("device: misaligned read of 8 bytes in global memory at k[0,0,0,1] (f32 "
                  "[2,3,5,4]) (kernel") == 0);
  CHECK(scene.report("st.global.f32 [%d2+2], 0f00000000;")
            .find("device: misaligned write of 4 bytes in global memory at o[0] (f32 [64])") == 0);
  CHECK(scene.report("atom.global.add.u64 %d5, [%d2+12], 1;")
            .find("device: misaligned atomic access of 8 bytes in global memory at o[3]") == 0);
}

TEST_CASE("alignment is that of the caller's memory") {
  std::vector<float> memory(64);
  const auto misalign = reinterpret_cast<std::uintptr_t>(memory.data()) % 16;
  const Buffer odd{
      "q", TensorView::contiguous(memory.data() + (misalign == 0 ? 1 : 0) + 4, DType::f32, {32})};
  const Buffer even{
      "q", TensorView::contiguous(memory.data() + (16 - misalign) / 4 % 4, DType::f32, {32})};
  const std::string_view body =
      "ld.param.u64 %d1, [p0]; ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d1]; ret;";
  CHECK(error_of([&] { run_body(body, {even}); }) == "");
  const bool really_odd = reinterpret_cast<std::uintptr_t>(odd.view.data) % 16 != 0;
  REQUIRE(really_odd);
  CHECK(error_of([&] {
          run_body(body, {odd});
        }).find("device: misaligned read of 16 bytes in global memory at q[0]") == 0);
}

TEST_CASE("null, absent and garbage addresses") {
  Scene scene;
  CHECK(scene.report("mov.u64 %d3, 16;\nld.global.f32 %f1, [%d3];") ==
        "device: out-of-bounds read of 4 bytes in global memory at address 0x10, a null pointer "
        "(kernel 'k', CTA 0, warp 0, lane 0, ptx line 17: "
        "ld.global.f32 %f1, [%d3])");
  CHECK(scene.report("mov.u64 %d3, 0x7f12345678;\nshl.b64 %d3, %d3, 12; ld.f32 %f1, [%d3];")
            .find("at address 0x7f12345678000, which belongs to nothing (kernel") !=
        std::string::npos);
  CHECK(scene.report("ld.global.f32 %f1, [%d60];")
            .find("at address 0xffffffffffffffff, which belongs to nothing") !=
        std::string::npos);  // never written
  const Buffer absent{"lse", TensorView{}};
  CHECK(error_of([&] {
          run_body(
              "ld.param.u64 %d1, [p0]; setp.eq.u64 %p1, %d1, 0; @!%p1 trap; st.global.f32 [%d1], "
              "%f1; ret;",
              {absent});
        })
            .find("out-of-bounds write of 4 bytes in global memory at address 0x0, a null pointer; "
                  "absent tensors: lse (kernel") != std::string::npos);
  std::vector<float> memory(4);
  const Buffer empty{"bias", TensorView::contiguous(memory.data(), DType::f32, {0, 4})};
  CHECK(
      error_of([&] { run_body("ld.param.u64 %d1, [p0]; ld.global.f32 %f1, [%d1]; ret;", {empty}); })
          .find("out-of-bounds read of 4 bytes in global memory at bias, 4 bytes past the end of "
                "bias (f32 [0,4])") != std::string::npos);
}

TEST_CASE("strides may be negative or zero: a region is what the view reaches") {
  std::vector<float> memory(40);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  TensorView reversed = TensorView::contiguous(memory.data() + 35, DType::f32, {4, 8});
  reversed.strides = {-8, 1};  // rows 35.., 27.., 19.., 11..18
  TensorView same = TensorView::contiguous(memory.data(), DType::f32, {1000, 4});
  same.strides = {0, 1};
  std::vector<float> out(2);
  const std::vector<Buffer> buffers = {
      {"r", reversed}, {"z", same}, output("out", out, DType::f32)};
  const auto body = [](std::string_view access) {
    return fmt::format(
        "ld.param.u64 %d1, [p0]; ld.param.u64 %d2, [p1]; ld.param.u64 %d3, [p2];\n{}\nret;",
        access);
  };
  run_body(body("ld.global.f32 %f1, [%d1+-96]; st.global.f32 [%d3], %f1; ld.global.f32 %f1, "
                "[%d2+12]; st.global.f32 [%d3+4], %f1;"),
           buffers);
  CHECK(out == std::vector<float>{11, 3});
  CHECK(error_of([&] {
          run_body(body("ld.global.f32 %f1, [%d1+-100];"), buffers);
        }).find("at r, 4 bytes before the start of r (f32 [4,8])") != std::string::npos);
  // The end of memory is the end of row 0: the row after it would be row -1.
  CHECK(error_of([&] {
          run_body(body("ld.global.f32 %f1, [%d1+32];"), buffers);
        }).find("at r[-1,0], 4 bytes past the end of r") != std::string::npos);
  CHECK(error_of([&] {
          run_body(body("ld.global.f32 %f1, [%d2+16];"), buffers);
        }).find("at z[0,4], 4 bytes past the end of z (f32 [1000,4])") != std::string::npos);
}

TEST_CASE("shared, local and parameter memory end where they end") {
  Scene scene;
  scene.setup.shared_bytes = 64;
  const std::string_view tile =
      ".shared .align 8 .b8 tile[40];\n.extern .shared .align 16 .b8 more[];";
  CHECK(scene.report("ld.shared.u32 %r2, [tile]; mov.u32 %r1, more; mad.lo.u32 %r1, %r0, 4, "
                     "%r1;\nld.shared.f32 %f1, [%r1];",
                     tile) ==
        "device: out-of-bounds read of 4 bytes in shared memory at byte 112, 4 bytes past the end "
        "of the 112 bytes of shared memory "
        "(kernel 'k', CTA 0, warp 0, lane 16, ptx line 18: ld.shared.f32 %f1, [%r1])");
  CHECK(scene
            .report("mov.u64 %d4, more; mov.u64 %d3, tile; st.shared.v2.u32 [%d3+4], {%r0, %r0};",
                    tile)
            .find("device: misaligned write of 8 bytes in shared memory at byte 4 of the 112 bytes "
                  "of shared memory") == 0);
  CHECK(scene.report("mov.u64 %d4, more; mov.u64 %d3, tile; ld.shared.u32 %r1, [%d3+-4];", tile)
            .find("at byte -4, 4 bytes before the start of the 112 bytes of shared memory") !=
        std::string::npos);
  CHECK(scene.report(".local .align 4 .b8 mine[12]; mov.u64 %d3, mine; st.local.u32 [%d3+12], %r0;")
            .find("device: out-of-bounds write of 4 bytes in local memory at byte 12, 4 bytes past "
                  "the end of the 12 bytes of local memory") == 0);
  CHECK(scene.report("ld.param.u64 %d3, [p1+8];")
            .find("device: out-of-bounds read of 8 bytes in parameter memory at byte 16, 8 bytes "
                  "past the end of the 16 bytes of parameter memory") == 0);
}

TEST_CASE("generic addresses carry their window") {
  Scene scene;
  std::vector<float> k = scene.k;
  const std::string_view declare = ".shared .align 8 .b8 tile[256];";
  CHECK(scene.report(R"(
    .local .align 8 .b8 mine[8]; mov.u64 %d3, tile; cvta.shared.u64 %d3, %d3; mov.u64 %d4, mine; cvta.local.u64 %d4, %d4;
    and.b32 %r1, %r0, 3; mul.wide.u32 %d5, %r0, 4; add.s64 %d3, %d3, %d5; add.s64 %d6, %d2, %d5;
    setp.eq.u32 %p1, %r1, 1; selp.b64 %d7, %d3, %d4, %p1; setp.eq.u32 %p2, %r1, 2; selp.b64 %d7, %d6, %d7, %p2;
    cvt.rn.f32.u32 %f1, %r0; st.f32 [%d7], %f1; ld.f32 %f2, [%d7]; st.global.f32 [%d6], %f2;
    mov.b64 %d8, p1; cvta.param.u64 %d8, %d8; ld.u64 %d9, [%d8]; setp.ne.u64 %p3, %d9, %d2; @%p3 trap;)",
                     declare) == "");
  for (int t = 0; t < 64; ++t) CHECK(scene.o[static_cast<std::size_t>(t)] == static_cast<float>(t));
  CHECK(scene.report("mov.u64 %d3, tile; cvta.shared.u64 %d3, %d3; ld.f32 %f1, [%d3+256];", declare)
            .find("device: out-of-bounds read of 4 bytes in shared memory at byte 256, 4 bytes "
                  "past the end of the 256 bytes of shared memory") == 0);
  CHECK(
      scene
          .report("mov.u64 %d3, tile; cvta.shared.u64 %d3, %d3; ld.global.f32 %f1, [%d3];", declare)
          .find("out-of-bounds read of 4 bytes in global memory at address 0x100000000000000, a "
                "generic address of shared memory") != std::string::npos);
  CHECK(scene.report("mov.b64 %d8, p1; cvta.param.u64 %d8, %d8; st.u64 [%d8], %d1;")
            .find("device: forbidden write of 8 bytes in parameter memory at byte 8") == 0);
  CHECK(scene.report("cvta.to.shared.u64 %d3, %d1; ld.shared.f32 %f1, [%d3];", declare)
            .find("device: out-of-bounds read of 4 bytes in shared memory at byte -") == 0);
}

TEST_CASE("module variables have values, bounds and a lifetime") {
  std::vector<std::uint32_t> out(8);
  const std::string_view before = R"(
    .const .align 4 .b8 table[12] = {1, 2, 3, 4, 0xff, 0, 0, 0, 9};
    .global .align 4 .u32 counter = -1;
    .global .align 8 .f64 half = 0d3FE0000000000000;
    .global .align 4 .f32 numbers[4] = {0f3F800000, 2.5, -0f40400000};
    .visible .global .align 4 .b32 grid[2][3];)";
  const std::string_view body = R"(
    ld.param.u64 %d1, [p0]; mov.u64 %d2, table; ld.const.u32 %r1, [%d2]; ld.const.s8 %r2, [table+4];
    atom.global.add.u32 %r3, [counter], 1; ld.global.f32 %f1, [numbers+4]; mov.b32 %r4, %f1; ld.global.f32 %f2, [numbers+8]; mov.b32 %r5, %f2;
    mov.u64 %d3, grid+16; cvta.global.u64 %d4, %d3; ld.u32 %r6, [%d4]; ld.global.u32 %r7, [half+4];
    st.global.v4.u32 [%d1], {%r1, %r2, %r3, %r4}; st.global.v4.u32 [%d1+16], {%r5, %r6, %r7, %r3}; ret;)";
  const auto kernel = load(module_of(1, body, before), 1, {.threads = 1});
  run(*kernel, {output("out", out, DType::i32)}, {.threads = 1});
  CHECK(out == std::vector<std::uint32_t>{0x04030201, 0xffffffff, 0xffffffff, 0x40200000,
                                          0xc0400000, 0, 0x3fe00000, 0xffffffff});
  run(*kernel, {output("out", out, DType::i32)}, {.threads = 1});
  CHECK(out[2] == 0);  // the counter goes on
  const auto report = [&](std::string_view access) {
    return error_of([&] {
      run_body(fmt::format("{} ret;", access), {output("out", out, DType::i32)}, {}, before);
    });
  };
  CHECK(report("mov.u64 %d2, table; st.global.u32 [%d2], %r1;")
            .find("device: forbidden write of 4 bytes in global memory at byte 0 of the variable "
                  "'table' of 12 bytes, which is read-only") == 0);
  CHECK(report("ld.global.u32 %r1, [grid+24];")
            .find("device: out-of-bounds read of 4 bytes in global memory at byte 24 of the "
                  "variable 'grid' of 24 bytes (kernel") == 0);
}

TEST_CASE("a fault names the source line, through #line and inlining") {
  Scene scene;
  const std::string text = module_of(2, R"(
    ld.param.u64 %d1, [p0];
    .loc 1 30 5
    mov.u32 %r0, %tid.x;
    .loc 2 7 12
    .loc 1 44 3, function_name $L__info_string0, inlined_at 2 9 1
    .loc 1 0 0
    ld.global.f32 %f1, [%d1+4096];
    ret;)") + ".file 1 \"templates/tiles.cuh\"\n.file 2 \"local.lac\"\n.section "
              ".debug_str\n{\n$L__info_string0:\n.b8 95,90,0\n}\n";
  const auto kernel = load(text, 2, {.threads = 32});
  try {
    run(*kernel, {{"k", scene.k_view}, output("o", scene.o, DType::f32)}, {.threads = 32});
    FAIL("no report");
  } catch (const Error& error) {
    CHECK(std::string(error.what())
              .find("(kernel 'k', CTA 0, warp 0, lane 0, templates/tiles.cuh:44, inlined at "
                    "local.lac:9, ptx line 22: ld.global.f32 %f1, [%d1+4096])") !=
          std::string::npos);
    CHECK(error.span() == Span{"templates/tiles.cuh", 44, 0});
  }
}

TEST_CASE("the lowest CTA's failure is the one that is reported, and nothing runs on") {
  Scene scene;
  scene.setup = {.threads = 64, .blocks = 200, .workers = 4};
  for (int round = 0; round < 5; ++round)
    CHECK(scene
              .report("mov.u32 %r1, %ctaid.x; setp.ge.u32 %p1, %r1, 37; @%p1 ld.global.f32 %f1, "
                      "[%d1+480];")
              .find("(kernel 'k', CTA 37, warp 0, lane 0") != std::string::npos);
}

TEST_CASE("random accesses are caught exactly when they leave the tensor") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 400; ++round) {
    Scene scene;
    std::vector<std::int64_t> offsets(32);
    std::vector<std::uint32_t> sink(64);
    const bool wild = round % 2 == 0;
    bool outside = false;
    for (auto& offset : offsets) {
      offset = 4 * static_cast<std::int64_t>(random() % 120);
      if (wild && random() % 32 == 0)
        offset = 4 * (static_cast<std::int64_t>(random() % 400) - 140);
      outside |= offset < 0 || offset > 476;
    }
    const std::string report = error_of([&] {
      run_body(
          R"(mov.u32 %r0, %tid.x; ld.param.u64 %d1, [p0]; ld.param.u64 %d2, [p1]; mul.wide.u32 %d3, %r0, 8; add.s64 %d2, %d2, %d3;
        ld.global.u64 %d4, [%d2]; add.s64 %d1, %d1, %d4; ld.global.f32 %f1, [%d1]; ret;)",
          {{"k", scene.k_view}, input("offsets", offsets, DType::i64)});
    });
    REQUIRE(report.empty() != outside);
  }
}

}  // namespace lacuna::runtime::host::test
