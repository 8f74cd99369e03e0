#pragma once
#include "lacuna/error.hpp"

#include "compiler/plan/arch.h"
#include "runtime/cuda/driver.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace lacuna::runtime::cuda {

/// One GPU as the driver counts them. Reading its facts creates nothing on it. Thread-safe.
class Gpu {
 public:
  /// Throws Error{unavailable} where there is no such GPU.
  Gpu(std::shared_ptr<const Driver> driver, int ordinal);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const Driver& driver() const noexcept { return *driver_; }
  DeviceNumber number() const noexcept { return number_; }
  const std::string& name() const noexcept { return name_; }
  plan::Arch arch() const noexcept { return arch_; }
  std::uint64_t memory() const noexcept { return memory_; }
  int shared_per_block() const noexcept { return shared_per_block_; }
  int multiprocessors() const noexcept { return multiprocessors_; }
  /// "cuda:0 NVIDIA H200 sm_90, driver 13.0"
  std::string description() const;

  /// Calls the driver; what fails throws Error{device} that names call, error and GPU.
  template <class... Parameters, class... Values>
  void call(const EntryPoint<Parameters...>& entry, Values&&... values) const {
    const Result result = entry(std::forward<Values>(values)...);
    if (result != Result::success) fail(entry.name, result);
  }
  /// `subject` ends the sentence: " (kernel f, 3 blocks)".
  [[noreturn]] void fail(const char* call, Result result, const std::string& subject = {}) const;

  /// The context that the runtime API and every framework uses; retained once, at first need.
  Context primary() const;

 private:
  int read(DeviceAttribute attribute) const;

  std::shared_ptr<const Driver> driver_;
  int ordinal_;
  DeviceNumber number_ = 0;
  std::string name_;
  plan::Arch arch_;
  std::uint64_t memory_ = 0;
  int shared_per_block_ = 0, multiprocessors_ = 0;
  int process_;  ///< that opened it: CUDA does not survive a fork
  mutable std::mutex mutex_;
  mutable Context primary_ = nullptr;
};

/// While it lives, a context of the GPU is current on this thread: the one that is, if it is this
/// GPU's (a framework's), else the primary one. A thread that a framework started beside its own
/// has none, or another GPU's.
class CurrentContext {
 public:
  explicit CurrentContext(const Gpu& gpu);
  ~CurrentContext();
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

 private:
  const Gpu& gpu_;
  bool pushed_ = false;
};

/// While it lives, this thread may load and unload though another thread records a graph, which
/// would otherwise break that recording.
class CaptureAllowed {
 public:
  explicit CaptureAllowed(const Driver& driver);
  ~CaptureAllowed();
  CaptureAllowed(const CaptureAllowed&) = delete;
  CaptureAllowed& operator=(const CaptureAllowed&) = delete;

 private:
  const Driver& driver_;
  CaptureMode mode_ = CaptureMode::relaxed;
};

}  // namespace lacuna::runtime::cuda
