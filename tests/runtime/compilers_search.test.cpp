#include "lacuna/error.hpp"

#include "runtime/compiler_description.h"
#include "runtime/shared_library.h"
#include "tests/catch.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;
using namespace lacuna;
using namespace lacuna::runtime;

namespace {

/// A folder that goes with the test.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "lacuna-search-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  void write(const fs::path& file) const {
    fs::create_directories((path / file).parent_path());
    std::ofstream(path / file) << "not a library";
  }
};

struct Variable {
  const char* name;
  Variable(const char* variable, const fs::path& value) : name(variable) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name); }
};

std::size_t place_of(const std::string& trace, const fs::path& path) {
  INFO(trace);
  const std::size_t at = trace.find(path.string() + ": ");
  CHECK(at != trace.npos);
  return at;
}

}  // namespace

// First, while no NVRTC is in this process: later searches would end there.
TEST_CASE("NVRTC is sought in the documented order and each place says why not") {
  const Folder folder;
  const fs::path venv = "venv/lib/python3.11/site-packages/nvidia";
  folder.write(venv / "cu13/lib/libnvrtc.so.13");
  folder.write(venv / "cuda_nvrtc/lib/libnvrtc.so.12");
  folder.write("conda/lib/libnvrtc.so.12");
  const Variable virtual_env("VIRTUAL_ENV", folder.path / "venv");
  const Variable conda("CONDA_PREFIX", folder.path / "conda");
  const CompilerDescription found = describe_nvrtc();
  const std::string& trace = found.trace;
  const std::size_t loaded = trace.find("libnvrtc.so.13 in this process");
  const std::size_t beside = trace.find(directory_of_this_library().string() + "/libnvrtc.so.13");
  CHECK(loaded < beside);
  if (found.path.find("/.venv/") != found.path.npos)
    return;  // the project's own, which comes first
  const std::size_t wheel = place_of(trace, folder.path / venv / "cu13/lib/libnvrtc.so.13");
  const std::size_t old_wheel =
      place_of(trace, folder.path / venv / "cuda_nvrtc/lib/libnvrtc.so.12");
  const std::size_t in_conda = place_of(trace, folder.path / "conda/lib/libnvrtc.so.12");
  CHECK(beside < wheel);
  CHECK(wheel < old_wheel);
  CHECK(old_wheel < in_conda);
  CHECK(trace.find("file too short") != trace.npos);
}

TEST_CASE("a driver of CUDA 12 is not given an NVRTC of 13") {
  const CompilerDescription found = describe_nvrtc("", 12040);
  INFO(found.trace);
  CHECK(found.trace.find("libnvrtc.so.13: not sought: the driver knows CUDA 12.4") !=
        std::string::npos);
  CHECK(found.identity.find("nvrtc 13") == std::string::npos);
  if (!found.problem.empty()) {
    CHECK(found.problem.find("NVRTC was not found; install nvidia-cuda-nvrtc-cu12") == 0);
    CHECK(found.problem.find(found.trace) != std::string::npos);
  }
}

TEST_CASE("CUDA_HOME and CUDA_PATH come after the system loader") {
  const Folder folder;
  folder.write("home/lib64/libnvrtc.so.12");
  unsetenv("CUDA_PATH");
  const Variable home("CUDA_HOME", folder.path / "home");
  const CompilerDescription found = describe_nvrtc("", 12040);
  if (!found.problem.empty()) {  // else the system has one, and the search ended before
    place_of(found.trace, folder.path / "home/lib64/libnvrtc.so.12");
    CHECK(found.trace.find("$CUDA_PATH (not set)") != std::string::npos);
    CHECK(found.trace.find("libnvrtc.so.12: cannot open") < found.trace.find("home/lib64"));
  }
}

TEST_CASE("a library is opened once and its path is known") {
  SearchTrace trace;
  CHECK(!SharedLibrary::loaded("liblacuna_no_such.so.1", trace));
  CHECK(trace.text() == "  liblacuna_no_such.so.1 in this process: not loaded yet");
  const auto library = SharedLibrary::open("libm.so.6", trace);
  REQUIRE(library);
  CHECK(library->path().is_absolute());
  CHECK(library->find("cos") == dlsym(RTLD_DEFAULT, "cos"));
  CHECK(library->find("no_such_symbol") == nullptr);
  CHECK_THROWS_AS(library->function<void()>("no_such_symbol"), Error);
  const auto again = SharedLibrary::loaded("libm.so.6", trace);
  REQUIRE(again);
  CHECK(again->path() == library->path());
  CHECK(directory_of_this_library() == fs::canonical("/proc/self/exe").parent_path());
}
