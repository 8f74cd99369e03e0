#include "runtime/host/host_device.h"

#include "lacuna/error.hpp"

#include "runtime/host/check/checker.h"
#include "runtime/host/check/orders.h"
#include "runtime/host/exec/decode.h"
#include "runtime/host/exec/warp.h"
#include "runtime/host/ptx/parser.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>

namespace lacuna::runtime::host {
namespace {

constexpr int max_threads_per_cta = 1024;
constexpr int max_dynamic_shared = 1 << 24;
constexpr std::uint64_t max_blocks = 0x7fffffff;
constexpr std::size_t allocation_alignment = 256;  // as cudaMalloc's
// The same on every machine, so that the same call takes the same route; few, so that small calls
// are split.
constexpr int usual_multiprocessors = 16;

class HostKernel final : public Kernel {
 public:
  HostKernel(Program program, const Artifact& artifact, const HostOptions& options)
      : program_(std::move(program)),
        options_(options),
        entry_(artifact.entry),
        threads_(artifact.threads),
        dynamic_shared_(static_cast<std::uint32_t>(artifact.shared_bytes)) {
    for (std::size_t i = 0; i < program_.statics.size(); ++i) {
      const Static& variable = program_.statics[i];
      std::vector<std::byte>& memory = statics_.emplace_back(variable.bytes);
      if (!variable.initial.empty())
        std::memcpy(memory.data(), variable.initial.data(), variable.initial.size());
      static_spans_.push_back({(first_variable + 1 + i) << region_shift, variable.bytes,
                               memory.data(), variable.writable});
    }
  }

  void launch(const Launch& launch) const override { launch_counted(launch); }

  Statistics launch_counted(const Launch& launch) const {
    if (launch.blocks < 1 || launch.blocks > max_blocks)
      throw Error(ErrorKind::argument,
                  fmt::format("kernel '{}': a grid of {} blocks; the limit is {}", entry_,
                              launch.blocks, max_blocks));
    if (launch.params.size() != program_.param_bytes)
      throw Error(ErrorKind::argument,
                  fmt::format("kernel '{}' takes {} parameter bytes, not {}", entry_,
                              program_.param_bytes, launch.params.size()));
    LaunchState state{.program = &program_,
                      .request = &launch,
                      .statics = static_spans_,
                      .dynamic_shared = launch.shared_bytes
                                            ? static_cast<std::uint32_t>(*launch.shared_bytes)
                                            : dynamic_shared_,
                      .threads = threads_,
                      .instruction_limit = options_.instruction_limit,
                      .observe = options_.observe,
                      .seed = options_.seed};
    place_regions(state);
    if (!options_.every_order) return launch_once(state);
    return run_in_every_order(state, options_.checks, [&] { return launch_once(state); });
  }

 private:
  Statistics launch_once(const LaunchState& state) const {
    const int threads = static_cast<int>(std::min<std::uint64_t>(
        static_cast<std::uint64_t>(options_.threads), state.request->blocks));
    std::vector<std::unique_ptr<Workspace>> workspaces = take_workspaces();
    const Statistics result = execute_all(state, workspaces, threads);
    keep_workspaces(std::move(workspaces));
    return result;
  }

  std::vector<std::unique_ptr<Workspace>> take_workspaces() const {
    const std::lock_guard lock(mutex_);
    return std::move(idle_);
  }
  void keep_workspaces(std::vector<std::unique_ptr<Workspace>> workspaces) const {
    const std::lock_guard lock(mutex_);
    if (workspaces.size() > idle_.size()) idle_ = std::move(workspaces);
  }

  Program program_;
  HostOptions options_;
  std::string entry_;
  int threads_;
  std::uint32_t dynamic_shared_;
  std::vector<std::vector<std::byte>>
      statics_;  ///< module variables live as long as the module, as on a GPU
  std::vector<RegionSpan> static_spans_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

const ptx::Function& find_entry(const ptx::Module& module, const std::string& name) {
  std::string known;
  for (const ptx::Function& function : module.functions) {
    if (!function.entry || !function.defined) continue;
    if (function.name == name) return function;
    known += fmt::format("{}'{}'", known.empty() ? "" : ", ", function.name);
  }
  throw Error(ErrorKind::device, fmt::format("the PTX has no kernel '{}'; it has {}", name,
                                             known.empty() ? "none" : known));
}

std::uint64_t product(const std::array<std::uint32_t, 3>& extents) {
  return std::uint64_t{extents[0]} * extents[1] * extents[2];
}

/// An artifact and its PTX must tell the same story.
void check_facts(const Artifact& artifact, const ptx::Function& entry, const Program& program) {
  const auto threads = static_cast<std::uint64_t>(artifact.threads);
  if (artifact.threads < 1 || artifact.threads > max_threads_per_cta)
    throw Error(ErrorKind::device,
                fmt::format("kernel '{}' is to run with {} threads a CTA; the limit is {}",
                            artifact.entry, artifact.threads, max_threads_per_cta));
  if (const std::uint64_t most = product(entry.max_threads); most != 0 && threads > most)
    throw Error(ErrorKind::device,
                fmt::format("kernel '{}' is to run with {} threads a CTA; its PTX allows {}",
                            artifact.entry, threads, most));
  if (const std::uint64_t required = product(entry.required_threads);
      required != 0 && threads != required)
    throw Error(ErrorKind::device,
                fmt::format("kernel '{}' is to run with {} threads a CTA; its PTX requires {}",
                            artifact.entry, threads, required));
  if (artifact.param_bytes < 0 ||
      static_cast<std::uint32_t>(artifact.param_bytes) != program.param_bytes)
    throw Error(ErrorKind::device,
                fmt::format("kernel '{}' is to take {} parameter bytes; its PTX takes {}",
                            artifact.entry, artifact.param_bytes, program.param_bytes));
  if (artifact.shared_bytes < 0 || artifact.shared_bytes > max_dynamic_shared)
    throw Error(
        ErrorKind::device,
        fmt::format("kernel '{}' is to have {} bytes of dynamic shared memory; the limit is {}",
                    artifact.entry, artifact.shared_bytes, max_dynamic_shared));
}

class HostDevice final : public Device {
 public:
  explicit HostDevice(const HostOptions& options) : options_(options) {}

  DeviceKind kind() const override { return DeviceKind::host; }
  std::string description() const override {
    return fmt::format("host: {} thread{}, PTX executor ({}){}", options_.threads,
                       options_.threads == 1 ? "" : "s", name_of(options_.isa),
                       options_.checks.any() ? ", checking memory" : "");
  }
  plan::Arch arch() const override { return {}; }
  int multiprocessors() const override { return usual_multiprocessors; }
  Format format() const override { return Format::ptx; }

  std::shared_ptr<const Kernel> load(const Artifact& artifact) const override {
    if (artifact.format != Format::ptx)
      throw Error(ErrorKind::unsupported,
                  fmt::format("the host device executes PTX; kernel '{}' is a {}", artifact.entry,
                              runtime::name_of(artifact.format)));
    auto module = std::make_shared<const ptx::Module>(ptx::parse(artifact.payload));
    const ptx::Function& entry = find_entry(*module, artifact.entry);
    Program program = decode(module, entry, table(options_.isa), options_.contract);
    check_facts(artifact, entry, program);
    if (options_.observe || options_.seed != 0 || options_.every_order)
      watch(program, table(options_.isa));
    return std::make_shared<HostKernel>(std::move(program), artifact, options_);
  }

  void* allocate(std::size_t bytes) const override {
    return ::operator new (std::max<std::size_t>(bytes, 1), std::align_val_t{allocation_alignment});
  }
  void release(void* memory) const noexcept override {
    ::operator delete (memory, std::align_val_t{allocation_alignment});
  }
  void clear(void* memory, std::size_t bytes, Stream) const override {
    std::memset(memory, 0, bytes);
  }
  void upload(void* to, const void* from, std::size_t bytes) const override {
    copy(to, from, bytes);
  }
  void download(void* to, const void* from, std::size_t bytes) const override {
    copy(to, from, bytes);
  }
  void synchronize(Stream) const override {}
  double time(const std::function<void(Stream)>& work) const override {
    const auto start = std::chrono::steady_clock::now();
    work({});
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
        .count();
  }

 private:
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }

  HostOptions options_;
};

}  // namespace

std::shared_ptr<const Device> open_host(const HostOptions& options) {
  HostOptions resolved = options;
  if (options.threads < 0)
    throw Error(ErrorKind::argument,
                fmt::format("the host device cannot have {} threads", options.threads));
  if (options.isa > best_isa())
    throw Error(ErrorKind::unavailable, fmt::format("this processor has no {}; its best is {}",
                                                    name_of(options.isa), name_of(best_isa())));
  if (options.checks.any() && options.observe)
    throw Error(ErrorKind::argument, "a host device makes its checks or has an observer, not both");
  if (options.checks.any()) resolved.observe = make_checker(options.checks);
  if (resolved.threads == 0)
    resolved.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  return std::make_shared<HostDevice>(resolved);
}

Statistics launch_counted(const Kernel& kernel, const Launch& launch) {
  const auto* own = dynamic_cast<const HostKernel*>(&kernel);
  if (own == nullptr)
    throw Error(ErrorKind::argument, "the kernel was not loaded by the host device");
  return own->launch_counted(launch);
}

}  // namespace lacuna::runtime::host

namespace lacuna::runtime {

std::shared_ptr<const Device> open_host(int threads, bool check_memory) {
  host::HostOptions options{.threads = threads};
  if (check_memory) options.checks = host::Checks::all();
  options.every_order = check_memory;
  return host::open_host(options);
}

}  // namespace lacuna::runtime
