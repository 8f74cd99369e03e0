#pragma once
#include "runtime/shared_library.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace lacuna::runtime::cuda {

// The driver's types, declared here because building Lacuna needs no file of CUDA. Enumerations
// name the values that are used; where a cuda.h exists, a test holds all of this against it.
enum class Result : int {
  success = 0,
  out_of_memory = 2,
  not_initialized = 3,
  no_device = 100,
  unsupported_ptx_version = 222,
  stream_capture_implicit = 906,
};
enum class DeviceAttribute : int {
  multiprocessor_count = 16,
  compute_capability_major = 75,
  compute_capability_minor = 76,
  max_shared_memory_per_block_optin = 97,
};
enum class FunctionAttribute : int { max_dynamic_shared_size_bytes = 8 };
enum class JitOption : int { error_log_buffer = 5, error_log_buffer_size_bytes = 6 };
enum class LibraryOption : int {};
enum class CaptureStatus : int { none = 0, active = 1, invalidated = 2 };
enum class CaptureMode : int { global = 0, thread_local_ = 1, relaxed = 2 };

using DeviceNumber = int;
using Address = std::uint64_t;
using Context = struct ContextTag*;
using Library = struct LibraryTag*;
using KernelHandle = struct KernelTag*;
using Function = struct FunctionTag*;
using StreamHandle = struct StreamTag*;
using Event = struct EventTag*;

/// What `extra` of cuLaunchKernel holds: the parameters in one block, as the kernel sees them.
inline void* const param_end = nullptr;
inline void* const param_buffer_pointer = reinterpret_cast<void*>(1);
inline void* const param_buffer_size = reinterpret_cast<void*>(2);

/// The oldest driver that is taken, and the version whose functions are asked for whatever is
/// installed, so that behaviour does not change with the machine.
constexpr int minimum_driver = 12000;

/// A function of the driver with its name, so that no error has to spell it.
template <class... Parameters>
struct EntryPoint {
  const char* name;
  Result (*address)(Parameters...) = nullptr;
  Result operator()(Parameters... values) const noexcept { return address(values...); }
};

/// libcuda, opened and never closed. Immutable once started.
class Driver {
 public:
  /// Opens it and asks its version. Throws Error{unavailable} where it is not found; what was tried
  /// is added to `trace` in any case. `library`: a path, and then nothing else is tried.
  static std::shared_ptr<Driver> find(const std::string& library, SearchTrace& trace);
  /// Everything else here needs this first. Throws Error{unavailable}: too old, incomplete, or no
  /// GPU answers.
  void start();

  /// "cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY, out of memory"
  std::string failure(const char* call, Result result) const;

  int version() const noexcept { return version_; }
  std::string path() const { return library_.path().string(); }

#define LACUNA_DRIVER(name, ...) EntryPoint<__VA_ARGS__> name{#name};
#include "runtime/cuda/driver.def"
#undef LACUNA_DRIVER

 private:
  explicit Driver(SharedLibrary library);
  void resolve();

  SharedLibrary library_;
  int version_ = 0;
};

/// "12.4" for 12040.
std::string version_text(int version);

}  // namespace lacuna::runtime::cuda
