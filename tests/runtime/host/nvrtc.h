#pragma once
#include <optional>
#include <string>

namespace lacuna::runtime::host::test {

/// A kernel of tests/runtime/host/kernels as NVRTC translates it; nullopt where no libnvrtc.so.13
/// opens. Throws std::runtime_error with NVRTC's log where it does not compile.
std::optional<std::string> nvrtc_ptx(const std::string& name);
/// A file of tests/runtime/host/kernels.
std::string kernel_file(const std::string& name);

}  // namespace lacuna::runtime::host::test
