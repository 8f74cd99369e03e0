#include "tests/runtime/host/nvrtc.h"

#include <dlfcn.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace lacuna::runtime::host::test {
namespace {

using Program = struct Opaque*;

void* open_library() {
  for (const char* place : {"libnvrtc.so.13", "/usr/local/cuda/lib64/libnvrtc.so.13",
                            "/usr/local/cuda-13.0/lib64/libnvrtc.so.13"})
    if (void* library = dlopen(place, RTLD_NOW | RTLD_LOCAL)) return library;
  return nullptr;
}

template <class F>
F* entry(void* library, const char* name) {
  auto* function = reinterpret_cast<F*>(dlsym(library, name));
  if (function == nullptr) throw std::runtime_error(std::string("NVRTC has no ") + name);
  return function;
}

}  // namespace

std::string kernel_file(const std::string& name) {
  std::ifstream file("tests/runtime/host/kernels/" + name);
  if (!file) throw std::runtime_error("tests/runtime/host/kernels/" + name + " is missing");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<std::string> nvrtc_ptx(const std::string& name) {
  static void* library = open_library();
  if (library == nullptr) return {};
  const auto create =
      entry<int(Program*, const char*, const char*, int, const char* const*, const char* const*)>(
          library, "nvrtcCreateProgram");
  const auto compile = entry<int(Program, int, const char* const*)>(library, "nvrtcCompileProgram");
  const auto size_of = entry<int(Program, std::size_t*)>(library, "nvrtcGetPTXSize");
  const auto get = entry<int(Program, char*)>(library, "nvrtcGetPTX");
  const auto log_size = entry<int(Program, std::size_t*)>(library, "nvrtcGetProgramLogSize");
  const auto get_log = entry<int(Program, char*)>(library, "nvrtcGetProgramLog");
  const auto destroy = entry<int(Program*)>(library, "nvrtcDestroyProgram");

  const std::string source = kernel_file(name), header = kernel_file("device.h");
  const char* headers[] = {header.c_str()};
  const char* names[] = {"device.h"};
  const char* options[] = {"-arch=compute_80", "-fmad=false", "-lineinfo", "-std=c++17"};
  Program program = nullptr;
  create(&program, source.c_str(), name.c_str(), 1, headers, names);
  const int failed = compile(program, 4, options);
  std::size_t size = 0;
  (failed != 0 ? log_size : size_of)(program, &size);
  std::vector<char> text(size);
  (failed != 0 ? get_log : get)(program, text.data());
  destroy(&program);
  if (failed != 0) throw std::runtime_error("NVRTC: " + std::string(text.data()));
  return std::string(text.data());
}

}  // namespace lacuna::runtime::host::test
