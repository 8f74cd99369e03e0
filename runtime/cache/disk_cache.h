#pragma once
#include "compiler/codegen/source.h"
#include "runtime/artifact.h"
#include "runtime/cache/directory.h"
#include "runtime/compiler.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime {

struct DiskCacheOptions {
  std::filesystem::path dir;                       ///< empty: nothing is stored
  std::vector<std::filesystem::path> shared_dirs;  ///< only read, after dir
  std::uint64_t max_bytes = std::uint64_t{1} << 30;
  std::function<void(std::string_view)> log;  ///< one line per event; empty: silent
  /// How long one process waits for another that compiles the same; then it compiles too.
  std::chrono::milliseconds patience = std::chrono::seconds(30);
};

/// Digest of everything that a compiler sees, with what a file name shows of it.
struct CacheKey {
  std::string digest;  ///< 32 hex digits
  plan::Arch arch;
  Format format = Format::ptx;
  /// "<digest>.sm_90a.cubin.lacuna"
  std::string file_name() const;
  bool operator==(const CacheKey&) const = default;
};

/// Of source, embedded headers, options, compiler identity and the artifact format's version.
CacheKey cache_key(const codegen::Source& source, std::span<const codegen::TemplateFile> headers,
                   const Compiler& compiler, const CompileOptions& options);

/// Artifacts on disk, one file each: a user's directory, then read-only shared ones. It may be
/// wrong about nothing: entries appear whole or not at all, are checked before they are believed,
/// and losing any of them costs only time. What cannot be read is a miss; what cannot be written is
/// reported to the log once, after which nothing more is stored. Thread-safe, process-safe.
class DiskCache {
 public:
  struct Stats {
    std::uint64_t entries = 0, bytes = 0;                          ///< in the user's directory now
    std::uint64_t hits = 0, misses = 0, stores = 0, rejected = 0;  ///< of this object
  };
  struct Fault {
    std::filesystem::path path;
    std::string reason;
  };

  explicit DiskCache(DiskCacheOptions options);

  /// load, else build() and store. A build that throws stores nothing. Processes that share the
  /// directory wait for each other's build of the same key, within options.patience.
  Artifact get(const CacheKey& key, std::string_view source,
               const std::function<Artifact()>& build);

  /// The stored artifact, if it was made from exactly this source. Deletes what proves corrupt.
  std::optional<Artifact> load(const CacheKey& key, std::string_view source);
  /// Publishes atomically; an entry that is there already stays. Never throws for a reason of I/O.
  void store(const CacheKey& key, const Artifact& artifact);

  Stats stats() const;
  /// The user's directory, most recently used first.
  std::vector<CacheFile> entries() const;
  /// Reads every entry of every directory; those that are not what their name says. Deletes
  /// nothing.
  std::vector<Fault> verify() const;
  /// Deletes the entries, and only them, of the user's directory; throws Error{io} where it cannot.
  Stats clear();

  const std::filesystem::path& dir() const noexcept { return options_.dir; }

 private:
  struct Directory {
    std::filesystem::path path;
    bool ours;  ///< the user's: what is corrupt there may be deleted
  };

  std::optional<Artifact> read(const CacheKey& key, std::string_view source);
  std::optional<Artifact> read(const Directory& directory, const CacheKey& key,
                               std::string_view source);
  void touch(const CacheFile& file) const;
  /// Whether storing makes sense; creates the directory the first time.
  bool writable();
  void give_up(std::string_view problem);
  void account(const std::string& stored, std::uint64_t bytes);
  void log(std::string_view line) const;

  const DiskCacheOptions options_;
  std::vector<Directory> directories_;
  std::atomic<bool> gave_up_ = false;
  std::atomic<std::uint64_t> hits_ = 0, misses_ = 0, stores_ = 0, rejected_ = 0;
  std::mutex accounting_;
  std::optional<std::uint64_t> known_bytes_;  ///< in the user's directory, as far as we know
};

}  // namespace lacuna::runtime
