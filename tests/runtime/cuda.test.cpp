// The cuda device against the fake driver of fake_cuda.cpp.
#include "lacuna/error.hpp"

#include "runtime/device.h"
#include "tests/catch.h"
#include "tests/runtime/fake_cuda.h"
#include "tests/runtime/random.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace lacuna::runtime {
namespace {

const std::string fake_library = LACUNA_FAKE_CUDA_LIBRARY;

test::FakeCuda seen() {
  static void* handle = dlopen(fake_library.c_str(), RTLD_NOW);
  static auto* ask = reinterpret_cast<test::FakeCudaFunction*>(dlsym(handle, "fake_cuda"));
  return ask();
}

/// Sets the fake's switches while it lives.
struct Switches {
  explicit Switches(const std::string& text) {
    ::setenv("LACUNA_FAKE_CUDA", text.c_str(), 1);
    seen();
  }
  ~Switches() { ::unsetenv("LACUNA_FAKE_CUDA"); }
};

std::shared_ptr<const Device> open(int ordinal = 0) {
  return open_cuda(ordinal, fake_library);
}

Artifact artifact() {
  Artifact a;
  a.format = Format::cubin;
  a.payload = std::string("cubin");
  a.entry = std::string("flash");
  a.arch = {90, 0};
  a.threads = 128, a.shared_bytes = 40000, a.param_bytes = 24;
  a.compiler = std::string("nvrtc 13.0");
  return a;
}

struct Failure {
  ErrorKind kind{};
  std::string text, log;
};
Failure failure(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.kind(), error.what(), error.log()};
  }
  return {{}, "nothing was thrown", ""};
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

std::vector<std::byte> random_bytes(std::mt19937& random, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

void launch(const Kernel& kernel, std::uint64_t blocks = 3, std::size_t param_bytes = 24,
            void* stream = nullptr) {
  const std::vector<std::byte> params(param_bytes);
  kernel.launch({.blocks = blocks, .params = params, .stream = {stream}});
}

using Calls = std::vector<std::string>;

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

TEST_CASE("cuda: why there is no device") {
  const auto reason = [](const std::string& switches, int ordinal = 0) {
    const Switches set(switches);
    const Failure got = failure([&] { open(ordinal); });
    CHECK(got.kind == ErrorKind::unavailable);
    return got.text;
  };
  CHECK(contains(reason("no_device"),
                 "no GPU answers: cuInit failed: CUDA_ERROR_NO_DEVICE, no CUDA-capable device is "
                 "detected (" +
                     fake_library));
  const std::string old = reason("driver=11080");
  CHECK(contains(old, "supports CUDA 11.8, and Lacuna needs 12.0: install driver 525 or newer"));
  CHECK(contains(old, fake_library));
  CHECK(contains(reason("missing=cuLibraryLoadData"), "has no cuLibraryLoadData of CUDA 12.0"));
  CHECK(reason("", 2) == "there is no cuda:2: 2 GPUs answer");
  CHECK(reason("", -1) == "there is no cuda:-1: 2 GPUs answer");
  CHECK(reason("sm=75") ==
        "cuda:0 Fake H200 sm_75, driver 13.0 is too old: Lacuna needs sm_80 or newer");
}

TEST_CASE("cuda: a library that is not there is reported with every place") {
  const Failure got = failure([] { open_cuda(0, "/nowhere/libcuda.so.1"); });
  CHECK(got.kind == ErrorKind::unavailable);
  CHECK(contains(got.text, "/nowhere/libcuda.so.1 is not a usable NVIDIA driver"));
  CHECK(contains(got.text, "Searched:\n  /nowhere/libcuda.so.1: "));
  CHECK_FALSE(contains(got.text, "wsl"));  // a library that was named is wanted
}

TEST_CASE("cuda: the copy that the process has already is used") {
  // The fake is loaded under its soname, as a framework would have loaded the real one.
  seen();
  const Switches none("");
  CHECK(open_cuda()->description() == "cuda:0 Fake H200 sm_90, driver 13.0");
  const CudaProbe probe = probe_cuda();
  CHECK(probe.library == fake_library);
  CHECK(contains(probe.trace, "libcuda.so.1 in this process: loaded from " + fake_library));
}

TEST_CASE("cuda: an artifact that this GPU or driver cannot run") {
  struct Row {
    Format format;
    plan::Arch made;
    int gpu;
    bool runs;
  };
  const Row rows[] = {
      {Format::cubin, {90, 0}, 90, true},     {Format::cubin, {90, 'a'}, 90, true},
      {Format::cubin, {80, 0}, 86, true},     {Format::cubin, {86, 0}, 80, false},
      {Format::cubin, {80, 0}, 90, false},    {Format::cubin, {90, 'a'}, 100, false},
      {Format::cubin, {100, 'f'}, 103, true}, {Format::cubin, {100, 'f'}, 120, false},
      {Format::ptx, {80, 0}, 120, true},      {Format::ptx, {90, 0}, 89, false},
      {Format::ptx, {90, 'a'}, 90, true},     {Format::ptx, {90, 'a'}, 100, false},
      {Format::ptx, {100, 'f'}, 103, true},   {Format::ptx, {100, 'f'}, 120, false},
  };
  for (const Row& row : rows) {
    const Switches set("sm=" + std::to_string(row.gpu));
    const auto device = open();
    Artifact a = artifact();
    a.format = row.format, a.arch = row.made;
    const Failure got = failure([&] { device->load(a); });
    INFO(name_of(row.format) << " of " << row.made.name() << " on sm_" << row.gpu);
    CHECK((got.text == "nothing was thrown") == row.runs);
    if (row.runs) continue;
    CHECK(got.kind == ErrorKind::unsupported);
    CHECK(contains(got.text, "flash was compiled to " + std::string(name_of(row.format)) + " for " +
                                 row.made.name() + ", which does not run on cuda:0 Fake H200 sm_" +
                                 std::to_string(row.gpu)));
  }
}

TEST_CASE("cuda: a cubin of a newer CUDA than the driver's names both versions") {
  const Switches set("driver=12040");
  const auto device = open();
  const Failure got = failure([&] { device->load(artifact()); });
  CHECK(got.kind == ErrorKind::unsupported);
  CHECK(got.text ==
        "flash was compiled by nvrtc 13.0, and the driver supports CUDA 12.4: use an NVRTC 12, or "
        "a driver for CUDA 13 (580 or newer for 13)");
  Artifact older = artifact(), ptx = artifact();
  older.compiler = "nvrtc 12.9";
  ptx.format = Format::ptx;  // the driver is the judge of PTX
  CHECK(device->load(older));
  CHECK(device->load(ptx));
}

TEST_CASE("cuda: too much shared memory names need and limit") {
  const Switches none("");
  Artifact a = artifact();
  a.arch = {80, 0}, a.shared_bytes = 180 * 1024;
  const Failure got = failure([&] { open(1)->load(a); });
  CHECK(got.kind == ErrorKind::unsupported);
  CHECK(got.text == "flash needs 180 KiB of shared memory; sm_89 has 99");
}

TEST_CASE("cuda: a load that fails leaves nothing behind") {
  const Switches none("");
  const auto device = open();
  Artifact bad = artifact();
  bad.payload = "bad";
  Failure got = failure([&] { device->load(bad); });
  CHECK(got.kind == ErrorKind::device);
  CHECK(contains(got.text, "cuLibraryLoadData failed: CUDA_ERROR_NO_BINARY_FOR_GPU"));
  CHECK(contains(got.text, "(cubin of flash for sm_90, made by nvrtc 13.0)"));
  CHECK(got.log == "ptxas fatal: Unresolved extern");
  Artifact absent = artifact();
  absent.entry = "absent";
  got = failure([&] { device->load(absent); });
  CHECK(contains(got.text, "cuda:0: cuLibraryGetKernel failed: CUDA_ERROR_NOT_FOUND"));
  const Switches broken("fail=cuKernelSetAttribute:1");
  got = failure([&] { device->load(artifact()); });
  CHECK(contains(got.text, "cuKernelSetAttribute failed: CUDA_ERROR_INVALID_VALUE"));
  const auto after = seen();
  CHECK(after.libraries == 0);
  CHECK(after.pushed == 0);
  CHECK(after.calls.back() == "cuCtxPopCurrent");
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

TEST_CASE("cuda: doctor's probe never throws and says what open would say") {
  const auto probe = [](const std::string& switches) {
    const Switches set(switches);
    return probe_cuda(fake_library);
  };
  const CudaProbe good = probe("");
  CHECK(good.library == fake_library);
  CHECK(good.driver_version == 13000);
  REQUIRE(good.gpus.size() == 2);
  CHECK(good.gpus[0].name == "Fake H200");
  CHECK(good.gpus[1].arch == plan::Arch{89, 0});
  CHECK(good.gpus[0].memory == std::uint64_t{139} << 30);
  CHECK(good.problem.empty());
  CHECK(contains(good.trace, fake_library));

  const CudaProbe none = probe("no_device");
  CHECK(none.driver_version == 13000);
  CHECK(none.gpus.empty());
  CHECK(contains(none.problem, "CUDA_ERROR_NO_DEVICE"));
  CHECK(probe("driver=11080").driver_version == 11080);
  CHECK(contains(probe("driver=11080").problem, "11.8"));
  const CudaProbe small = probe("sm=75");
  CHECK(small.gpus.size() == 2);
  CHECK(contains(small.problem, "sm_80"));
  CHECK(contains(probe("fail=cuDeviceTotalMem:1").problem, "cuDeviceTotalMem"));
  const CudaProbe missing = probe_cuda("/nowhere/libcuda.so.1");
  CHECK(missing.library.empty());
  CHECK(contains(missing.problem, "/nowhere"));
  CHECK(contains(missing.trace, "/nowhere/libcuda.so.1: "));
}

TEST_CASE("cuda: an error in a forked child says so") {
  const Switches none("");
  const auto device = open();
  const pid_t child = ::fork();
  if (child == 0) {
    const Switches broken("fail=cuMemAlloc:3");
    const Failure got = failure([&] { device->allocate(1); });
    ::_exit(contains(got.text, "forked after the device was opened") ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
}

}  // namespace
}  // namespace lacuna::runtime
