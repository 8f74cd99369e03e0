#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime {

/// An entry of a cache directory.
struct CacheFile {
  std::filesystem::path path;
  std::uint64_t bytes = 0;
  std::int64_t used = 0;  ///< nanoseconds since the epoch: its last hit, to within a day
};

/// "<32 hex digits>.<arch>.<format>.lacuna": only such files are ever counted or deleted.
bool is_cache_file_name(std::string_view name);

/// Most recently used first. A directory that cannot be read is empty.
std::vector<CacheFile> list_cache_files(const std::filesystem::path& dir);

/// Deletes the least recently used entries, but never `keep`, until `most` bytes are left, and what
/// killed writers left behind an hour ago. Returns the bytes that are left.
std::uint64_t sweep(const std::filesystem::path& dir, std::uint64_t most, std::string_view keep);

struct FileContent {
  enum class Outcome {
    complete,  ///< bytes hold a file of the size that its header claims
    missing,
    corrupt,     ///< the content is wrong, whoever reads it
    unreadable,  ///< the system's fault, which says nothing about the content
  };
  Outcome outcome = Outcome::missing;
  std::string bytes;
  std::string reason;
  CacheFile file;
};
FileContent read_cache_file(const std::filesystem::path& path);

/// Makes `dir/name` appear with all its bytes or not at all, whenever the process or the machine
/// dies; a file that is there already stays. Returns the problem, if there was one.
std::optional<std::string> publish(const std::filesystem::path& dir, const std::string& name,
                                   std::string_view bytes);

}  // namespace lacuna::runtime
