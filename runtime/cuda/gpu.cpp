#include "runtime/cuda/gpu.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

namespace lacuna::runtime::cuda {

Gpu::Gpu(std::shared_ptr<const Driver> driver, int ordinal)
    : driver_(std::move(driver)), ordinal_(ordinal), process_(::getpid()) {
  int count = 0;
  call(driver_->cuDeviceGetCount, &count);
  if (ordinal < 0 || ordinal >= count) {
    throw Error(ErrorKind::unavailable,
                fmt::format("there is no cuda:{}: {} GPU{} answer{}", ordinal, count,
                            count == 1 ? "" : "s", count == 1 ? "s" : ""));
  }
  call(driver_->cuDeviceGet, &number_, ordinal);
  std::array<char, 256> name{};
  call(driver_->cuDeviceGetName, name.data(), static_cast<int>(name.size()) - 1, number_);
  name_ = name.data();
  arch_.sm = read(DeviceAttribute::compute_capability_major) * 10 +
             read(DeviceAttribute::compute_capability_minor);
  shared_per_block_ = read(DeviceAttribute::max_shared_memory_per_block_optin);
  multiprocessors_ = read(DeviceAttribute::multiprocessor_count);
  std::size_t bytes = 0;
  call(driver_->cuDeviceTotalMem, &bytes, number_);
  memory_ = bytes;
}

Gpu::~Gpu() {
  // At the end of a process the driver may be gone already, which is as good as released.
  if (primary_) driver_->cuDevicePrimaryCtxRelease(number_);
}

std::string Gpu::description() const {
  return fmt::format("cuda:{} {} {}, driver {}", ordinal_, name_, arch_.name(),
                     version_text(driver_->version()));
}

int Gpu::read(DeviceAttribute attribute) const {
  int value = 0;
  call(driver_->cuDeviceGetAttribute, &value, attribute, number_);
  return value;
}

void Gpu::fail(const char* call, Result result, const std::string& subject) const {
  const bool forked = ::getpid() != process_;
  throw Error(ErrorKind::device,
              fmt::format("cuda:{}: {}{}{}", ordinal_, driver_->failure(call, result), subject,
                          forked ? "; the process was forked after the device was opened, and CUDA "
                                   "does not survive that"
                                 : ""));
}

Context Gpu::primary() const {
  const std::lock_guard lock(mutex_);
  if (!primary_) call(driver_->cuDevicePrimaryCtxRetain, &primary_, number_);
  return primary_;
}

CurrentContext::CurrentContext(const Gpu& gpu) : gpu_(gpu) {
  const Driver& driver = gpu.driver();
  Context current = nullptr;
  gpu.call(driver.cuCtxGetCurrent, &current);
  if (current) {
    DeviceNumber number = -1;
    gpu.call(driver.cuCtxGetDevice, &number);
    if (number == gpu.number()) return;
  }
  gpu.call(driver.cuCtxPushCurrent, gpu.primary());
  pushed_ = true;
}

CurrentContext::~CurrentContext() {
  Context popped = nullptr;
  if (pushed_) gpu_.driver().cuCtxPopCurrent(&popped);
}

CaptureAllowed::CaptureAllowed(const Driver& driver) : driver_(driver) {
  driver_.cuThreadExchangeStreamCaptureMode(&mode_);
}

CaptureAllowed::~CaptureAllowed() {
  driver_.cuThreadExchangeStreamCaptureMode(&mode_);
}

}  // namespace lacuna::runtime::cuda
