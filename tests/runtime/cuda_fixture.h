#pragma once
#include "lacuna/error.hpp"

#include "runtime/device.h"
#include "tests/runtime/fake_cuda.h"

#include <dlfcn.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime::fake {

inline const std::string fake_library = LACUNA_FAKE_CUDA_LIBRARY;

inline test::FakeCuda seen() {
  static void* handle = dlopen(fake_library.c_str(), RTLD_NOW);
  static auto* ask = reinterpret_cast<test::FakeCudaFunction*>(dlsym(handle, "fake_cuda"));
  return ask();
}

/// Sets the fake's switches while it lives.
struct Switches {
  explicit Switches(const std::string& text) {
    ::setenv("LACUNA_FAKE_CUDA", text.c_str(), 1);
    seen();
  }
  ~Switches() { ::unsetenv("LACUNA_FAKE_CUDA"); }
};

inline std::shared_ptr<const Device> open(int ordinal = 0) {
  return open_cuda(ordinal, fake_library);
}

inline Artifact artifact() {
  Artifact a;
  a.format = Format::cubin;
  a.payload = std::string("cubin");
  a.entry = std::string("flash");
  a.arch = {90, 0};
  a.threads = 128, a.shared_bytes = 40000, a.param_bytes = 24;
  a.compiler = std::string("nvrtc 13.0");
  return a;
}

struct Failure {
  ErrorKind kind{};
  std::string text, log;
};
inline Failure failure(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.kind(), error.what(), error.log()};
  }
  return {{}, "nothing was thrown", ""};
}
inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

inline void launch(const Kernel& kernel, std::uint64_t blocks = 3, std::size_t param_bytes = 24,
                   void* stream = nullptr) {
  const std::vector<std::byte> params(param_bytes);
  kernel.launch({.blocks = blocks, .params = params, .stream = {stream}});
}

using Calls = std::vector<std::string>;

}  // namespace lacuna::runtime::fake
