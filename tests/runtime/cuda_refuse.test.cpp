// What the cuda device says where it cannot, against the fake driver of fake_cuda.cpp.
#include "tests/catch.h"
#include "tests/runtime/cuda_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

namespace lacuna::runtime {
namespace {

using namespace fake;

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
