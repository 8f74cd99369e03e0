#pragma once
#include "runtime/artifact.h"
#include "runtime/cuda/gpu.h"
#include "runtime/device.h"

#include <memory>

namespace lacuna::runtime::cuda {

/// Loads the artifact for every context of the GPU, and at once into the current one, so that no
/// launch has to. Throws Error{unsupported} where this GPU or driver cannot run it, Error{device}
/// where the driver refuses.
std::shared_ptr<const Kernel> load(std::shared_ptr<const Gpu> gpu, const Artifact& artifact);

}  // namespace lacuna::runtime::cuda
