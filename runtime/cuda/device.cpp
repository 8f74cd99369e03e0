#include "runtime/device.h"

#include "runtime/cuda/gpu.h"
#include "runtime/cuda/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

namespace lacuna::runtime {
namespace cuda {
namespace {

/// Generated code is written for this and later.
constexpr int minimum_sm = 80;

class OwnedEvent {
 public:
  explicit OwnedEvent(const Gpu& gpu) : gpu_(gpu) {
    gpu.call(gpu.driver().cuEventCreate, &handle_, 0u);
  }
  ~OwnedEvent() { gpu_.driver().cuEventDestroy(handle_); }
  OwnedEvent(const OwnedEvent&) = delete;
  OwnedEvent& operator=(const OwnedEvent&) = delete;
  Event handle() const noexcept { return handle_; }

 private:
  const Gpu& gpu_;
  Event handle_ = nullptr;
};

Address address(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory);
}
StreamHandle handle(Stream stream) {
  return static_cast<StreamHandle>(stream.handle);
}

class CudaDevice : public Device {
 public:
  explicit CudaDevice(std::shared_ptr<const Gpu> gpu) : gpu_(std::move(gpu)) {}

  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string description() const override { return gpu_->description(); }
  plan::Arch arch() const override { return gpu_->arch(); }
  int multiprocessors() const override { return gpu_->multiprocessors(); }
  Format format() const override { return Format::cubin; }
  int driver_version() const override { return driver().version(); }
  std::shared_ptr<const Kernel> load(const Artifact& artifact) const override {
    return cuda::load(gpu_, artifact);
  }

  void require_no_capture(Stream stream) const override {
    const CurrentContext current(*gpu_);
    CaptureStatus status = CaptureStatus::none;
    const Result result = driver().cuStreamIsCapturing(handle(stream), &status);
    // The legacy default stream answers so while any other stream of its context records.
    const bool elsewhere = result == Result::stream_capture_implicit;
    if (result != Result::success && !elsewhere) gpu_->fail("cuStreamIsCapturing", result);
    if (!elsewhere && status == CaptureStatus::none) return;
    throw Error(ErrorKind::device,
                "not warmed up: a CUDA graph is being captured on the stream, and nothing can be "
                "compiled or loaded meanwhile; call prepare() before capture");
  }

  void* allocate(std::size_t bytes) const override {
    const CurrentContext current(*gpu_);
    Address memory = 0;
    const auto& entry = driver().cuMemAlloc;
    const Result result = entry(&memory, std::max<std::size_t>(bytes, 1));
    if (result != Result::success)
      gpu_->fail(entry.name, result, fmt::format(" ({} bytes)", bytes));
    return reinterpret_cast<void*>(memory);
  }
  void release(void* memory) const noexcept override {
    if (!memory) return;
    try {
      const CurrentContext current(*gpu_);
      driver().cuMemFree(address(memory));
    } catch (const Error&) {
      // The context is gone, and the memory with it.
    }
  }
  void* allocate_ordered(std::size_t bytes, Stream stream) const override {
    const CurrentContext current(*gpu_);
    Address memory = 0;
    const auto& entry = driver().cuMemAllocAsync;
    const Result result = entry(&memory, std::max<std::size_t>(bytes, 1), handle(stream));
    if (result != Result::success)
      gpu_->fail(entry.name, result, fmt::format(" ({} bytes of workspace)", bytes));
    return reinterpret_cast<void*>(memory);
  }
  void release_ordered(void* memory, Stream stream) const noexcept override {
    try {
      const CurrentContext current(*gpu_);
      driver().cuMemFreeAsync(address(memory), handle(stream));
    } catch (const Error&) {
      // As in release.
    }
  }
  void clear(void* memory, std::size_t bytes, Stream stream) const override {
    const CurrentContext current(*gpu_);
    gpu_->call(driver().cuMemsetD8Async, address(memory), static_cast<unsigned char>(0), bytes,
               handle(stream));
  }
  void upload(void* to, const void* from, std::size_t bytes) const override {
    if (bytes == 0) return;
    const CurrentContext current(*gpu_);
    gpu_->call(driver().cuMemcpyHtoD, address(to), from, bytes);
  }
  void download(void* to, const void* from, std::size_t bytes) const override {
    if (bytes == 0) return;
    const CurrentContext current(*gpu_);
    gpu_->call(driver().cuMemcpyDtoH, to, address(from), bytes);
  }
  void synchronize(Stream stream) const override {
    const CurrentContext current(*gpu_);
    gpu_->call(driver().cuStreamSynchronize, handle(stream));
  }
  double time(const std::function<void(Stream)>& work) const override {
    const CurrentContext current(*gpu_);
    const OwnedEvent start(*gpu_), stop(*gpu_);
    gpu_->call(driver().cuEventRecord, start.handle(), nullptr);
    work(Stream{});
    gpu_->call(driver().cuEventRecord, stop.handle(), nullptr);
    gpu_->call(driver().cuEventSynchronize, stop.handle());
    float milliseconds = 0;
    gpu_->call(driver().cuEventElapsedTime, &milliseconds, start.handle(), stop.handle());
    return milliseconds;
  }

 private:
  const Driver& driver() const noexcept { return gpu_->driver(); }

  std::shared_ptr<const Gpu> gpu_;
};

void require_supported(const Gpu& gpu) {
  if (gpu.arch().sm >= minimum_sm) return;
  throw Error(ErrorKind::unavailable, fmt::format("{} is too old: Lacuna needs sm_{} or newer",
                                                  gpu.description(), minimum_sm));
}

void fill(CudaProbe& probe, const std::string& library, SearchTrace& trace) {
  const std::shared_ptr<Driver> driver = Driver::find(library, trace);
  probe.library = driver->path();
  probe.driver_version = driver->version();
  driver->start();
  int count = 0;
  driver->cuDeviceGetCount(&count);
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    const Gpu gpu(driver, ordinal);
    probe.gpus.push_back({gpu.name(), gpu.arch(), gpu.memory()});
  }
  require_supported(Gpu(driver, 0));
}

}  // namespace
}  // namespace cuda

std::shared_ptr<const Device> open_cuda(int ordinal, const std::string& library) {
  SearchTrace trace;
  const std::shared_ptr<cuda::Driver> driver = cuda::Driver::find(library, trace);
  driver->start();
  auto gpu = std::make_shared<const cuda::Gpu>(driver, ordinal);
  cuda::require_supported(*gpu);
  return std::make_shared<cuda::CudaDevice>(std::move(gpu));
}

CudaProbe probe_cuda(const std::string& library) noexcept {
  CudaProbe probe;
  SearchTrace trace;
  try {
    cuda::fill(probe, library, trace);
  } catch (const std::exception& error) {
    probe.problem = error.what();
  }
  probe.trace = trace.text();
  return probe;
}

}  // namespace lacuna::runtime
