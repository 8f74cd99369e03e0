#include "runtime/nvrtc/search.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

namespace lacuna::runtime::nvrtc {
namespace {

namespace fs = std::filesystem;

/// Folders in `parent` whose names begin with `prefix`, the highest name first (cuda-13.0 before
/// cuda-12.9).
std::vector<fs::path> folders(const fs::path& parent, std::string_view prefix) {
  std::vector<fs::path> found;
  std::error_code failed;
  for (fs::directory_iterator it(parent, failed), end; !failed && it != end; it.increment(failed)) {
    if (it->path().filename().string().starts_with(prefix)) found.push_back(it->path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

std::optional<fs::path> environment_path(const char* name) {
  const char* value = std::getenv(name);
  if (!value || !*value) return std::nullopt;
  return fs::path(value);
}

/// One stop of the search: the folders that it stands for, or none and the text that says so.
struct Place {
  std::string name;
  std::vector<fs::path> folders;
};

void add_wheels(const fs::path& site_packages, std::vector<fs::path>& folders) {
  folders.push_back(site_packages / "nvidia" / "cu13" / "lib");
  folders.push_back(site_packages / "nvidia" / "cuda_nvrtc" / "lib");
}

Place virtual_environment(const fs::path& root) {
  Place place{(root / "lib" / "python3*").string(), {}};
  for (const fs::path& python : folders(root / "lib", "python3")) {
    add_wheels(python / "site-packages", place.folders);
  }
  return place;
}

void add_environment(const char* name, std::vector<Place>& places) {
  const std::optional<fs::path> root = environment_path(name);
  std::string label = std::string("$") + name;
  if (!root) {
    places.push_back({label + " (not set)", {}});
  } else if (label == "$VIRTUAL_ENV") {
    places.push_back(virtual_environment(*root));
  } else if (label == "$CONDA_PREFIX") {
    places.push_back({label, {*root / "lib"}});
  } else {
    places.push_back({label, {*root / "lib64", *root / "lib"}});
  }
}

std::vector<Place> places_before_loader() {
  std::vector<Place> places;
  if (const fs::path own = directory_of_this_library(); !own.empty()) {
    Place beside{"beside " + own.string(), {own}};
    add_wheels(own.parent_path(), beside.folders);
    places.push_back(std::move(beside));
    // The project's own environment, seen from a build folder and from a folder inside that.
    for (const fs::path& root : {own.parent_path(), own.parent_path().parent_path()}) {
      places.push_back(virtual_environment(root / ".venv"));
    }
  }
  add_environment("VIRTUAL_ENV", places);
  add_environment("CONDA_PREFIX", places);
  return places;
}

std::vector<Place> places_after_loader() {
  std::vector<Place> places;
  add_environment("CUDA_HOME", places);
  add_environment("CUDA_PATH", places);
  Place toolkits{"/usr/local/cuda*", {}};
  for (const fs::path& root : folders("/usr/local", "cuda"))
    toolkits.folders.push_back(root / "lib64");
  places.push_back(std::move(toolkits));
  return places;
}

class Search {
 public:
  Search(std::vector<std::string> sonames, SearchTrace& trace)
      : sonames_(std::move(sonames)), trace_(trace) {}

  std::optional<SharedLibrary> run() {
    for (const std::string& soname : sonames_) {
      if (auto library = SharedLibrary::loaded(soname, trace_)) return library;
    }
    if (auto library = open_in(places_before_loader())) return library;
    for (const std::string& soname : sonames_) {
      if (auto library = SharedLibrary::open(soname, trace_)) return library;
    }
    return open_in(places_after_loader());
  }

 private:
  std::optional<SharedLibrary> open_in(const std::vector<Place>& places) {
    for (const Place& place : places) {
      if (place.folders.empty()) trace_.add(place.name, "no such folder");
      for (const fs::path& folder : place.folders) {
        if (auto library = open_in(folder)) return library;
      }
    }
    return std::nullopt;
  }

  std::optional<SharedLibrary> open_in(const fs::path& folder) {
    std::error_code failed;
    for (const std::string& soname : sonames_) {
      const fs::path file = folder / soname;
      if (!fs::exists(file, failed)) {
        trace_.add(file.string(), "no such file");
      } else if (auto library = SharedLibrary::open(file.string(), trace_)) {
        return library;
      }
    }
    return std::nullopt;
  }

  std::vector<std::string> sonames_;
  SearchTrace& trace_;
};

/// NVRTC opens its builtins by bare name while it compiles, and the wheels of 13.0 carry no run
/// path: unless the loader has that soname already, a compile fails with "failed to open
/// libnvrtc-builtins.so.13.0" beside the very file.
fs::path load_builtins(const Api& api, Version version, SearchTrace& trace) {
  const std::string name = fmt::format("libnvrtc-builtins.so.{}.{}", version.major, version.minor);
  std::error_code failed;
  const fs::path real = fs::canonical(api.library.path(), failed);
  for (const fs::path& folder : {api.library.path().parent_path(), real.parent_path()}) {
    if (folder.empty() || !fs::exists(folder / name, failed)) continue;
    if (SharedLibrary::open((folder / name).string(), trace)) return folder / name;
  }
  trace.add(name, "not beside libnvrtc; left to the system loader");
  return {};
}

[[noreturn]] void report_missing(const std::string& library, int driver_version,
                                 const SearchTrace& trace) {
  const bool old = driver_version > 0 && driver_version < 13000;
  const std::string remedy =
      fmt::format("install {} (pip) or a CUDA toolkit, or name the library in LACUNA_NVRTC",
                  old ? "nvidia-cuda-nvrtc-cu12" : "nvidia-cuda-nvrtc");
  const std::string what =
      library.empty() ? std::string("NVRTC was not found") : library + " is not a usable NVRTC";
  throw Error(ErrorKind::unavailable,
              fmt::format("{}; {}. Searched:\n{}", what, remedy, trace.text()), {}, trace.text());
}

}  // namespace

Installation find_installation(const std::string& library, int driver_version, SearchTrace& trace) {
  std::optional<SharedLibrary> opened;
  if (!library.empty()) {
    opened = SharedLibrary::open(library, trace);
  } else {
    std::vector<std::string> sonames = {"libnvrtc.so.12"};
    if (driver_version == 0 || driver_version >= 13000) {
      sonames.insert(sonames.begin(), "libnvrtc.so.13");
    } else {
      trace.add("libnvrtc.so.13",
                fmt::format("not sought: the driver knows CUDA {}.{} and loads no cubin of CUDA 13",
                            driver_version / 1000, driver_version % 1000 / 10));
    }
    opened = Search(std::move(sonames), trace).run();
  }
  if (!opened) report_missing(library, driver_version, trace);
  Installation found;
  found.api = std::make_unique<Api>(*opened);
  found.version = found.api->read_version();
  found.builtins = load_builtins(*found.api, found.version, trace);
  return found;
}

}  // namespace lacuna::runtime::nvrtc
