// What a host device refuses to load or to launch, in one sentence each.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::test {
namespace {

Artifact artifact_of(std::string ptx) {
  Artifact artifact;
  artifact.payload = std::move(ptx);
  artifact.entry = std::string("k");
  artifact.threads = 64;
  artifact.param_bytes = 8;
  return artifact;
}
std::string refusal(const Artifact& artifact) {
  return error_of([&] { open_host(HostOptions{.threads = 1})->load(artifact); });
}
std::string refusal_of_body(std::string_view body) {
  return refusal(artifact_of(module_of(1, body)));
}

std::string entry_with(std::string_view attributes) {
  return fmt::format(
      ".version 9.0\n.target sm_90a\n.address_size 64\n.entry k(.param .u64 p0) {} {{ ret; }}",
      attributes);
}

}  // namespace

TEST_CASE("artifact and PTX must agree") {
  Artifact artifact = artifact_of(module_of(1, "ret;"));
  CHECK(refusal(artifact) == "");
  artifact.entry = "attend";
  CHECK(refusal(artifact) == "device: the PTX has no kernel 'attend'; it has 'k'");
  artifact = artifact_of(module_of(2, "ret;"));
  CHECK(refusal(artifact) == "device: kernel 'k' is to take 8 parameter bytes; its PTX takes 16");
  artifact = artifact_of(entry_with(".maxntid 8, 4, 1"));
  CHECK(refusal(artifact) ==
        "device: kernel 'k' is to run with 64 threads a CTA; its PTX allows 32");
  artifact = artifact_of(entry_with(".reqntid 128 .minnctapersm 2 .maxnreg 200"));
  CHECK(refusal(artifact) ==
        "device: kernel 'k' is to run with 64 threads a CTA; its PTX requires 128");
  CHECK(refusal(artifact_of(entry_with(".maxntid 64 .maxnctapersm 1 .pragma \"nounroll\";"))) ==
        "unsupported: the host device does not know the directive '.pragma' (ptx line 4)");
  artifact = artifact_of(entry_with(""));
  artifact.threads = 2048;
  CHECK(refusal(artifact) ==
        "device: kernel 'k' is to run with 2048 threads a CTA; the limit is 1024");
  artifact.threads = 64;
  artifact.shared_bytes = -4;
  CHECK(refusal(artifact) ==
        "device: kernel 'k' is to have -4 bytes of dynamic shared memory; the limit is 16777216");
  artifact.shared_bytes = 0;
  artifact.format = Format::cubin;
  CHECK(refusal(artifact) == "unsupported: the host device executes PTX; kernel 'k' is a cubin");
}

TEST_CASE("an unknown instruction, modifier or register is named with its place") {
  CHECK(refusal_of_body(
            "\n.loc 1 12 3\nwmma.load.a.sync.aligned.row.m16n16k16.f16 {%r1,%r2,%r3,%r4}, "
            "[%d1];\n.file 1 \"a.cu\"\nret;") ==
        "unsupported: the host device does not know the instruction "
        "'wmma.load.a.sync.aligned.row.m16n16k16.f16' (ptx line 16, a.cu:12: "
        "wmma.load.a.sync.aligned.row.m16n16k16.f16 {%r1,%r2,%r3,%r4}, [%d1])");
  CHECK(refusal_of_body("add.fast.f32 %f1, %f2, %f3;") ==
        "unsupported: the host device does not know the modifier '.fast' of 'add.fast.f32' (ptx "
        "line 14: add.fast.f32 %f1, %f2, %f3)");
  CHECK(refusal_of_body("add.sat.u32 %r1, %r2, %r3;") ==
        "unsupported: the host device does not know this combination of modifiers: 'add.sat.u32' "
        "(ptx line 14: add.sat.u32 %r1, %r2, %r3)");
  CHECK(
      refusal_of_body("ld.global.L2::cache_hint.f32 %f1, [%d1], %d2;") ==
      "unsupported: the host device does not know the modifier '.L2::cache_hint' of "
      "'ld.global.L2::cache_hint.f32' (ptx line 14: ld.global.L2::cache_hint.f32 %f1, [%d1], %d2)");
  CHECK(refusal_of_body("mov.u64 %d1, %clock64;") ==
        "unsupported: the host device does not know the special register '%clock64' (ptx line 14: "
        "mov.u64 %d1, %clock64)");
  CHECK(refusal_of_body("mov.u32 %r1, %smid;") ==
        "unsupported: the host device does not know the special register '%smid' (ptx line 14: "
        "mov.u32 %r1, %smid)");
  CHECK(refusal_of_body("#pack.b32.2 %r1;")
            .find("device: ptx line 14: the character 0x23 has no place in PTX") == 0);
  CHECK(refusal_of_body("mov.u64 %d1, k;")
            .find("unsupported: the host device does not know the address of the function 'k'") ==
        0);
}

TEST_CASE("operands that do not fit their instruction are refused") {
  const auto expect = [](std::string_view body, std::string_view message) {
    CHECK(refusal_of_body(body) == fmt::format("device: kernel 'k': {} (ptx line 14: {})", message,
                                               body.substr(0, body.size() - 1)));
  };
  expect("add.s32 %r1, %r2;", "'add.s32' has 2 operands; it takes 3");
  expect("add.s32 %r1, %r2, %d3;", "'%d3' has 64 bits; 'add.s32' wants 32");
  expect("add.s64 %d1, %r2, %d3;", "'%r2' has 32 bits; 'add.s64' wants 64");
  expect("add.s64 %r1, %d2, %d3;", "'%r1' has 32 bits; 'add.s64' writes 64");
  expect("add.f32 %f1, %f2, %p3;", "'%p3' is a predicate; 'add.f32' wants a value");
  expect("selp.f32 %f1, %f2, %f3, %r1;", "'%r1' is not a predicate");
  expect("add.f32 %f1, %f2, 1;", "'1' is an integer; 'add.f32' wants a floating value");
  expect("add.u16 %h1, %h2, 70000;", "'70000' does not fit 16 bits");
  expect("add.f64 %d1, %d2, 0f3f800000;",
         "the floating literal '0f3f800000' does not fit 'add.f64'");
  expect("ld.global.f32 %f1, %f2;", "'%f2' is not an address");
  expect("ld.global.f32 %f1, [%h1];", "'%h1' cannot hold an address");
  expect("ld.global.v2.f32 %f1, [%d1];", "'ld.global.v2.f32' writes 2 registers");
  expect("st.global.v2.f32 [%d1], {%f1, %f2, %f3};", "'st.global.v2.f32' reads 2 registers");
  expect("lop3.b32 %r1, %r2, %r3, %r4, %r5;", "'%r5' is not a literal");
  expect("bra %r1;", "'%r1' is not a label");
  expect("ret 5;", "'ret' has 1 operands; it takes 0");
  expect("mov.b32 5, %r1;", "'5' cannot be written by 'mov.b32'");
  expect("mov.u16 %h1, %tid.x;", "'%tid.x' has 32 bits");
}

TEST_CASE("a launch must fit its kernel") {
  std::vector<float> values(8);
  const std::vector<Buffer> buffers = {output("o", values, DType::f32)};
  const auto kernel = load(module_of(1, "ret;"), 1);
  CHECK(error_of([&] { run(*kernel, buffers, {.blocks = 0}); }) ==
        "argument: kernel 'k': a grid of 0 blocks; the limit is 2147483647");
  CHECK(error_of([&] { run(*kernel, buffers, {.values = {1}}); }) ==
        "argument: kernel 'k' takes 8 parameter bytes, not 16");
  const Region region{"o", buffers[0].view, true};
  const std::uint64_t param = 0;
  for (const AddressSlot slot : {AddressSlot{4, 0}, AddressSlot{0, 1}}) {
    const Launch launch{.blocks = 1,
                        .params = std::as_bytes(std::span(&param, 1)),
                        .slots = {&slot, 1},
                        .regions = {&region, 1}};
    CHECK(error_of([&] { kernel->launch(launch); }) ==
          fmt::format("argument: address slot at byte {} for tensor {} is outside of 8 parameter "
                      "bytes and 1 tensors",
                      slot.byte, slot.region));
  }
}

TEST_CASE("the device describes itself and moves memory") {
  const auto device = runtime::open_host(3);
  CHECK(device->kind() == DeviceKind::host);
  CHECK(device->description() ==
        fmt::format("host: 3 threads, PTX executor ({})", name_of(best_isa())));
  CHECK(device->arch() == plan::Arch{80, 0});
  CHECK(device->format() == Format::ptx);
  void* memory = device->allocate(16);
  CHECK(reinterpret_cast<std::uintptr_t>(memory) % 256 == 0);
  const double from = 1.5;
  double to = 0;
  device->upload(memory, &from, sizeof(from));
  device->download(&to, memory, sizeof(to));
  device->synchronize({});
  device->release(memory);
  CHECK(to == 1.5);
  bool ran = false;
  CHECK(device->time([&](Stream) { ran = true; }) >= 0);
  CHECK(ran);
  CHECK(error_of([] { open_host(HostOptions{.threads = -1}); }) ==
        "argument: the host device cannot have -1 threads");
}

TEST_CASE("what a launch executes is counted") {
  std::vector<float> values(8);
  const Statistics counted = run_body(
      "mov.u32 %r0, %tid.x; mov.u32 %r1, %r0; setp.lt.u32 %p1, %r1, 8; @%p1 bra $A; add.u32 %r1, "
      "%r1, 1;\n$A: ret;",
      {output("o", values, DType::f32)}, {.threads = 40, .blocks = 3});
  CHECK(counted.blocks == 3);
  // Warp 0: setp, mov, bra; add of 24 lanes; ret of all. Warp 1 of 8 lanes: those and add.  mov of
  // %tid is forwarded.
  CHECK(counted.warp_instructions == 3 * (5 + 5));
  CHECK(counted.lane_instructions == 3 * ((3 * 32 + 24 + 32) + (5 * 8)));
}

}  // namespace lacuna::runtime::host::test
