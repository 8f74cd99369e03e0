#include "lacuna/engine.hpp"

#include "compiler/plan/schedule.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace lacuna {
namespace {

std::string value_of(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

[[noreturn]] void refuse(std::string_view name, std::string_view value, std::string_view legal) {
  throw Error(ErrorKind::argument, fmt::format("{}='{}': expected {}", name, value, legal));
}

/// One word of a table; unset and empty leave `choice` as it is.
template <typename Choice, std::size_t N>
void read_choice(const char* name, const std::pair<std::string_view, Choice> (&table)[N],
                 Choice& choice) {
  std::string value = value_of(name);
  if (value.empty()) return;
  std::string legal;
  for (const auto& [word, meaning] : table) {
    if (word == value) {
      choice = meaning;
      return;
    }
    fmt::format_to(std::back_inserter(legal), "{}'{}'", legal.empty() ? "" : ", ", word);
  }
  refuse(name, value, legal);
}

constexpr std::pair<std::string_view, bool> switches[] = {
    {"0", false}, {"1", true}, {"off", false}, {"on", true}};

template <typename T>
void read_number(const char* name, std::string_view legal, T& number) {
  std::string value = value_of(name);
  if (value.empty()) return;
  T parsed = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
  if (error != std::errc{} || end != value.data() + value.size() || parsed < 0) {
    refuse(name, value, legal);
  }
  number = parsed;
}

/// 1073741824, 512M or 2G.
void read_bytes(const char* name, std::uint64_t& bytes) {
  std::string value = value_of(name);
  if (value.empty()) return;
  constexpr std::string_view legal = "a number of bytes, as 1073741824, 512M or 2G";
  std::uint64_t parsed = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
  std::string_view unit(end, value.data() + value.size());
  int shift = unit == "" ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (error != std::errc{} || shift < 0 || parsed > ~std::uint64_t{0} >> shift) {
    refuse(name, value, legal);
  }
  bytes = parsed << shift;
}

/// A relative XDG_CACHE_HOME is to be ignored by its specification; without a home there is no disk
/// cache.
std::filesystem::path default_cache() {
  std::filesystem::path base = value_of("XDG_CACHE_HOME");
  if (base.is_absolute()) return base / "lacuna";
  std::filesystem::path home = value_of("HOME");
  return home.is_absolute() ? home / ".cache" / "lacuna" : std::filesystem::path();
}

std::vector<std::filesystem::path> split(std::string_view list) {
  std::vector<std::filesystem::path> parts;
  while (!list.empty()) {
    std::size_t colon = std::min(list.find(':'), list.size());
    if (colon > 0) parts.emplace_back(list.substr(0, colon));
    list.remove_prefix(std::min(colon + 1, list.size()));
  }
  return parts;
}

void log_to_stderr(std::string_view line) {
  std::fprintf(stderr, "lacuna: %.*s\n", static_cast<int>(line.size()), line.data());
}

}  // namespace

EngineOptions EngineOptions::from_environment() {
  EngineOptions options;
  constexpr std::pair<std::string_view, DeviceKind> devices[] = {
      {"auto", DeviceKind::automatic}, {"host", DeviceKind::host}, {"cuda", DeviceKind::cuda}};
  constexpr std::pair<std::string_view, CompilerKind> compilers[] = {
      {"auto", CompilerKind::automatic},
      {"nvrtc", CompilerKind::nvrtc},
      {"llvm", CompilerKind::llvm}};
  read_choice("LACUNA_DEVICE", devices, options.device);
  read_choice("LACUNA_COMPILER", compilers, options.compiler);
  options.nvrtc_library = value_of("LACUNA_NVRTC");
  options.llvm_library = value_of("LACUNA_LLVM");
  const char* cache = std::getenv("LACUNA_CACHE_DIR");
  options.cache_dir = cache ? std::filesystem::path(cache) : default_cache();
  options.shared_cache_dirs = split(value_of("LACUNA_CACHE_PATH"));
  read_bytes("LACUNA_CACHE_BYTES", options.cache_bytes);
  read_number("LACUNA_THREADS", "a number of threads, 0 for all cores", options.threads);
  options.schedule = value_of("LACUNA_SCHEDULE");
  try {
    if (!options.schedule.empty()) plan::parse_schedule(options.schedule);
  } catch (const Error&) {
    refuse("LACUNA_SCHEDULE", options.schedule, "queries x keys, warps and stages, as 128x64w4s2");
  }
  read_choice("LACUNA_VALIDATE", switches, options.validate);
  read_choice("LACUNA_CHECK_MEMORY", switches, options.check_memory);
  bool log = false;
  read_choice("LACUNA_LOG", switches, log);
  if (log) options.log = log_to_stderr;
  return options;
}

}  // namespace lacuna
