#include "runtime/shared_library.h"

#include "lacuna/error.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

namespace lacuna::runtime {
namespace {

/// dlerror begins with the name that the trace already shows.
std::string reason(const std::string& name) {
  const char* text = dlerror();
  std::string_view what = text ? text : "unknown error";
  if (what.starts_with(name + ": ")) what.remove_prefix(name.size() + 2);
  return std::string(what);
}

}  // namespace

void SearchTrace::add(std::string place, std::string outcome) {
  steps_.push_back({std::move(place), std::move(outcome)});
}

std::string SearchTrace::text() const {
  std::string lines;
  for (const Step& step : steps_) {
    lines += fmt::format("{}  {}: {}", lines.empty() ? "" : "\n", step.place, step.outcome);
  }
  return lines;
}

SharedLibrary::SharedLibrary(void* handle, const std::string& name) : handle_(handle), path_(name) {
  link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name && *map->l_name) {
    path_ = map->l_name;
  }
}

std::optional<SharedLibrary> SharedLibrary::loaded(const std::string& soname, SearchTrace& trace) {
  void* handle = dlopen(soname.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (!handle) {
    dlerror();
    trace.add(soname + " in this process", "not loaded yet");
    return std::nullopt;
  }
  SharedLibrary library(handle, soname);
  trace.add(soname + " in this process", "loaded from " + library.path().string());
  return library;
}

std::optional<SharedLibrary> SharedLibrary::open(const std::string& name, SearchTrace& trace,
                                                 int flags) {
  void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | flags);
  if (!handle) {
    trace.add(name, reason(name));
    return std::nullopt;
  }
  SharedLibrary library(handle, name);
  trace.add(name, library.path() == name ? "opened" : "opened as " + library.path().string());
  return library;
}

void* SharedLibrary::find(const char* symbol) const noexcept {
  void* address = dlsym(handle_, symbol);
  if (!address) dlerror();
  return address;
}

void* SharedLibrary::require(const char* symbol) const {
  if (void* address = find(symbol)) return address;
  throw Error(
      ErrorKind::unavailable,
      fmt::format("{} has no function {}; another version is needed", path_.string(), symbol));
}

std::filesystem::path directory_of_this_library() {
  Dl_info where{};
  link_map* map = nullptr;
  if (!dladdr1(reinterpret_cast<void*>(&directory_of_this_library), &where,
               reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP)) {
    return {};
  }
  // The loader has no name for the program itself, and argv[0] may be relative or found through
  // PATH.
  const bool program = !map->l_name || !*map->l_name;
  std::error_code failed;
  std::filesystem::path path =
      std::filesystem::canonical(program ? "/proc/self/exe" : map->l_name, failed);
  return failed ? std::filesystem::path() : path.parent_path();
}

}  // namespace lacuna::runtime
