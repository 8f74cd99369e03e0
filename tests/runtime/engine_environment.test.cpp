#include "lacuna/engine.hpp"

#include "tests/catch.h"

#include <cstdlib>
#include <map>
#include <optional>

namespace {

using namespace lacuna;

/// Sets variables (null: unsets) for as long as it lives.
class Environment {
 public:
  explicit Environment(const std::map<std::string, const char*>& wanted) {
    for (const auto& [name, value] : wanted) {
      const char* old = std::getenv(name.c_str());
      saved_[name] = old ? std::optional<std::string>(old) : std::nullopt;
      set(name, value);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : saved_) set(name, value ? value->c_str() : nullptr);
  }

 private:
  static void set(const std::string& name, const char* value) {
    value ? setenv(name.c_str(), value, 1) : unsetenv(name.c_str());
  }
  std::map<std::string, std::optional<std::string>> saved_;
};

std::map<std::string, const char*> nothing() {
  std::map<std::string, const char*> unset;
  for (const char* name : {"DEVICE", "COMPILER", "NVRTC", "LLVM", "CACHE_DIR", "CACHE_PATH",
                           "CACHE_BYTES", "THREADS", "VALIDATE", "LOG"})
    unset[std::string("LACUNA_") + name] = nullptr;
  unset["XDG_CACHE_HOME"] = nullptr;
  unset["HOME"] = "/home/someone";
  return unset;
}

EngineOptions options_with(const std::map<std::string, const char*>& set) {
  std::map<std::string, const char*> all = set;
  all.merge(nothing());
  Environment environment(all);
  return EngineOptions::from_environment();
}

std::string refusal(const char* name, const char* value) {
  try {
    options_with({{name, value}});
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::argument);
    return error.what();
  }
  return "";
}

TEST_CASE("an empty environment gives the defaults and the user's cache") {
  EngineOptions options = options_with({});
  CHECK(options.device == DeviceKind::automatic);
  CHECK(options.compiler == CompilerKind::automatic);
  CHECK(options.cache_dir == "/home/someone/.cache/lacuna");
  CHECK(options.shared_cache_dirs.empty());
  CHECK(options.cache_bytes == 1u << 30);
  CHECK(options.threads == 0);
  CHECK_FALSE(options.validate);
  CHECK_FALSE(options.check_memory);
  CHECK_FALSE(options.log);
}

TEST_CASE("each variable sets its option") {
  EngineOptions options = options_with({{"LACUNA_DEVICE", "host"},
                                        {"LACUNA_COMPILER", "llvm"},
                                        {"LACUNA_NVRTC", "/n.so"},
                                        {"LACUNA_LLVM", "/l.so"},
                                        {"LACUNA_CACHE_DIR", "/c"},
                                        {"LACUNA_CACHE_PATH", "/a::/b:"},
                                        {"LACUNA_CACHE_BYTES", "3M"},
                                        {"LACUNA_THREADS", "5"},
                                        {"LACUNA_VALIDATE", "1"},
                                        {"LACUNA_CHECK_MEMORY", "on"},
                                        {"LACUNA_LOG", "1"}});
  CHECK(options.device == DeviceKind::host);
  CHECK(options.compiler == CompilerKind::llvm);
  CHECK(options.nvrtc_library == "/n.so");
  CHECK(options.llvm_library == "/l.so");
  CHECK(options.cache_dir == "/c");
  CHECK(options.shared_cache_dirs == std::vector<std::filesystem::path>{"/a", "/b"});
  CHECK(options.cache_bytes == 3u << 20);
  CHECK(options.threads == 5);
  CHECK(options.validate);
  CHECK(options.check_memory);
  CHECK(options.log);
}

TEST_CASE("the cache directory: empty is off, XDG only where absolute, none without a home") {
  CHECK(options_with({{"LACUNA_CACHE_DIR", ""}}).cache_dir.empty());
  CHECK(options_with({{"XDG_CACHE_HOME", "/x"}}).cache_dir == "/x/lacuna");
  CHECK(options_with({{"XDG_CACHE_HOME", "x"}}).cache_dir == "/home/someone/.cache/lacuna");
  CHECK(options_with({{"HOME", nullptr}}).cache_dir.empty());
}

TEST_CASE("an unknown value is an error that lists the legal ones") {
  CHECK(refusal("LACUNA_DEVICE", "gpu") == "LACUNA_DEVICE='gpu': expected 'auto', 'host', 'cuda'");
  CHECK(refusal("LACUNA_COMPILER", "gcc") ==
        "LACUNA_COMPILER='gcc': expected 'auto', 'nvrtc', 'llvm'");
  CHECK(refusal("LACUNA_VALIDATE", "yes") ==
        "LACUNA_VALIDATE='yes': expected '0', '1', 'off', 'on'");
  for (const char* value : {"-1", "2x", "99999999999"})
    CHECK(refusal("LACUNA_THREADS", value).find("number of threads") != std::string::npos);
  for (const char* value : {"-1", "2T", "G", "99999999999G", "1.5G"})
    CHECK(refusal("LACUNA_CACHE_BYTES", value).find("512M") != std::string::npos);
}

}  // namespace
