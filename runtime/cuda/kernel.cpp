#include "runtime/cuda/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string_view>

namespace lacuna::runtime::cuda {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::unsupported, why);
}

/// A cubin runs on later minors of its major, PTX on everything later; 'a' and 'f' bind closer.
bool runs_on(const Artifact& artifact, plan::Arch gpu) {
  const plan::Arch made = artifact.arch;
  if (made.suffix == 'a') return gpu.sm == made.sm;
  const bool same_major = gpu.sm / 10 == made.sm / 10;
  return gpu.sm >= made.sm && (same_major || (artifact.format == Format::ptx && !made.suffix));
}

/// The CUDA major whose NVRTC made it; 0 where the compiler's name does not tell.
int cuda_major(std::string_view compiler) {
  constexpr std::string_view nvrtc = "nvrtc ";
  int major = 0;
  if (compiler.starts_with(nvrtc)) {
    std::from_chars(compiler.data() + nvrtc.size(), compiler.data() + compiler.size(), major);
  }
  return major;
}

/// What the driver would answer with "no binary for GPU" or "invalid value", in our words.
void check_fits(const Gpu& gpu, const Artifact& artifact) {
  const int driver = gpu.driver().version();
  if (!runs_on(artifact, gpu.arch())) {
    refuse(fmt::format("{} was compiled to {} for {}, which does not run on {}", artifact.entry,
                       name_of(artifact.format), artifact.arch.name(), gpu.description()));
  }
  if (artifact.format == Format::cubin && cuda_major(artifact.compiler) > driver / 1000) {
    refuse(fmt::format(
        "{} was compiled by {}, and the driver supports CUDA {}: use an NVRTC {}, or a driver for "
        "CUDA {} (580 or newer for 13)",
        artifact.entry, artifact.compiler, version_text(driver), driver / 1000,
        cuda_major(artifact.compiler)));
  }
  if (artifact.shared_bytes > gpu.shared_per_block()) {
    refuse(fmt::format("{} needs {} KiB of shared memory; {} has {}", artifact.entry,
                       (artifact.shared_bytes + 1023) / 1024, gpu.arch().name(),
                       gpu.shared_per_block() / 1024));
  }
}

class LoadedLibrary {
 public:
  LoadedLibrary(std::shared_ptr<const Gpu> gpu, const Artifact& artifact);
  ~LoadedLibrary() {
    const CaptureAllowed allowed(gpu_->driver());
    gpu_->driver().cuLibraryUnload(handle_);
  }
  LoadedLibrary(const LoadedLibrary&) = delete;
  LoadedLibrary& operator=(const LoadedLibrary&) = delete;

  const Gpu& gpu() const noexcept { return *gpu_; }
  Library handle() const noexcept { return handle_; }

 private:
  std::shared_ptr<const Gpu> gpu_;
  Library handle_ = nullptr;
};

LoadedLibrary::LoadedLibrary(std::shared_ptr<const Gpu> gpu, const Artifact& artifact)
    : gpu_(std::move(gpu)) {
  std::string log(8192, '\0');
  std::array options = {JitOption::error_log_buffer, JitOption::error_log_buffer_size_bytes};
  std::array<void*, 2> values = {log.data(), reinterpret_cast<void*>(log.size() - 1)};
  const auto& load = gpu_->driver().cuLibraryLoadData;
  const Result result = load(&handle_, artifact.payload.c_str(), options.data(), values.data(),
                             options.size(), nullptr, nullptr, 0);
  if (result == Result::success) return;
  log.resize(log.find('\0'));
  throw Error(ErrorKind::device,
              fmt::format("{}: {} ({} of {} for {}, made by {})", gpu_->description(),
                          gpu_->driver().failure(load.name, result), name_of(artifact.format),
                          artifact.entry, artifact.arch.name(), artifact.compiler),
              {}, log);
}

class CudaKernel : public Kernel {
 public:
  CudaKernel(std::shared_ptr<const Gpu> gpu, const Artifact& artifact)
      : library_(std::move(gpu), artifact),
        entry_(artifact.entry),
        threads_(static_cast<unsigned>(artifact.threads)),
        shared_bytes_(static_cast<unsigned>(artifact.shared_bytes)),
        param_bytes_(static_cast<std::size_t>(artifact.param_bytes)) {
    const Gpu& on = library_.gpu();
    on.call(on.driver().cuLibraryGetKernel, &handle_, library_.handle(), entry_.c_str());
    on.call(on.driver().cuKernelSetAttribute, FunctionAttribute::max_dynamic_shared_size_bytes,
            artifact.shared_bytes, handle_, on.number());
    load_now();
  }

  void bring() const override {
    const CurrentContext current(library_.gpu());
    const CaptureAllowed allowed(library_.gpu().driver());
    load_now();
  }

  void launch(const Launch& launch) const override {
    check(launch);
    const Gpu& on = library_.gpu();
    const CurrentContext current(on);
    std::size_t bytes = launch.params.size();
    void* extra[] = {param_buffer_pointer, const_cast<std::byte*>(launch.params.data()),
                     param_buffer_size, &bytes, param_end};
    // The driver takes a kernel in place of a function, and then finds the function of whichever
    // context is current: a framework's own one is as good as the primary one.
    const auto& entry = on.driver().cuLaunchKernel;
    const unsigned shared =
        launch.shared_bytes ? static_cast<unsigned>(*launch.shared_bytes) : shared_bytes_;
    const Result result = entry(reinterpret_cast<Function>(handle_),
                                static_cast<unsigned>(launch.blocks), 1, 1, threads_, 1, 1, shared,
                                static_cast<StreamHandle>(launch.stream.handle), nullptr, extra);
    if (result == Result::success) return;
    on.fail(entry.name, result,
            fmt::format(" (kernel {}, {} blocks of {} threads, {} bytes of shared memory)", entry_,
                        launch.blocks, threads_, shared));
  }

 private:
  /// The driver loads lazily, into each context; asking for the function of the current one brings
  /// the code onto the GPU now.
  void load_now() const {
    const Gpu& on = library_.gpu();
    Function now = nullptr;
    on.call(on.driver().cuKernelGetFunction, &now, handle_);
  }
  void check(const Launch& launch) const {
    constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();
    if (launch.blocks < 1 || launch.blocks > most) {
      throw Error(ErrorKind::device,
                  fmt::format("{}: a grid of {} blocks, and 1 to {} are possible", entry_,
                              launch.blocks, most));
    }
    if (launch.params.size() != param_bytes_) {
      throw Error(ErrorKind::device, fmt::format("{}: {} bytes of parameters, and it takes {}",
                                                 entry_, launch.params.size(), param_bytes_));
    }
  }

  LoadedLibrary library_;
  std::string entry_;
  unsigned threads_, shared_bytes_;
  std::size_t param_bytes_;
  KernelHandle handle_ = nullptr;
};

}  // namespace

std::shared_ptr<const Kernel> load(std::shared_ptr<const Gpu> gpu, const Artifact& artifact) {
  check_fits(*gpu, artifact);
  const CurrentContext current(*gpu);
  const CaptureAllowed allowed(gpu->driver());
  return std::make_shared<CudaKernel>(gpu, artifact);
}

}  // namespace lacuna::runtime::cuda
