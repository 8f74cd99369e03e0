// On a real GPU, with PTX written by hand: skipped visibly where none answers.
#include "lacuna/error.hpp"

#include "runtime/device.h"
#include "tests/catch.h"
#include "tests/runtime/random.h"

#include <cstring>
#include <thread>
#include <vector>

namespace lacuna::runtime {
namespace {

/// out[i] *= factor for i < n, in blocks of 128 threads, through 96 KiB of dynamic shared memory.
constexpr const char* scale_ptx = R"(.version 7.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 buffer[];
.visible .entry scale(.param .align 8 .b8 params[16]) {
  .reg .pred %p; .reg .b32 %r<6>; .reg .f32 %f<3>; .reg .b64 %d<4>;
  ld.param.u64 %d0, [params];
  ld.param.u32 %r0, [params+8];
  ld.param.f32 %f0, [params+12];
  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %tid.x; mad.lo.u32 %r3, %r1, 128, %r2;
  setp.ge.u32 %p, %r3, %r0;
  @%p bra done;
  cvta.to.global.u64 %d1, %d0; mul.wide.u32 %d2, %r3, 4; add.u64 %d3, %d1, %d2;
  ld.global.f32 %f1, [%d3]; mul.rn.f32 %f2, %f1, %f0;
  mov.u32 %r4, buffer; mad.lo.u32 %r5, %r2, 4, %r4;
  st.shared.f32 [%r5+97792], %f2; ld.shared.f32 %f1, [%r5+97792];
  st.global.f32 [%d3], %f1;
done:
  ret;
})";

struct Params {
  void* out;
  std::uint32_t count;
  float factor;
};

std::shared_ptr<const Device> gpu() {
  try {
    return open_cuda();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    WARN("skipped: no GPU answers here (" << error.what() << ")");
    return nullptr;
  }
}

Artifact artifact() {
  Artifact a;
  a.payload = std::string(scale_ptx);
  a.entry = std::string("scale");
  a.threads = 128, a.shared_bytes = 96 * 1024, a.param_bytes = sizeof(Params);
  a.compiler = std::string("by hand");
  return a;
}

void check_scale(const Device& device, const Kernel& kernel, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(1000 + random() % 100000), got(values.size());
  for (float& value : values) value = static_cast<float>(random() % 1000) - 500.0f;
  void* memory = device.allocate(values.size() * sizeof(float));
  device.upload(memory, values.data(), values.size() * sizeof(float));
  const Params params{memory, static_cast<std::uint32_t>(values.size()), 0.5f};
  kernel.launch(
      {.blocks = (values.size() + 127) / 128, .params = std::as_bytes(std::span(&params, 1))});
  device.synchronize({});
  device.download(got.data(), memory, values.size() * sizeof(float));
  device.release(memory);
  for (std::size_t i = 0; i < values.size(); ++i) REQUIRE(got[i] == values[i] * 0.5f);
}

TEST_CASE("gpu: a kernel runs, with more than 48 KiB of shared memory", "[gpu]") {
  const auto device = gpu();
  if (!device) return;
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  INFO(device->description());
  const auto kernel = device->load(artifact());
  check_scale(*device, *kernel, seed);
}

TEST_CASE("gpu: a fresh thread, which has no context, launches", "[gpu]") {
  const auto device = gpu();
  if (!device) return;
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::shared_ptr<const Kernel> kernel;
  std::thread([&] { kernel = device->load(artifact()); }).join();
  std::thread([&] { check_scale(*device, *kernel, seed); }).join();
}

TEST_CASE("gpu: time, memory and capture queries answer", "[gpu]") {
  const auto device = gpu();
  if (!device) return;
  const auto kernel = device->load(artifact());
  const Params params{nullptr, 0, 1.0f};
  const double milliseconds = device->time([&](Stream stream) {
    kernel->launch({.blocks = 1, .params = std::as_bytes(std::span(&params, 1)), .stream = stream});
  });
  CHECK(milliseconds > 0);
  CHECK(milliseconds < 10000);
  device->require_no_capture({});
  CHECK_THROWS_AS(device->allocate(std::size_t{1} << 50), Error);
}

TEST_CASE("gpu: PTX that does not assemble is refused with the driver's log", "[gpu]") {
  const auto device = gpu();
  if (!device) return;
  Artifact bad = artifact();
  bad.payload =
      ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry scale() { nonsense; }";
  try {
    device->load(bad);
    FAIL("it was accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::device);
    CHECK(error.log().find("nonsense") != std::string::npos);
  }
}

}  // namespace
}  // namespace lacuna::runtime
