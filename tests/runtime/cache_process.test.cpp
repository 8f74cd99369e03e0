// Several processes on one directory, killed writers, full and read-only disks.
#include "runtime/cache/disk_cache.h"
#include "tests/catch.h"
#include "tests/runtime/cache_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace lacuna::runtime {
namespace {

using namespace std::chrono_literals;
using test::artifact;
using test::finish;
using test::key;
using test::Log;
using test::slurp;
using test::spill;
using test::start;
using test::TemporaryDirectory;
namespace fs = std::filesystem;

std::optional<Artifact> load(DiskCache& cache, unsigned number) {
  return cache.load(key(number), artifact(number, 0).source);
}

/// A builder that leaves a line in a file each time it runs.
Artifact counted_build(const fs::path& tally, unsigned number, std::chrono::milliseconds takes) {
  const int file = ::open(tally.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (::write(file, "x", 1) != 1) std::abort();
  ::close(file);
  std::this_thread::sleep_for(takes);
  return artifact(number);
}

TEST_CASE("disk cache: killed writers never leave a bad entry") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  TemporaryDirectory dir;
  constexpr unsigned keys = 12;
  std::vector<Artifact> expected;
  for (unsigned i = 0; i < keys; ++i) expected.push_back(artifact(i, 300000));
  Log log;
  DiskCache reader({.dir = dir.path(), .log = log.sink()});
  int seen = 0, left_behind = 0;
  auto read_all = [&] {
    for (unsigned i = 0; i < keys; ++i) {
      const auto found = load(reader, i);
      if (found) REQUIRE(*found == expected[i]);
      seen += found.has_value();
    }
  };
  // Until a writer was killed while it wrote, on however quick a disk.
  for (int round = 0; round < 60 || (round < 2000 && (!seen || !left_behind)); ++round) {
    const unsigned first = random() % keys;
    const pid_t writer = start([&] {
      DiskCache cache({.dir = dir.path()});
      for (unsigned i = first;; ++i) cache.store(key(i % keys), expected[i % keys]);
      return 0;
    });
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 25000);
    while (std::chrono::steady_clock::now() < until) read_all();
    ::kill(writer, SIGKILL);
    REQUIRE(finish(writer) == -SIGKILL);
    read_all();
    for (const auto& entry : fs::directory_iterator(dir.path())) {
      const std::string name = entry.path().filename();
      left_behind += name.ends_with(".tmp");
      fs::remove(entry.path());
    }
  }
  CHECK(reader.stats().rejected == 0);
  CHECK(log.lines.empty());
  CHECK(seen > 0);
  CHECK(left_behind > 0);
}

TEST_CASE("disk cache: processes that want the same key build it once") {
  TemporaryDirectory dir;
  for (unsigned number = 0; number < 3; ++number) {
    std::vector<pid_t> children;
    for (int i = 0; i < 6; ++i) {
      children.push_back(start([&] {
        DiskCache cache({.dir = dir / "cache"});
        const Artifact got = cache.get(key(number), artifact(number).source, [&] {
          return counted_build(dir / std::to_string(number), number, 50ms);
        });
        return got == artifact(number) ? 0 : 1;
      }));
    }
    for (pid_t child : children) CHECK(finish(child) == 0);
    CHECK(slurp(dir / std::to_string(number)) == "x");
  }
}

TEST_CASE("disk cache: threads that want the same key build it once") {
  TemporaryDirectory dir;
  DiskCache cache({.dir = dir / "cache"});
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      right += cache.get(key(1), artifact(1).source,
                         [&] { return counted_build(dir / "tally", 1, 30ms); }) == artifact(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 8);
  CHECK(slurp(dir / "tally") == "x");
}

TEST_CASE("disk cache: two processes that store the same key agree") {
  TemporaryDirectory dir;
  for (int round = 0; round < 20; ++round) {
    std::vector<pid_t> children;
    for (int i = 0; i < 2; ++i) {
      children.push_back(start([&] {
        DiskCache cache({.dir = dir.path()});
        for (unsigned k = 0; k < 5; ++k) cache.store(key(k), artifact(k, 20000));
        for (unsigned k = 0; k < 5; ++k) {
          if (load(cache, k) != artifact(k, 20000)) return 1;
        }
        return cache.stats().rejected == 0 ? 0 : 2;
      }));
    }
    for (pid_t child : children) REQUIRE(finish(child) == 0);
    for (const auto& entry : fs::directory_iterator(dir.path())) {
      REQUIRE(entry.path().extension() == ".lacuna");
      fs::remove(entry.path());
    }
  }
}

TEST_CASE("disk cache: a dead or a stuck builder holds nobody up") {
  TemporaryDirectory dir;
  const fs::path begun = dir / "begun";
  const pid_t builder = start([&] {
    DiskCache cache({.dir = dir / "cache"});
    cache.get(key(1), artifact(1).source, [&] { return counted_build(begun, 1, 1h); });
    return 0;
  });
  while (slurp(begun).empty()) std::this_thread::sleep_for(1ms);

  Log log;
  DiskCache impatient({.dir = dir / "cache", .log = log.sink(), .patience = 50ms});
  const auto before = std::chrono::steady_clock::now();
  CHECK(impatient.get(key(1), artifact(1).source, [] { return artifact(1); }) == artifact(1));
  CHECK(std::chrono::steady_clock::now() - before >= 50ms);
  CHECK(log.count("is still being built elsewhere") == 1);
  impatient.clear();

  ::kill(builder, SIGKILL);
  finish(builder);
  DiskCache patient({.dir = dir / "cache", .log = log.sink(), .patience = 1h});
  CHECK(patient.get(key(1), artifact(1).source, [] { return artifact(1); }) == artifact(1));
  CHECK(log.lines.size() == 1);
}

/// Stores three entries where it cannot work and checks that this is noticed once and harms
/// nothing.
int use_unwritable(const fs::path& dir, std::string_view reason) {
  Log log;
  DiskCache cache({.dir = dir, .log = log.sink()});
  int builds = 0;
  for (unsigned i = 0; i < 3; ++i) {
    const Artifact got = cache.get(key(i), artifact(i, 200000).source,
                                   [&] { return ++builds, artifact(i, 200000); });
    if (got != artifact(i, 200000)) return 1;
  }
  if (builds != 3) return 2;
  if (log.lines.size() != 1) return 3;
  if (log.count("cannot write to " + dir.native()) != 1 || log.count(reason) != 1) return 4;
  for (const CacheFile& file : cache.entries()) {
    if (file.bytes > 200000) return 5;
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir, error)) {
    if (entry.path().extension() == ".tmp") return 6;
  }
  return 0;
}

TEST_CASE("disk cache: a file that may not grow is a full disk") {
  TemporaryDirectory dir;
  CHECK(finish(start([&] {
          ::signal(SIGXFSZ, SIG_IGN);
          const rlimit limit{50000, 50000};
          if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 100;
          return use_unwritable(dir.path(), "File too large");
        })) == 0);
}

TEST_CASE("disk cache: a full file system") {
  TemporaryDirectory dir;
  const int code = finish(start([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
      return 100;
    }
    return use_unwritable(dir.path(), "No space left");
  }));
  if (code == 100) {
    WARN("skipped: this user cannot mount a small tmpfs");
  } else {
    CHECK(code == 0);
  }
}

bool become_ordinary_user() {
  return ::geteuid() != 0 || (::setgid(65534) == 0 && ::setuid(65534) == 0);
}

TEST_CASE("disk cache: a directory that cannot be written is still read") {
  TemporaryDirectory dir;
  DiskCache({.dir = dir.path()}).store(key(9), artifact(9));
  fs::permissions(dir.path(), fs::perms(0555));
  CHECK(finish(start([&] {
          if (!become_ordinary_user()) return 100;
          DiskCache cache({.dir = dir.path()});
          if (load(cache, 9) != artifact(9)) return 101;
          return use_unwritable(dir.path(), "Permission denied");
        })) == 0);
  fs::permissions(dir.path(), fs::perms(0755));
}

TEST_CASE("disk cache: a directory that cannot be made") {
  TemporaryDirectory dir;
  spill(dir / "file", "not a directory");
  CHECK(use_unwritable(dir / "file/cache", "Not a directory") == 0);
}

TEST_CASE("disk cache: an I/O error deletes nothing") {
  TemporaryDirectory dir;
  DiskCache({.dir = dir.path()}).store(key(1), artifact(1));
  const fs::path file = dir / key(1).file_name();
  SECTION("no more open files") {
    CHECK(finish(start([&] {
            Log log;
            DiskCache cache({.dir = dir.path(), .log = log.sink()});
            const rlimit limit{0, 0};
            if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 100;
            if (load(cache, 1)) return 1;
            return log.count("cannot read") == 1 && log.lines.size() == 1 ? 0 : 2;
          })) == 0);
  }
  SECTION("no permission") {
    fs::permissions(file, fs::perms::none);
    fs::permissions(dir.path(), fs::perms(0777));
    CHECK(finish(start([&] {
            if (!become_ordinary_user()) return 100;
            DiskCache cache({.dir = dir.path()});
            return load(cache, 1) ? 1 : 0;
          })) == 0);
    fs::permissions(file, fs::perms(0644));
  }
  DiskCache cache({.dir = dir.path()});
  CHECK(load(cache, 1) == artifact(1));
}

TEST_CASE("disk cache: a directory or a pipe under an entry's name is a miss") {
  TemporaryDirectory dir;
  fs::create_directory(dir / key(1).file_name());
  REQUIRE(::mkfifo((dir / key(2).file_name()).c_str(), 0644) == 0);
  DiskCache cache({.dir = dir.path()});
  for (unsigned i : {1u, 2u}) {
    CHECK_FALSE(load(cache, i));
    cache.store(key(i), artifact(i));
    CHECK_FALSE(load(cache, i));
  }
  CHECK(cache.stats().entries == 0);
  CHECK(fs::is_directory(dir / key(1).file_name()));
}

}  // namespace
}  // namespace lacuna::runtime
