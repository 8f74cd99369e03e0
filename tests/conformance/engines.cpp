#include "tests/conformance/engines.h"

#include <cstdlib>
#include <iostream>

namespace lacuna::tests {
namespace {

void open(std::vector<TestEngine>& engines, DeviceKind device, CompilerKind compiler,
          const std::string& name, bool check_memory) {
  EngineOptions options;
  options.device = device;
  options.compiler = compiler;
  options.validate = true;
  options.check_memory = check_memory;
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

std::vector<TestEngine> open_all(bool check_memory) {
  std::vector<TestEngine> engines;
  const char* wanted = std::getenv("LACUNA_DEVICE");
  const bool cuda = wanted && std::string_view(wanted) == "cuda" && !check_memory;
  const DeviceKind device = cuda ? DeviceKind::cuda : DeviceKind::host;
  const std::string suffix = cuda ? " on cuda" : " on host";
  open(engines, device, CompilerKind::llvm, "llvm" + suffix, check_memory);
  open(engines, device, CompilerKind::nvrtc, "nvrtc" + suffix, check_memory);
  if (engines.empty()) throw std::runtime_error("no compiler can be opened: nothing to test");
  return engines;
}

}  // namespace

const std::vector<TestEngine>& engines() {
  static const std::vector<TestEngine> all =
      open_all(EngineOptions::from_environment().check_memory);
  return all;
}

const std::vector<TestEngine>& checking_engines() {
  static const std::vector<TestEngine> all = open_all(true);
  return all;
}

}  // namespace lacuna::tests
