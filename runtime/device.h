#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lacuna/engine.hpp"
#include "lacuna/tensor.hpp"
#include "runtime/artifact.h"

namespace lacuna::runtime {

/// A tensor that a launch may touch, by name, for addressing and for reports ("k[0,3,17,5]").
struct Region {
  std::string_view name;
  TensorView view;
  bool writable = false;
};

/// Where in the parameter block the address of a region's first element stands (8 bytes).
struct AddressSlot {
  std::uint32_t byte = 0;
  std::uint32_t region = 0;
};

/// One launch of a one-dimensional grid. `params` already holds the regions' real addresses; the host device replaces
/// them, at the slots, by addresses of its own in which every region is isolated from all others.
struct Launch {
  std::uint64_t blocks = 0;  ///< 1 .. 2^31-1
  std::span<const std::byte> params;
  std::span<const AddressSlot> slots;
  std::span<const Region> regions;
  Stream stream;
  std::optional<int> shared_bytes = {};  ///< dynamic shared memory, where less than the artifact's
};

/// A loaded artifact. Thread-safe.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Throws Error{device}. The host device has finished when it returns.
  virtual void launch(const Launch& launch) const = 0;
  /// Brings the code to where the calling thread launches, which else its first launch does.
  virtual void bring() const {}
};

/// One implementation in runtime/cuda, one in runtime/host. Thread-safe.
class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceKind kind() const = 0;
  virtual std::string description() const = 0;  ///< "cuda:0 NVIDIA H200 sm_90, driver 13.0" or "host: 2 threads, PTX executor"
  virtual plan::Arch arch() const = 0;          ///< what to compile for
  virtual int multiprocessors() const { return 0; }  ///< that CTAs are spread over; 0: as many as its architecture's usual GPU
  virtual Format format() const = 0;            ///< what load prefers: cubin on cuda, ptx on host
  virtual int driver_version() const { return 0; }  ///< newest CUDA it runs, 13000 for 13.0; 0: no driver
  /// Throws Error{device}, "not warmed up", while the stream records a graph: to be asked before anything is compiled,
  /// loaded or allocated for a launch on it, which would break the caller's capture.
  virtual void require_no_capture(Stream) const {}
  /// Throws Error{device, unsupported}: a PTX construct that the host device does not know is named with its line.
  virtual std::shared_ptr<const Kernel> load(const Artifact& artifact) const = 0;

  /// Memory for the command, the tests, checks, and lists that outlive calls; never used on a caller's launch path.
  virtual void* allocate(std::size_t bytes) const = 0;
  virtual void release(void* memory) const noexcept = 0;
  /// Memory of a call, on its launch path: taken and given back in the order of the stream, also while that records a
  /// graph. Nothing waits.
  virtual void* allocate_ordered(std::size_t bytes, Stream) const { return allocate(bytes); }
  virtual void release_ordered(void* memory, Stream) const noexcept { release(memory); }
  /// Zeros, in the order of the stream, also while that records a graph.
  virtual void clear(void* memory, std::size_t bytes, Stream stream) const = 0;
  virtual void upload(void* to, const void* from, std::size_t bytes) const = 0;
  virtual void download(void* to, const void* from, std::size_t bytes) const = 0;
  virtual void synchronize(Stream stream) const = 0;
  /// Milliseconds of `work` on the device (events on cuda, the clock on host).
  virtual double time(const std::function<void(Stream)>& work) const = 0;
};

/// PTX on the CPU. threads 0: all cores. check_memory: every launch is run four times, in several
/// orders of warps and copies, with all checks.
std::shared_ptr<const Device> open_host(int threads = 0, bool check_memory = false);
/// Opens libcuda at run time. Throws Error{unavailable} that lists the places searched, or says that no GPU answers.
/// `library`: a path to libcuda, and then nothing else is tried.
std::shared_ptr<const Device> open_cuda(int ordinal = 0, const std::string& library = {});

/// What `doctor` says of the driver; nothing is initialised on any GPU.
struct CudaProbe {
  struct Gpu {
    std::string name;
    plan::Arch arch;
    std::uint64_t memory = 0;  ///< bytes
  };
  std::string library;     ///< where it was found; empty: nowhere
  int driver_version = 0;  ///< 13000 for 13.0; 0: unknown
  std::vector<Gpu> gpus;
  std::string trace;       ///< the places searched, one a line
  std::string problem;     ///< why open_cuda would fail, one sentence; empty: it would not
};
CudaProbe probe_cuda(const std::string& library = {}) noexcept;

}  // namespace lacuna::runtime
