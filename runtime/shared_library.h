#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime {

/// Every place where a library was looked for and what came of it, in order: the text of
/// Error{unavailable} and of `lacuna doctor`.
class SearchTrace {
 public:
  void add(std::string place, std::string outcome);
  /// One place a line, "  /usr/local/cuda/lib64/libnvrtc.so.13: no such file".
  std::string text() const;
  bool empty() const noexcept { return steps_.empty(); }

 private:
  struct Step {
    std::string place, outcome;
  };
  std::vector<Step> steps_;
};

/// A library opened at run time, RTLD_NOW and RTLD_LOCAL. Never closed: NVRTC, LLVM and the driver
/// leave threads and thread-local storage behind that outlive any handle, so copies are plain and
/// there is no destructor.
class SharedLibrary {
 public:
  /// The copy that the process has already (of a framework, say), by soname. Nothing is loaded.
  static std::optional<SharedLibrary> loaded(const std::string& soname, SearchTrace& trace);
  /// `name` is a path, or a soname that the system loader resolves. `flags` are added to those
  /// above.
  static std::optional<SharedLibrary> open(const std::string& name, SearchTrace& trace,
                                           int flags = 0);

  /// The address of a symbol, nullptr where the library lacks it.
  void* find(const char* symbol) const noexcept;
  /// The same as a function pointer; throws Error{unavailable} naming library and symbol.
  template <class Function>
  Function* function(const char* symbol) const {
    return reinterpret_cast<Function*>(require(symbol));
  }
  /// Where the loader found it; the name it was opened by where the loader does not say.
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  SharedLibrary(void* handle, const std::string& name);
  void* require(const char* symbol) const;

  void* handle_;
  std::filesystem::path path_;
};

/// The directory of the library or executable that this code is linked into.
std::filesystem::path directory_of_this_library();

}  // namespace lacuna::runtime
