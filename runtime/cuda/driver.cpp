#include "runtime/cuda/driver.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>

namespace lacuna::runtime::cuda {
namespace {

/// The soname; libcuda.so without a number is the stub of build machines, which cannot run.
constexpr const char* soname = "libcuda.so.1";
/// Where drivers lie that the loader does not know of: WSL, containers, NixOS.
constexpr std::array elsewhere = {"/usr/lib/wsl/lib/libcuda.so.1",
                                  "/usr/local/nvidia/lib64/libcuda.so.1",
                                  "/run/opengl-driver/lib/libcuda.so.1"};

std::optional<SharedLibrary> search(const std::string& library, SearchTrace& trace) {
  if (!library.empty()) return SharedLibrary::open(library, trace);
  // A framework's copy first: two drivers in one process do not share contexts.
  if (auto found = SharedLibrary::loaded(soname, trace)) return found;
  if (auto found = SharedLibrary::open(soname, trace)) return found;
  for (const char* path : elsewhere) {
    if (auto found = SharedLibrary::open(path, trace)) return found;
  }
  return std::nullopt;
}

}  // namespace

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::shared_ptr<Driver> Driver::find(const std::string& library, SearchTrace& trace) {
  std::optional<SharedLibrary> found = search(library, trace);
  if (!found) {
    throw Error(ErrorKind::unavailable,
                fmt::format("{}; a GPU needs NVIDIA's driver 525 or newer. Searched:\n{}",
                            library.empty() ? "the NVIDIA driver (libcuda.so.1) was not found"
                                            : library + " is not a usable NVIDIA driver",
                            trace.text()),
                {}, trace.text());
  }
  return std::shared_ptr<Driver>(new Driver(std::move(*found)));
}

Driver::Driver(SharedLibrary library) : library_(std::move(library)) {
  const auto read = library_.function<Result(int*)>("cuDriverGetVersion");
  if (const Result result = read(&version_); result != Result::success) {
    throw Error(ErrorKind::unavailable, fmt::format("cuDriverGetVersion of {} failed: error {}",
                                                    path(), static_cast<int>(result)));
  }
}

void Driver::start() {
  if (version_ < minimum_driver) {
    throw Error(ErrorKind::unavailable,
                fmt::format("the NVIDIA driver {} supports CUDA {}, and Lacuna needs {}: install "
                            "driver 525 or newer",
                            path(), version_text(version_), version_text(minimum_driver)));
  }
  resolve();
  if (const Result result = cuInit(0); result != Result::success) {
    throw Error(ErrorKind::unavailable,
                fmt::format("no GPU answers: {} ({}, CUDA {})", failure("cuInit", result), path(),
                            version_text(version_)));
  }
}

/// Through the driver's own look-up: a plain symbol is either the first version of a function,
/// which may be 15 years old, or the newest one that the build machine happened to know.
void Driver::resolve() {
  using Look = Result(const char*, void**, int, std::uint64_t, int*);
  const auto look_up = library_.function<Look>("cuGetProcAddress_v2");
  const auto fill = [&](auto& entry) {
    void* address = nullptr;
    int status = 0;
    const Result result = look_up(entry.name, &address, minimum_driver, 0, &status);
    if (result != Result::success || !address) {
      throw Error(ErrorKind::unavailable,
                  fmt::format("{} (CUDA {}) has no {} of CUDA {}", path(), version_text(version_),
                              entry.name, version_text(minimum_driver)));
    }
    entry.address = reinterpret_cast<decltype(entry.address)>(address);
  };
#define LACUNA_DRIVER(name, ...) fill(name);
#include "runtime/cuda/driver.def"
#undef LACUNA_DRIVER
}

std::string Driver::failure(const char* call, Result result) const {
  const char *name = nullptr, *text = nullptr;
  cuGetErrorName(result, &name);
  cuGetErrorString(result, &text);
  return fmt::format("{} failed: {}, {}", call,
                     name ? name : fmt::format("error {}", static_cast<int>(result)),
                     text ? text : "unknown to this driver");
}

}  // namespace lacuna::runtime::cuda
