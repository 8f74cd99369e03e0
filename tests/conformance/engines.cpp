#include "tests/conformance/engines.h"

#include <cstdlib>
#include <iostream>

namespace lacuna::tests {
namespace {

void open(std::vector<TestEngine>& engines, DeviceKind device, CompilerKind compiler,
          const std::string& name) {
  EngineOptions options;
  options.device = device;
  options.compiler = compiler;
  options.validate = true;
  options.check_memory = EngineOptions::from_environment().check_memory;
  try {
    for (const bool unchecked : {false, true})
      engines.push_back(
          {name + (unchecked ? ", unchecked" : ""),
           runtime::open_engine(options, {.nvrtc_on_host = true, .unchecked = unchecked})});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    std::cerr << "conformance without " << name << ": " << error.what() << '\n';
  }
}

std::vector<TestEngine> open_all() {
  std::vector<TestEngine> engines;
  const char* wanted = std::getenv("LACUNA_DEVICE");
  const bool cuda = wanted && std::string_view(wanted) == "cuda";
  const DeviceKind device = cuda ? DeviceKind::cuda : DeviceKind::host;
  const std::string suffix = cuda ? " on cuda" : " on host";
  open(engines, device, CompilerKind::llvm, "llvm" + suffix);
  open(engines, device, CompilerKind::nvrtc, "nvrtc" + suffix);
  if (engines.empty()) throw std::runtime_error("no compiler can be opened: nothing to test");
  return engines;
}

}  // namespace

const std::vector<TestEngine>& engines() {
  static const std::vector<TestEngine> all = open_all();
  return all;
}

}  // namespace lacuna::tests
