#include "lacuna/error.hpp"

#include "runtime/artifact.h"
#include "runtime/cache/directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <random>
#include <system_error>

namespace lacuna::runtime {
namespace {

namespace fs = std::filesystem;
using Outcome = FileContent::Outcome;

std::string error_text() {
  return std::generic_category().message(errno);
}

/// A descriptor that is closed however the function ends.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

/// Reads until `bytes` is full or the file ends; false on an error.
bool read_all(int file, std::string& bytes, std::size_t from) {
  while (from < bytes.size()) {
    const ssize_t count = ::read(file, bytes.data() + from, bytes.size() - from);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) break;
    from += static_cast<std::size_t>(count);
  }
  bytes.resize(from);
  return true;
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void fail(FileContent& content, Outcome outcome, std::string reason) {
  content.outcome = outcome;
  content.reason = std::move(reason);
  content.bytes.clear();
}

/// The header's claim is held against the real size before anything is allocated for it.
void read_content(int file, FileContent& content) {
  std::string& bytes = content.bytes;
  bytes.resize(artifact_header_bytes);
  if (!read_all(file, bytes, 0)) return fail(content, Outcome::unreadable, error_text());
  try {
    if (const std::uint64_t claim = serialized_size(bytes); claim != content.file.bytes) {
      return fail(
          content, Outcome::corrupt,
          fmt::format("artifact: {} bytes, and the header claims {}", content.file.bytes, claim));
    }
  } catch (const Error& error) {
    return fail(content, Outcome::corrupt, error.what());
  }
  bytes.resize(content.file.bytes);
  if (!read_all(file, bytes, artifact_header_bytes)) {
    return fail(content, Outcome::unreadable, error_text());
  }
  content.outcome = Outcome::complete;
}

/// Of no other writer, in this process, in another one, or on another machine of a shared disk.
std::string unique_name(const std::string& name) {
  std::random_device random;
  return fmt::format(".{}.{}-{:08x}{:08x}.tmp", name, ::getpid(), random(), random());
}

bool write_synced(const fs::path& path, std::string_view bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) return false;
  const bool written = write_all(file, bytes) && ::fsync(file) == 0;
  const int problem = errno;
  // A network file system may report a full disk only now.
  const bool closed = ::close(file) == 0;
  if (!written) errno = problem;
  return written && closed;
}

}  // namespace

FileContent read_cache_file(const fs::path& path) {
  FileContent content;
  // Non-blocking: a pipe under this name must not stop us for ever.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status {};
  if (file.number < 0 || ::fstat(file.number, &status) != 0) {
    fail(content, errno == ENOENT || errno == ENOTDIR ? Outcome::missing : Outcome::unreadable,
         error_text());
    return content;
  }
  if (!S_ISREG(status.st_mode)) {
    fail(content, Outcome::unreadable, "not a regular file");
    return content;
  }
  content.file = {path, static_cast<std::uint64_t>(status.st_size),
                  status.st_mtim.tv_sec * std::int64_t{1000000000} + status.st_mtim.tv_nsec};
  read_content(file.number, content);
  return content;
}

std::optional<std::string> publish(const fs::path& dir, const std::string& name,
                                   std::string_view bytes) {
  const fs::path temporary = dir / unique_name(name), path = dir / name;
  std::optional<std::string> problem;
  if (!write_synced(temporary, bytes)) {
    problem = error_text();
  } else if (::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    // A file system without hard links; a rename is as atomic, though it replaces.
    if (::rename(temporary.c_str(), path.c_str()) == 0) return std::nullopt;
    problem = error_text();
  }
  ::unlink(temporary.c_str());
  return problem;
}

}  // namespace lacuna::runtime
