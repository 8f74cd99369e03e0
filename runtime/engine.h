#pragma once
#include "lacuna/engine.hpp"

#include "compiler/codegen/generate.h"
#include "compiler/plan/lists.h"
#include "compiler/plan/mask_inputs.h"
#include "compiler/plan/plan.h"
#include "runtime/cache/disk_cache.h"
#include "runtime/cache/memory_cache.h"
#include "runtime/compiler.h"
#include "runtime/device.h"

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace lacuna {
namespace runtime {

/// A spec's plan with what every call needs of it, worked out once.
struct Planned {
  plan::Plan plan;
  codegen::ParamLayout layout;
  std::array<std::uint64_t, 2> digest{};  ///< the plan's, as numbers
  plan::MaskInputs masks = {};
  std::shared_ptr<const Planned> softmax = {};  ///< of heads whose alpha is 1, where a call says so
};

std::shared_ptr<const Planned> planned_of(plan::Plan plan);

/// Names a loaded kernel: plain numbers, so that a hit formats and hashes no text.
struct KernelKey {
  std::array<std::uint64_t, 2> plan;  ///< Planned::digest; the architecture is part of it
  std::uint32_t pass, aligned;
  bool operator==(const KernelKey&) const = default;
};

/// The plans of an engine. A hit compares a few numbers and the address of the pattern's tree: an
/// equal pattern that was parsed again is another key, since reports and generated code carry its
/// lines. Thread-safe.
class PlanTable {
 public:
  /// Plans that nobody holds leave when the table has this many.
  static constexpr std::size_t capacity = 256;

  std::shared_ptr<const Planned> find(const Spec& spec) const;
  /// The stored one, where another thread was first.
  std::shared_ptr<const Planned> insert(std::shared_ptr<const Planned> planned);
  std::size_t size() const;

 private:
  std::shared_ptr<const Planned> find_locked(const Spec& spec) const;

  mutable std::mutex mutex_;
  std::unordered_multimap<const ir::Pattern*, std::shared_ptr<const Planned>> plans_;
};

/// Milliseconds that one call waited for each stage, of kernels that are compiled side by side for
/// the last of them; a stage that a cache made unnecessary stays 0.
struct Stages {
  enum class Origin : std::uint8_t { memory, disk, compiler };

  double plan = 0, generate = 0, compile = 0, load = 0, launch = 0;
  double disk = 0;                 ///< reading an artifact that the disk cache had
  Origin origin = Origin::memory;  ///< where the kernel came from
};

/// What may be paired beyond the product's rule. NVIDIA's licence ties what NVRTC makes to NVIDIA
/// GPUs: the tests, and only they, run it on the host device to verify code that is meant for those
/// GPUs.
struct Pairing {
  bool nvrtc_on_host = false;
  bool unchecked = false;  ///< the code that a GPU runs without validation, on any device
};

/// Opens the device and the compiler that the options name.
std::shared_ptr<EngineState> open_engine(const EngineOptions& options, Pairing pairing = {});
/// The same over a device and a compiler that are open already.
std::shared_ptr<EngineState> make_engine(const EngineOptions& options,
                                         std::shared_ptr<const Device> device,
                                         std::shared_ptr<const Compiler> compiler,
                                         std::string notice = {}, bool unchecked = false);

/// A pass as it was compiled in the end: with a schedule that does not spill registers, where there
/// is one.
struct Compiled {
  plan::Pass pass;
  Artifact artifact;
};
struct Loaded {
  plan::Pass pass;
  std::shared_ptr<const Kernel> kernel;
};

/// The stages one by one, each through its cache; `stages` may be null.
std::shared_ptr<const Planned> planned_for(EngineState& engine, const Spec& spec,
                                           Stages* stages = nullptr);
Compiled compiled_for(EngineState& engine, const Planned& planned, std::size_t pass,
                      plan::Variant variant, Stages* stages = nullptr);
/// Throws where it is not loaded yet and `stream` records a graph, which loading would break.
std::shared_ptr<const Loaded> kernel_for(EngineState& engine, const Planned& planned,
                                         std::size_t pass, plan::Variant variant,
                                         Stream stream = {}, Stages* stages = nullptr);
/// Compiled, or from the disk cache; `spent` grows by what that took, and the log names the source
/// and the label.
Artifact artifact_of(EngineState& engine, const codegen::Source& source, std::string_view label,
                     Stages& spent);
/// What the engine's compiler is asked for.
CompileOptions compile_options(const EngineState& engine);

}  // namespace runtime

inline namespace LACUNA_ABI {

struct EngineState {
  const EngineOptions options;
  const std::shared_ptr<const runtime::Device> device;
  const std::shared_ptr<const runtime::Compiler> compiler;
  const std::string notice;  ///< says so where automatic could not take NVRTC; usually ""
  const bool checked;        ///< plans report needed reads outside their tensor
  runtime::DiskCache disk;
  runtime::PlanTable plans{};
  runtime::MemoryCache<runtime::KernelKey, const runtime::Loaded> kernels{};
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
