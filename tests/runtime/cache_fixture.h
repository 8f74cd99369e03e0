#pragma once
#include "compiler/codegen/source.h"
#include "runtime/cache/disk_cache.h"
#include "tests/runtime/random.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

namespace lacuna::test {

namespace fs = std::filesystem;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = fs::temp_directory_path() / "lacuna_cache_XXXXXX";
    if (!::mkdtemp(name.data())) std::abort();
    path_ = name;
    fs::permissions(path_, fs::perms(0755));
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const fs::path& path() const { return path_; }
  fs::path operator/(const fs::path& name) const { return path_ / name; }

 private:
  fs::path path_;
};

/// What a cache said.
struct Log {
  std::vector<std::string> lines;
  std::mutex mutex;
  std::function<void(std::string_view)> sink() {
    return [this](std::string_view line) {
      std::lock_guard lock(mutex);
      lines.emplace_back(line);
    };
  }
  int count(std::string_view part) const {
    int found = 0;
    for (const std::string& line : lines) found += line.find(part) != line.npos;
    return found;
  }
};

/// The number decides everything, so that a reader knows what a writer in another process meant.
inline runtime::Artifact artifact(unsigned number, std::size_t bytes = 5000) {
  std::mt19937 random(number);
  runtime::Artifact a;
  a.format = runtime::Format::cubin;
  a.arch = {90, 'a'};
  a.entry = "kernel_" + std::to_string(number);
  a.source = "// source " + std::to_string(number);
  a.threads = 128, a.registers = static_cast<int>(number);
  a.payload.resize(bytes);
  for (char& c : a.payload) c = static_cast<char>(random());
  return a;
}

inline runtime::CacheKey key(unsigned number) {
  std::mt19937 random(number);
  std::string digest(32, '0');
  for (char& c : digest) c = "0123456789abcdef"[random() % 16];
  return {digest, {90, 'a'}, runtime::Format::cubin};
}

inline std::string slurp(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}
inline void spill(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Seconds ago.
inline void set_age(const fs::path& path, long seconds) {
  timespec times[2] = {{0, UTIME_OMIT}, {0, 0}};
  ::clock_gettime(CLOCK_REALTIME, &times[1]);
  times[1].tv_sec -= seconds;
  ::utimensat(AT_FDCWD, path.c_str(), times, 0);
}
inline long age(const fs::path& path) {
  struct stat status {};
  ::stat(path.c_str(), &status);
  return ::time(nullptr) - status.st_mtim.tv_sec;
}

/// Starts a process that does `work` and exits with what it returns.
inline pid_t start(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 255;
    try {
      code = work();
    } catch (...) {
    }
    ::_exit(code);
  }
  return child;
}
/// Its exit code, or minus the signal that ended it.
inline int finish(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace lacuna::test
