#include "lacuna/engine.hpp"

#include "runtime/cache/disk_cache.h"
#include "tools/lacuna/command.h"
#include "tools/lacuna/files.h"

#include <fmt/format.h>

#include <chrono>

namespace lacuna::tool {
namespace {

struct CacheFlags {};

runtime::DiskCache open_cache() {
  EngineOptions options = EngineOptions::from_environment();
  return runtime::DiskCache({options.cache_dir, options.shared_cache_dirs, options.cache_bytes});
}

std::string place_of(const runtime::DiskCache& cache) {
  return cache.dir().empty() ? "no directory: LACUNA_CACHE_DIR is empty" : cache.dir().string();
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string age_text(std::int64_t used) {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  auto hours = (std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() - used) /
               3'600'000'000'000;
  return hours < 24 ? "today" : fmt::format("{} day{} ago", hours / 24, hours < 48 ? "" : "s");
}

Report run_list(const CacheFlags&, const Terminal&) {
  runtime::DiskCache cache = open_cache();
  Report report;
  report.json = {{"dir", cache.dir().string()}, {"entries", Json::array()}};
  std::uint64_t bytes = 0;
  for (const runtime::CacheFile& file : cache.entries()) {
    bytes += file.bytes;
    report.json["entries"].push_back(
        {{"file", file.path.filename().string()}, {"bytes", file.bytes}, {"used_ns", file.used}});
    report.text += fmt::format("  {}  {:>10}  used {}\n", file.path.filename().string(),
                               size_text(file.bytes), age_text(file.used));
  }
  report.json["bytes"] = bytes;
  report.text +=
      fmt::format("{} kernel{}, {}, in {}\n", report.json["entries"].size(),
                  report.json["entries"].size() == 1 ? "" : "s", size_text(bytes), place_of(cache));
  return report;
}

Report run_clear(const CacheFlags&, const Terminal&) {
  runtime::DiskCache cache = open_cache();
  auto gone = cache.clear();
  return {fmt::format("{} kernel{}, {}, deleted from {}\n", gone.entries,
                      gone.entries == 1 ? "" : "s", size_text(gone.bytes), place_of(cache)),
          {{"dir", cache.dir().string()}, {"deleted", gone.entries}, {"bytes", gone.bytes}}};
}

Report run_verify(const CacheFlags&, const Terminal&) {
  runtime::DiskCache cache = open_cache();
  auto faults = cache.verify();
  Report report;
  report.json = {{"dir", cache.dir().string()}, {"faults", Json::array()}};
  for (const auto& fault : faults) {
    report.json["faults"].push_back({{"file", fault.path.string()}, {"reason", fault.reason}});
    report.text += fmt::format("  {}: {}\n", fault.path.string(), fault.reason);
  }
  if (faults.empty()) {
    report.text = fmt::format("every kernel is what its name says, in {}\n", place_of(cache));
  } else {
    report.exit_code = exit_failure;
    report.text += fmt::format(
        "{} of them {} no use and will be replaced when asked for; 'lacuna cache clear' deletes "
        "all\n",
        faults.size(), faults.size() == 1 ? "is" : "are");
  }
  return report;
}

Report run_path(const CacheFlags&, const Terminal&) {
  runtime::DiskCache cache = open_cache();
  Report report;
  report.json["dir"] = cache.dir().string();
  report.text = cache.dir().empty() ? "" : cache.dir().string() + "\n";
  return report;
}

}  // namespace

void add_cache(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("cache", "what the disk cache of compiled kernels holds");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n"
      "  lacuna cache list\n"
      "  LACUNA_CACHE_DIR=/scratch/lacuna lacuna cache verify --json\n"
      "Next:\n"
      "  losing the cache costs only compile time. LACUNA_CACHE_DIR moves it (empty: none),\n"
      "  LACUNA_CACHE_PATH adds read-only ones, LACUNA_CACHE_BYTES bounds it.");
  auto flags = std::make_shared<CacheFlags>();
  auto add = [&](std::string_view name, std::string_view summary, std::string_view next,
                 Report (*run)(const CacheFlags&, const Terminal&)) {
    std::string example = fmt::format("  lacuna cache {}", name);
    add_command(*command, invocation, {name, summary, example, next}, flags, run);
  };
  add("list", "every kernel with its size, most recently used first", "  lacuna cache clear",
      run_list);
  add("clear", "delete the kernels of the user's directory, and nothing else there",
      "  lacuna cache list", run_clear);
  add("verify", "read every kernel and name those that are corrupt", "  lacuna cache clear",
      run_verify);
  add("path", "print the directory", "  du -sh $(lacuna cache path)", run_path);
}

}  // namespace lacuna::tool
