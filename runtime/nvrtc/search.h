#pragma once
#include "runtime/nvrtc/api.h"

#include <filesystem>
#include <memory>
#include <string>

namespace lacuna::runtime::nvrtc {

/// A libnvrtc that is ready to compile: found, complete, and with its builtins loaded.
struct Installation {
  std::unique_ptr<Api> api;
  Version version;
  std::filesystem::path builtins;  ///< empty: not beside the library, left to the system loader
};

/// The places, first hit wins: `library` alone where given; a copy in this process; wheels beside
/// our own library and in the project's .venv; $VIRTUAL_ENV; $CONDA_PREFIX; the system loader;
/// $CUDA_HOME, $CUDA_PATH; /usr/local/cuda*. A driver of CUDA 12 (`driver_version` < 13000, 0: none
/// known) loads no cubin of NVRTC 13, so only 12 is sought. Throws Error{unavailable} with the
/// trace and what would mend it.
Installation find_installation(const std::string& library, int driver_version, SearchTrace& trace);

}  // namespace lacuna::runtime::nvrtc
