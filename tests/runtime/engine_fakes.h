#pragma once
#include "runtime/engine.h"
#include "templates/abi.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lacuna::test {

/// A launch as the device was given it; the block of parameters is a copy.
struct Launched {
  std::uint64_t blocks;
  std::vector<std::byte> params;
  std::vector<runtime::AddressSlot> slots;
  std::vector<runtime::Region> regions;
  std::string source, entry;

  template <typename T>
  T at(std::size_t byte) const {
    T value;
    std::memcpy(&value, params.data() + byte, sizeof value);
    return value;
  }
  CallArg call() const { return at<CallArg>(0); }
  const runtime::Region* region(std::string_view name) const {
    for (const runtime::Region& region : regions)
      if (region.name == name) return &region;
    return nullptr;
  }
};

/// Memory that was cleared, before which launch.
struct Cleared {
  void* memory;
  std::size_t bytes, before_launch;
};

/// Launches nothing and remembers everything.
class FakeDevice : public runtime::Device {
 public:
  explicit FakeDevice(DeviceKind kind = DeviceKind::cuda) : kind_(kind) {}

  DeviceKind kind() const override { return kind_; }
  std::string description() const override { return "fake"; }
  plan::Arch arch() const override { return {90}; }
  runtime::Format format() const override { return runtime::Format::cubin; }
  void require_no_capture(Stream) const override {
    if (capturing) throw Error(ErrorKind::device, "not warmed up");
  }
  std::shared_ptr<const runtime::Kernel> load(const runtime::Artifact& artifact) const override {
    ++loads;
    return std::make_shared<FakeKernel>(*this, artifact.source, artifact.entry);
  }
  void* allocate(std::size_t bytes) const override {
    ++allocations;
    ++allocated;
    return std::malloc(bytes);
  }
  void release(void* memory) const noexcept override {
    --allocations;
    std::free(memory);
  }
  void clear(void* memory, std::size_t bytes, Stream) const override {
    std::memset(memory, 0, bytes);
    std::lock_guard lock(mutex);
    cleared.push_back({memory, bytes, launches.size()});
  }
  void upload(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  void download(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  void synchronize(Stream) const override {}
  double time(const std::function<void(Stream)>&) const override { return 0; }

  mutable std::atomic<int> loads = 0, allocations = 0, brought = 0;
  mutable std::atomic<int> allocated = 0;  ///< also what was released
  std::atomic<bool> capturing = false;
  Report found{};  ///< what a kernel with checks leaves behind
  mutable std::mutex mutex;
  mutable std::vector<Launched> launches;
  mutable std::vector<Cleared> cleared;

 private:
  class FakeKernel : public runtime::Kernel {
   public:
    FakeKernel(const FakeDevice& device, std::string source, std::string entry)
        : device_(device), source_(std::move(source)), entry_(std::move(entry)) {}
    void launch(const runtime::Launch& l) const override {
      std::lock_guard lock(device_.mutex);
      device_.launches.push_back({l.blocks,
                                  {l.params.begin(), l.params.end()},
                                  {l.slots.begin(), l.slots.end()},
                                  {l.regions.begin(), l.regions.end()},
                                  source_,
                                  entry_});
      if (auto* report = reinterpret_cast<void*>(device_.launches.back().call().report))
        std::memcpy(report, &device_.found, sizeof device_.found);
    }
    void bring() const override { ++device_.brought; }

   private:
    const FakeDevice& device_;
    std::string source_, entry_;
  };

  DeviceKind kind_;
};

/// Takes its time, and fails as often as it is told to.
class FakeCompiler : public runtime::Compiler {
 public:
  std::string_view name() const override { return "nvrtc"; }
  std::string identity() const override { return "fake 1.0"; }
  std::string options(const codegen::Source&, const runtime::CompileOptions&) const override {
    return "-fake";
  }
  runtime::Artifact compile(const codegen::Source& source,
                            const runtime::CompileOptions& options) const override {
    ++compiles;
    std::this_thread::sleep_for(delay);
    if (failures > 0 && failures-- > 0) throw Error(ErrorKind::compilation, "fake failure");
    runtime::Artifact artifact;
    artifact.format = options.format;
    artifact.payload = std::string(payload_bytes, 'c');
    artifact.entry = source.entry;
    artifact.arch = options.arch;
    artifact.threads = source.threads;
    artifact.param_bytes = source.param_bytes;
    artifact.compiler = identity();
    artifact.source = source.text;
    if (spills) artifact.spill_stores = artifact.spill_loads = spills(source.text);
    return artifact;
  }

  mutable std::atomic<int> compiles = 0, failures = 0;
  std::chrono::milliseconds delay{0};
  std::size_t payload_bytes = 5;
  std::function<int(const std::string&)> spills;  ///< bytes that a source's code spills
};

/// An engine over fakes that stay within reach.
struct FakeEngine {
  explicit FakeEngine(const EngineOptions& options = {}, DeviceKind kind = DeviceKind::cuda)
      : device(std::make_shared<FakeDevice>(kind)),
        compiler(std::make_shared<FakeCompiler>()),
        engine(runtime::make_engine(options, device, compiler)) {}

  std::shared_ptr<FakeDevice> device;
  std::shared_ptr<FakeCompiler> compiler;
  Engine engine;
};

}  // namespace lacuna::test
