#include "runtime/cache/directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <system_error>

namespace lacuna::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".lacuna", temporary = ".tmp";

bool is_temporary_name(std::string_view name) {
  return name.starts_with('.') && name.ends_with(temporary) &&
         is_cache_file_name(name.substr(1, name.find(suffix) + suffix.size() - 1));
}

std::optional<CacheFile> describe(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return CacheFile{path, static_cast<std::uint64_t>(status.st_size),
                   status.st_mtim.tv_sec * std::int64_t{1000000000} + status.st_mtim.tv_nsec};
}

std::vector<CacheFile> list(const fs::path& dir, bool (*wanted)(std::string_view)) {
  std::vector<CacheFile> files;
  std::error_code error;
  fs::directory_iterator at(dir, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    if (!wanted(at->path().filename().native())) continue;
    if (auto file = describe(at->path())) files.push_back(std::move(*file));
  }
  return files;
}

void remove_abandoned(const fs::path& dir) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t hour_ago = std::chrono::nanoseconds(now - std::chrono::hours(1)).count();
  std::error_code ignored;
  for (const CacheFile& file : list(dir, is_temporary_name)) {
    if (file.used < hour_ago) fs::remove(file.path, ignored);
  }
}

}  // namespace

bool is_cache_file_name(std::string_view name) {
  constexpr std::size_t digits = 32;
  return name.size() > digits + suffix.size() && name.ends_with(suffix) && name[digits] == '.' &&
         name.substr(0, digits).find_first_not_of("0123456789abcdef") == name.npos;
}

std::vector<CacheFile> list_cache_files(const fs::path& dir) {
  std::vector<CacheFile> files = list(dir, is_cache_file_name);
  std::sort(files.begin(), files.end(), [](const CacheFile& a, const CacheFile& b) {
    return a.used != b.used ? a.used > b.used : a.path < b.path;
  });
  return files;
}

std::uint64_t sweep(const fs::path& dir, std::uint64_t most, std::string_view keep) {
  remove_abandoned(dir);
  std::vector<CacheFile> files = list_cache_files(dir);
  std::uint64_t bytes = 0;
  for (const CacheFile& file : files) bytes += file.bytes;
  for (; bytes > most && !files.empty(); files.pop_back()) {
    const CacheFile& oldest = files.back();
    std::error_code error;
    if (oldest.path.filename() == keep) continue;
    // Another process may have been first: then it is gone as well.
    if (fs::remove(oldest.path, error); !error) bytes -= oldest.bytes;
  }
  return bytes;
}

}  // namespace lacuna::runtime
