// What the cuda device asks of the driver, against the fake one of fake_cuda.cpp.
#include "tests/catch.h"
#include "tests/runtime/cuda_fixture.h"
#include "tests/runtime/random.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace lacuna::runtime {
namespace {

using namespace fake;

std::vector<std::byte> random_bytes(std::mt19937& random, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST_CASE("cuda: a device says what it is") {
  const Switches none("");
  const auto device = open();
  CHECK(device->kind() == DeviceKind::cuda);
  CHECK(device->description() == "cuda:0 Fake H200 sm_90, driver 13.0");
  CHECK(device->arch() == plan::Arch{90, 0});
  CHECK(device->format() == Format::cubin);
  CHECK(device->driver_version() == 13000);
  CHECK(open(1)->description() == "cuda:1 Fake L4 sm_89, driver 13.0");
  // Looking creates nothing on a GPU.
  CHECK(seen().retained == 0);
}

TEST_CASE(
    "cuda: with no context current, the primary one is retained once and pushed for each call") {
  const Switches none("");
  auto device = open();
  seen();
  auto kernel = device->load(artifact());
  CHECK(seen().calls == Calls{"cuCtxGetCurrent", "cuDevicePrimaryCtxRetain 0",
                              "cuCtxPushCurrent primary0", "cuThreadExchangeStreamCaptureMode 2",
                              "cuLibraryLoadData cubin", "cuLibraryGetKernel flash",
                              "cuKernelSetAttribute 8 40000 flash 0", "cuKernelGetFunction flash",
                              "cuThreadExchangeStreamCaptureMode 0", "cuCtxPopCurrent"});
  for (int round = 0; round < 3; ++round) {
    launch(*kernel, 3, 24, reinterpret_cast<void*>(77));
    CHECK(seen().calls == Calls{"cuCtxGetCurrent", "cuCtxPushCurrent primary0",
                                "cuLaunchKernel flash 3 1 1 128 1 1 40000 77 primary0",
                                "cuCtxPopCurrent"});
  }
  device.reset();  // the kernel keeps what it needs
  launch(*kernel);
  CHECK(seen().retained == 1);
  kernel.reset();
  const auto after = seen();
  CHECK(after.calls == Calls{"cuThreadExchangeStreamCaptureMode 2", "cuLibraryUnload cubin",
                             "cuThreadExchangeStreamCaptureMode 0", "cuDevicePrimaryCtxRelease 0"});
  CHECK(after.retained == 0);
  CHECK(after.libraries == 0);
  CHECK(after.pushed == 0);
}

TEST_CASE("cuda: a framework's own context of this GPU is used as it is") {
  const Switches own("current=own");
  const auto device = open();
  const auto kernel = device->load(artifact());
  seen();
  launch(*kernel);
  const auto after = seen();
  CHECK(after.calls == Calls{"cuCtxGetCurrent", "cuCtxGetDevice",
                             "cuLaunchKernel flash 3 1 1 128 1 1 40000 0 framework0"});
  CHECK(after.retained == 0);
}

TEST_CASE("cuda: code that another thread loaded is brought into the context that is current") {
  const Switches own("current=own");
  const auto device = open();
  const auto kernel = device->load(artifact());
  seen();
  kernel->bring();
  const auto after = seen();
  CHECK(after.calls == Calls{"cuCtxGetCurrent", "cuCtxGetDevice",
                             "cuThreadExchangeStreamCaptureMode 2", "cuKernelGetFunction flash",
                             "cuThreadExchangeStreamCaptureMode 0"});
  CHECK(after.retained == 0);
}

TEST_CASE("cuda: another GPU's context is put aside and put back") {
  const Switches other("current=other");
  const auto device = open();
  const auto kernel = device->load(artifact());
  seen();
  launch(*kernel);
  const auto after = seen();
  CHECK(after.calls == Calls{"cuCtxGetCurrent", "cuCtxGetDevice", "cuCtxPushCurrent primary0",
                             "cuLaunchKernel flash 3 1 1 128 1 1 40000 0 primary0",
                             "cuCtxPopCurrent"});
  CHECK(after.pushed == 0);
}

TEST_CASE("cuda: fresh threads launch, and leave their context stack as it was") {
  const Switches none("");
  const auto device = open();
  const auto kernel = device->load(artifact());
  seen();
  constexpr int count = 8, rounds = 50;
  std::vector<std::thread> threads;
  std::vector<std::size_t> left(count, 99);
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < rounds; ++round) launch(*kernel);
      left[i] = seen().pushed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t pushed : left) CHECK(pushed == 0);
  CHECK(seen().retained == 1);
}

TEST_CASE("cuda: threads that meet at the first use retain the primary context once") {
  const Switches none("");
  const auto device = open();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { device->synchronize({}); });
  for (std::thread& thread : threads) thread.join();
  const auto after = seen();
  CHECK(after.retained == 1);
  CHECK(std::count(after.calls.begin(), after.calls.end(), "cuCtxPushCurrent primary0") == 8);
  CHECK(std::count(after.calls.begin(), after.calls.end(), "cuCtxPopCurrent") == 8);
}

TEST_CASE("cuda: the parameters arrive byte for byte") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const Switches none("");
  const auto device = open();
  for (int round = 0; round < 50; ++round) {
    Artifact a = artifact();
    a.param_bytes = static_cast<int>(1 + random() % 4000);
    const auto params = random_bytes(random, static_cast<std::size_t>(a.param_bytes));
    device->load(a)->launch({.blocks = 1 + random() % 1000, .params = params});
    const std::string got = seen().params;
    REQUIRE(got.size() == params.size());
    REQUIRE(std::memcmp(got.data(), params.data(), got.size()) == 0);
  }
}

TEST_CASE("cuda: a launch that cannot be is refused before the driver sees it") {
  const Switches none("");
  const auto kernel = open()->load(artifact());
  seen();
  CHECK(failure([&] { launch(*kernel, 0); }).text ==
        "flash: a grid of 0 blocks, and 1 to 2147483647 are possible");
  CHECK(failure([&] { launch(*kernel, 1ull << 31); }).kind == ErrorKind::device);
  CHECK(failure([&] { launch(*kernel, 1, 25); }).text ==
        "flash: 25 bytes of parameters, and it takes 24");
  CHECK(seen().calls.empty());
}

TEST_CASE("cuda: a failed launch names call, error, kernel and extent, and pops the context") {
  const Switches none("");
  const auto kernel = open()->load(artifact());
  const Switches broken("fail=cuLaunchKernel:719");
  const Failure got = failure([&] { launch(*kernel); });
  CHECK(got.kind == ErrorKind::device);
  CHECK(got.text ==
        "cuda:0: cuLaunchKernel failed: CUDA_ERROR_LAUNCH_FAILED, unspecified launch failure "
        "(kernel flash, 3 blocks of 128 threads, 40000 bytes of shared memory)");
  CHECK(seen().pushed == 0);
  const Switches unknown("fail=cuLaunchKernel:12345");
  CHECK(contains(failure([&] { launch(*kernel); }).text,
                 "failed: error 12345, unknown to this driver"));
}

TEST_CASE("cuda: while a graph is captured, the caller is told to prepare") {
  const Switches none("");
  const auto device = open();
  device->require_no_capture({});
  for (const std::string state : {"capturing", "capture_elsewhere"}) {
    const Switches set(state);
    const Failure got = failure([&] { device->require_no_capture({}); });
    CHECK(got.kind == ErrorKind::device);
    CHECK(contains(got.text, "not warmed up: "));
    CHECK(contains(got.text, "call prepare() before capture"));
    for (const std::string& call : seen().calls) CHECK_FALSE(contains(call, "Load"));
  }
}

TEST_CASE("cuda: memory is allocated, filled, read back and released") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const Switches none("");
  const auto device = open();
  for (std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{100000}}) {
    const auto bytes = random_bytes(random, count);
    std::vector<std::byte> back(count);
    void* memory = device->allocate(count);
    CHECK(memory != nullptr);
    device->upload(memory, bytes.data(), count);
    device->download(back.data(), memory, count);
    CHECK(back == bytes);
    CHECK(seen().allocations == 1);
    device->release(memory);
    CHECK(seen().allocations == 0);
  }
  device->release(nullptr);
  CHECK(seen().calls.empty());
  const Switches full("fail=cuMemAlloc:2");
  CHECK(
      contains(failure([&] { device->allocate(1000); }).text,
               "cuda:0: cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY, unknown to this driver (1000 "
               "bytes)"));
  CHECK(seen().pushed == 0);
}

TEST_CASE("cuda: a call's memory is taken and given back in the order of its stream") {
  const Switches none("capturing");  // which a graph may record
  const auto device = open();
  seen();
  const Stream stream{reinterpret_cast<void*>(std::uintptr_t{77})};
  void* memory = device->allocate_ordered(3000, stream);
  CHECK(memory != nullptr);
  CHECK(seen().allocations == 1);
  device->release_ordered(memory, stream);
  const auto after = seen();
  CHECK(after.allocations == 0);
  CHECK(std::count(after.calls.begin(), after.calls.end(), "cuMemFreeAsync 77") == 1);
  const Switches full("fail=cuMemAllocAsync:2");
  const Failure got = failure([&] { device->allocate_ordered(3000, stream); });
  CHECK(got.kind == ErrorKind::device);
  CHECK(contains(got.text, "cuMemAllocAsync failed: CUDA_ERROR_OUT_OF_MEMORY"));
  CHECK(contains(got.text, "(3000 bytes of workspace)"));
  CHECK(device->multiprocessors() == 132);
  CHECK(open(1)->multiprocessors() == 58);
}

TEST_CASE("cuda: time is measured by events, which never leak") {
  const Switches none("");
  const auto device = open();
  const auto kernel = device->load(artifact());
  seen();
  CHECK(device->time([&](Stream stream) {
    kernel->launch({.blocks = 1, .params = std::vector<std::byte>(24), .stream = stream});
  }) == 1.5);
  Calls calls = seen().calls;
  CHECK(calls.front() == "cuCtxGetCurrent");
  const auto at = [&](const std::string& name) {
    return std::find_if(calls.begin(), calls.end(),
                        [&](auto& call) { return call.starts_with(name); });
  };
  CHECK(at("cuEventRecord") < at("cuLaunchKernel"));
  CHECK(at("cuLaunchKernel") < at("cuEventSynchronize"));
  CHECK(std::count(calls.begin(), calls.end(), "cuCtxPushCurrent primary0") == 1);
  CHECK_THROWS_AS(device->time([](Stream) { throw std::runtime_error("work"); }),
                  std::runtime_error);
  const auto after = seen();
  CHECK(after.events == 0);
  CHECK(after.pushed == 0);
}

}  // namespace
}  // namespace lacuna::runtime
