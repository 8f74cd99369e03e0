#include "runtime/engine.h"

#include <fmt/format.h>

namespace lacuna::runtime {
namespace {

std::shared_ptr<const Device> open_device(const EngineOptions& options) {
  if (options.check_memory && options.device == DeviceKind::cuda)
    throw Error(ErrorKind::argument,
                "memory is checked on the host device alone, not on cuda; there, run NVIDIA's "
                "compute-sanitizer");
  if (options.device == DeviceKind::host || options.check_memory)
    return open_host(options.threads, options.check_memory);
  if (options.device == DeviceKind::cuda) return open_cuda(options.ordinal);
  try {
    return open_cuda(options.ordinal);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    if (options.log) options.log(fmt::format("device host, for no GPU answers: {}", error.what()));
    return open_host(options.threads);
  }
}

/// NVRTC, or clang with a notice where nobody named a libnvrtc and none is found.
std::shared_ptr<const Compiler> open_usual_compiler(const EngineOptions& options,
                                                    const Device& device, std::string& notice) {
  try {
    return open_nvrtc(options.nvrtc_library, device.driver_version());
  } catch (const Error& missing) {
    if (missing.kind() != ErrorKind::unavailable || !options.nvrtc_library.empty()) throw;
    notice = " (NVRTC was not found)";
    if (options.log)
      options.log(fmt::format("compiler llvm, for NVRTC is missing: {}", missing.what()));
    try {
      return open_llvm(options.llvm_library);
    } catch (const Error& also) {
      throw Error(also.kind(), fmt::format("{}; and {}", missing.what(), also.what()));
    }
  }
}

std::shared_ptr<const Compiler> open_compiler(const EngineOptions& options, const Device& device,
                                              Pairing pairing, std::string& notice) {
  bool host = device.kind() == DeviceKind::host;
  CompilerKind kind = options.compiler;
  if (kind == CompilerKind::llvm || (kind == CompilerKind::automatic && host))
    return open_llvm(options.llvm_library);
  if (kind == CompilerKind::automatic) return open_usual_compiler(options, device, notice);
  if (host && !pairing.nvrtc_on_host)
    throw Error(ErrorKind::unsupported,
                "the host device does not take NVRTC's output, for NVIDIA's licence ties it to "
                "systems with NVIDIA GPUs; use the llvm compiler");
  return open_nvrtc(options.nvrtc_library, device.driver_version());
}

}  // namespace

std::shared_ptr<EngineState> open_engine(const EngineOptions& options, Pairing pairing) {
  std::shared_ptr<const Device> device = open_device(options);
  std::string notice;
  std::shared_ptr<const Compiler> compiler = open_compiler(options, *device, pairing, notice);
  return make_engine(options, std::move(device), std::move(compiler), std::move(notice),
                     pairing.unchecked);
}

std::shared_ptr<EngineState> make_engine(const EngineOptions& options,
                                         std::shared_ptr<const Device> device,
                                         std::shared_ptr<const Compiler> compiler,
                                         std::string notice, bool unchecked) {
  const bool checked = device->kind() == DeviceKind::host || options.validate;
  return std::shared_ptr<EngineState>(
      new EngineState{.options = options,
                      .device = std::move(device),
                      .compiler = std::move(compiler),
                      .notice = std::move(notice),
                      .checked = checked && !unchecked,
                      .disk = DiskCache({.dir = options.cache_dir,
                                         .shared_dirs = options.shared_cache_dirs,
                                         .max_bytes = options.cache_bytes,
                                         .log = options.log})});
}

}  // namespace lacuna::runtime
