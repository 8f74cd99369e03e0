#include "runtime/cache/disk_cache.h"

#include "lacuna/error.hpp"

#include "compiler/base/digest.h"
#include "runtime/cache/process_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <system_error>

namespace lacuna::runtime {

namespace fs = std::filesystem;

namespace {

/// The artifact of a file that could be read, or what is wrong with it.
struct Opened {
  std::optional<Artifact> artifact;
  std::string flaw;
};

Opened open_content(const FileContent& content, const std::string& file_name) {
  if (content.outcome == FileContent::Outcome::corrupt) return {std::nullopt, content.reason};
  try {
    Artifact artifact = deserialize(content.bytes);
    const CacheKey named{file_name.substr(0, 32), artifact.arch, artifact.format};
    if (named.file_name() == file_name) return {std::move(artifact), {}};
    return {std::nullopt, "its content belongs to " + named.file_name()};
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

}  // namespace

std::string CacheKey::file_name() const {
  return fmt::format("{}.{}.{}.lacuna", digest, arch.name(), name_of(format));
}

CacheKey cache_key(const codegen::Source& source, std::span<const codegen::TemplateFile> headers,
                   const Compiler& compiler, const CompileOptions& options) {
  Digest digest;
  digest.add("format version", artifact_version).add("compiler", compiler.identity());
  digest.add("options", compiler.options(source, options));
  digest.add("arch", options.arch.name()).add("format", name_of(options.format));
  digest.add("line info", options.line_info).add("keep ir", options.keep_ir);
  digest.add("name", source.name).add("entry", source.entry).add("text", source.text);
  digest.add("threads", source.threads).add("shared", source.shared_bytes);
  digest.add("params", source.param_bytes);
  for (const codegen::TemplateFile& header : headers) {
    digest.add("header", header.name).add("content", header.text);
  }
  return {digest.hex(), options.arch, options.format};
}

DiskCache::DiskCache(DiskCacheOptions options) : options_(std::move(options)) {
  if (!options_.dir.empty()) directories_.push_back({options_.dir, true});
  for (const fs::path& dir : options_.shared_dirs) {
    std::error_code error;
    if (!fs::is_directory(dir, error)) {
      log(fmt::format("cache: {} is not a directory that can be read", dir.native()));
    }
    directories_.push_back({dir, false});
  }
}

Artifact DiskCache::get(const CacheKey& key, std::string_view source,
                        const std::function<Artifact()>& build) {
  if (auto known = load(key, source)) return std::move(*known);
  if (!writable()) return build();
  const ProcessLock lock(options_.dir, key.digest, options_.patience);
  if (lock.timed_out()) {
    log(fmt::format("cache: {} is still being built elsewhere; building it here too",
                    key.file_name()));
  }
  // Whoever held the lock may have stored it since.
  if (auto known = read(key, source)) {
    ++hits_;
    return std::move(*known);
  }
  Artifact made = build();
  store(key, made);
  return made;
}

std::optional<Artifact> DiskCache::load(const CacheKey& key, std::string_view source) {
  auto artifact = read(key, source);
  ++(artifact ? hits_ : misses_);
  return artifact;
}

std::optional<Artifact> DiskCache::read(const CacheKey& key, std::string_view source) {
  for (const Directory& directory : directories_) {
    if (auto artifact = read(directory, key, source)) return artifact;
  }
  return std::nullopt;
}

std::optional<Artifact> DiskCache::read(const Directory& directory, const CacheKey& key,
                                        std::string_view source) {
  const fs::path path = directory.path / key.file_name();
  const FileContent content = read_cache_file(path);
  if (content.outcome == FileContent::Outcome::missing) return std::nullopt;
  if (content.outcome == FileContent::Outcome::unreadable) {
    log(fmt::format("cache: cannot read {}: {}", path.native(), content.reason));
    return std::nullopt;
  }
  Opened opened = open_content(content, key.file_name());
  if (opened.artifact && opened.artifact->source == source) {
    if (directory.ours) touch(content.file);
    return std::move(opened.artifact);
  }
  ++rejected_;
  if (opened.artifact) {
    log(fmt::format("cache: {} holds another source under the same digest", path.native()));
  } else {
    std::error_code error;
    const bool deleted = directory.ours && fs::remove(path, error);
    log(fmt::format("cache: {} is corrupt{}: {}", path.native(), deleted ? " and was deleted" : "",
                    opened.flaw));
  }
  return std::nullopt;
}

void DiskCache::touch(const CacheFile& file) const {
  constexpr std::chrono::nanoseconds day = std::chrono::hours(24);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  // At most daily, so that a hit seldom writes; also where a clock was wrong and left the future.
  if (std::chrono::abs(now - std::chrono::nanoseconds(file.used)) < day) return;
  const timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  ::utimensat(AT_FDCWD, file.path.c_str(), times, 0);
}

void DiskCache::store(const CacheKey& key, const Artifact& artifact) {
  const std::string bytes = serialize(artifact);
  if (bytes.size() > options_.max_bytes || !writable()) return;
  if (auto problem = publish(options_.dir, key.file_name(), bytes)) return give_up(*problem);
  ++stores_;
  account(key.file_name(), bytes.size());
}

bool DiskCache::writable() {
  if (options_.dir.empty() || gave_up_) return false;
  std::error_code error;
  if (fs::is_directory(options_.dir, error)) return true;
  fs::create_directories(options_.dir, error);
  if (error) give_up(error.message());
  return !error;
}

void DiskCache::give_up(std::string_view problem) {
  if (gave_up_.exchange(true)) return;
  log(fmt::format("cache: cannot write to {}: {}; nothing more is stored", options_.dir.native(),
                  problem));
}

/// Other processes store too, so what we know is a lower bound until it passes the limit.
void DiskCache::account(const std::string& stored, std::uint64_t bytes) {
  const std::lock_guard lock(accounting_);
  if (known_bytes_) {
    *known_bytes_ += bytes;
  } else {
    known_bytes_ = 0;
    for (const CacheFile& file : entries()) *known_bytes_ += file.bytes;
  }
  if (*known_bytes_ <= options_.max_bytes) return;
  known_bytes_ = sweep(options_.dir, options_.max_bytes / 5 * 4, stored);
}

DiskCache::Stats DiskCache::stats() const {
  Stats stats{.hits = hits_, .misses = misses_, .stores = stores_, .rejected = rejected_};
  for (const CacheFile& file : entries()) {
    ++stats.entries;
    stats.bytes += file.bytes;
  }
  return stats;
}

std::vector<CacheFile> DiskCache::entries() const {
  if (options_.dir.empty()) return {};
  return list_cache_files(options_.dir);
}

std::vector<DiskCache::Fault> DiskCache::verify() const {
  std::vector<Fault> faults;
  for (const Directory& directory : directories_) {
    for (const CacheFile& file : list_cache_files(directory.path)) {
      const FileContent content = read_cache_file(file.path);
      if (content.outcome == FileContent::Outcome::missing) continue;  // evicted meanwhile
      const bool readable = content.outcome != FileContent::Outcome::unreadable;
      std::string flaw =
          readable ? open_content(content, file.path.filename()).flaw : content.reason;
      if (!flaw.empty()) faults.push_back({file.path, std::move(flaw)});
    }
  }
  return faults;
}

DiskCache::Stats DiskCache::clear() {
  Stats cleared;
  for (const CacheFile& file : entries()) {
    std::error_code error;
    fs::remove(file.path, error);
    if (error) {
      throw Error(ErrorKind::io,
                  fmt::format("cannot delete {}: {}", file.path.native(), error.message()));
    }
    ++cleared.entries;
    cleared.bytes += file.bytes;
  }
  const std::lock_guard lock(accounting_);
  known_bytes_.reset();
  return cleared;
}

void DiskCache::log(std::string_view line) const {
  if (options_.log) options_.log(line);
}

}  // namespace lacuna::runtime
