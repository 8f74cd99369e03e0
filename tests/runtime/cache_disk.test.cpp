#include "lacuna/error.hpp"

#include "runtime/cache/disk_cache.h"
#include "tests/catch.h"
#include "tests/runtime/cache_fixture.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <set>
#include <stdexcept>

namespace lacuna::runtime {
namespace {

using test::age;
using test::artifact;
using test::key;
using test::Log;
using test::set_age;
using test::slurp;
using test::spill;
using test::TemporaryDirectory;
namespace fs = std::filesystem;

std::optional<Artifact> load(DiskCache& cache, unsigned number) {
  return cache.load(key(number), artifact(number, 0).source);
}

TEST_CASE("disk cache: what was stored comes back, in this object and in another") {
  TemporaryDirectory dir;
  Log log;
  DiskCache cache({.dir = dir / "made/on/demand", .log = log.sink()});
  CHECK_FALSE(load(cache, 1));
  cache.store(key(1), artifact(1));
  CHECK(load(cache, 1) == artifact(1));
  DiskCache other({.dir = dir / "made/on/demand"});
  CHECK(load(other, 1) == artifact(1));
  CHECK_FALSE(load(other, 2));
  const fs::path file = dir / "made/on/demand" / key(1).file_name();
  CHECK(key(1).file_name() == key(1).digest + ".sm_90a.cubin.lacuna");
  CHECK(fs::exists(file));
  const DiskCache::Stats stats = cache.stats();
  CHECK(stats.entries == 1);
  CHECK(stats.bytes == fs::file_size(file));
  CHECK(stats.hits == 1);
  CHECK(stats.misses == 1);
  CHECK(stats.stores == 1);
  CHECK(log.lines.empty());
  CHECK(std::distance(fs::directory_iterator(dir / "made/on/demand"), {}) == 1);
}

TEST_CASE("disk cache: get builds once, and a failed build is not remembered") {
  TemporaryDirectory dir;
  DiskCache cache({.dir = dir.path()});
  const std::string source = artifact(1).source;
  auto fail = []() -> Artifact { throw std::runtime_error("no"); };
  CHECK_THROWS_AS(cache.get(key(1), source, fail), std::runtime_error);
  CHECK(cache.stats().entries == 0);
  int builds = 0;
  for (int round = 0; round < 3; ++round) {
    CHECK(cache.get(key(1), source, [&] { return ++builds, artifact(1); }) == artifact(1));
  }
  CHECK(builds == 1);
  CHECK(cache.stats().hits == 2);
}

TEST_CASE("disk cache: corrupt, truncated and foreign content is a miss, deleted, and replaced") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  TemporaryDirectory dir;
  const fs::path file = dir / key(1).file_name();
  Log log;
  DiskCache cache({.dir = dir.path(), .log = log.sink()});
  for (int round = 0; round < 60; ++round) {
    cache.store(key(1), artifact(1, 300));
    REQUIRE(load(cache, 1) == artifact(1, 300));
    std::string bytes = slurp(file);
    if (round % 3 == 0) bytes[random() % bytes.size()] ^= static_cast<char>(1 + random() % 255);
    if (round % 3 == 1) bytes.resize(random() % bytes.size());
    if (round % 3 == 2) bytes = std::string(random() % 200, static_cast<char>(random()));
    spill(file, bytes);
    REQUIRE_FALSE(load(cache, 1));
    REQUIRE_FALSE(fs::exists(file));
    REQUIRE(log.lines.size() == round + 1u);
    REQUIRE(log.lines.back().find("is corrupt and was deleted: artifact: ") != std::string::npos);
  }
  CHECK(cache.stats().rejected == 60);
}

TEST_CASE("disk cache: an entry under another's name is not believed") {
  TemporaryDirectory dir;
  Log log;
  DiskCache cache({.dir = dir.path(), .log = log.sink()});
  cache.store(key(1), artifact(1));
  CacheKey other = key(1);
  other.arch = {80, 0};
  fs::rename(dir / key(1).file_name(), dir / other.file_name());
  CHECK_FALSE(cache.load(other, artifact(1).source));
  CHECK(log.count("its content belongs to " + key(1).file_name()) == 1);
}

TEST_CASE("disk cache: the same digest of another source is a miss") {
  TemporaryDirectory dir;
  Log log;
  DiskCache cache({.dir = dir.path(), .log = log.sink()});
  cache.store(key(1), artifact(1));
  CHECK_FALSE(cache.load(key(1), "// another source"));
  CHECK(log.count("another source under the same digest") == 1);
  CHECK(load(cache, 1) == artifact(1));
}

TEST_CASE("disk cache: shared directories are read after ours and never written") {
  TemporaryDirectory dir;
  DiskCache first({.dir = dir / "first"}), second({.dir = dir / "second"});
  Log log;
  first.store(key(1), artifact(1));
  second.store(key(1), artifact(1, 1)), second.store(key(2), artifact(2));
  spill(dir / "second" / key(3).file_name(), "foreign");
  DiskCache cache({.dir = dir / "ours",
                   .shared_dirs = {dir / "missing", dir / "first", dir / "second"},
                   .log = log.sink()});
  CHECK(log.lines.size() == 1);
  CHECK(log.count("missing is not a directory") == 1);
  CHECK(load(cache, 1) == artifact(1));
  CHECK(load(cache, 2) == artifact(2));
  CHECK_FALSE(load(cache, 3));
  CHECK(fs::exists(dir / "second" / key(3).file_name()));
  CHECK_FALSE(fs::exists(dir / "ours"));
  cache.store(key(3), artifact(3));
  CHECK(load(cache, 3) == artifact(3));
  CHECK(cache.stats().entries == 1);
  DiskCache only_shared({.shared_dirs = {dir / "first"}});
  CHECK(load(only_shared, 1) == artifact(1));
  only_shared.store(key(9), artifact(9));
  CHECK_FALSE(load(only_shared, 9));
}

TEST_CASE("disk cache: the least recently used entries leave, down to 80 %") {
  TemporaryDirectory dir;
  const std::uint64_t size = serialize(artifact(100)).size();
  DiskCache cache({.dir = dir.path(), .max_bytes = size * 10});
  for (unsigned i = 100; i < 110; ++i) {
    cache.store(key(i), artifact(i));
    set_age(dir / key(i).file_name(), 1000 + (i * 7 % 10) * 60);  // 100, 103, 106 ... by age
  }
  REQUIRE(cache.stats().entries == 10);
  spill(dir / "README", std::string(100000, 'x'));
  spill(dir / "mine.lacuna", std::string(100000, 'x'));
  cache.store(key(110), artifact(110));
  std::set<std::string> expected = {"README", "mine.lacuna", key(110).file_name()}, left;
  for (unsigned age = 0; age < 7; ++age) {
    for (unsigned i = 100; i < 110; ++i) {
      if (i * 7 % 10 == age) expected.insert(key(i).file_name());
    }
  }
  for (const auto& entry : fs::directory_iterator(dir.path())) left.insert(entry.path().filename());
  CHECK(left == expected);
  CHECK(cache.stats().bytes == 8 * size);
}

TEST_CASE("disk cache: another process's entries count towards the size") {
  TemporaryDirectory dir;
  const std::uint64_t size = serialize(artifact(100)).size();
  for (unsigned i = 100; i < 120; ++i) {
    DiskCache({.dir = dir.path(), .max_bytes = size * 10}).store(key(i), artifact(i));
    set_age(dir / key(i).file_name(), 5000 - i);
  }
  DiskCache cache({.dir = dir.path(), .max_bytes = size * 10});
  CHECK(cache.stats().bytes <= size * 10);
  CHECK(load(cache, 119) == artifact(119));
  CHECK_FALSE(load(cache, 100));
  DiskCache tiny({.dir = dir.path(), .max_bytes = 100});
  tiny.store(key(1), artifact(1));  // larger than all that there may be
  CHECK_FALSE(load(tiny, 1));
  CHECK(load(tiny, 119) == artifact(119));
}

TEST_CASE("disk cache: a hit renews an entry at most daily") {
  TemporaryDirectory dir;
  DiskCache cache({.dir = dir.path()});
  cache.store(key(1), artifact(1));
  const fs::path file = dir / key(1).file_name();
  constexpr long hour = 3600, day = 24 * hour;
  for (long before : {3 * hour, 3 * day, -3 * day}) {
    set_age(file, before);
    CHECK(load(cache, 1));
    CHECK(std::abs(age(file) - (before == 3 * hour ? before : 0)) < 60);
  }
}

TEST_CASE("disk cache: clear deletes entries and nothing else, verify names the bad ones") {
  TemporaryDirectory dir;
  DiskCache cache({.dir = dir.path()});
  for (unsigned i = 0; i < 5; ++i) cache.store(key(i), artifact(i));
  CHECK(cache.verify().empty());
  spill(dir / key(3).file_name(), slurp(dir / key(3).file_name()) + "x");
  spill(dir / "notes.txt", "keep me");
  const auto faults = cache.verify();
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].path == dir / key(3).file_name());
  CHECK(faults[0].reason.find("the header claims") != std::string::npos);
  CHECK(cache.entries().size() == 5);
  CHECK(cache.clear().entries == 5);
  CHECK(cache.stats().entries == 0);
  CHECK(slurp(dir / "notes.txt") == "keep me");
  CHECK(DiskCache({}).clear().entries == 0);
}

TEST_CASE("disk cache: what killed writers left is removed after an hour") {
  TemporaryDirectory dir;
  const std::string name = "." + key(1).file_name() + ".17-abc.tmp";
  const std::string young = "." + key(2).file_name() + ".18-abc.tmp";
  for (const std::string& file : {name, young, std::string(".mine.tmp")}) spill(dir / file, "half");
  set_age(dir / name, 4000), set_age(dir / ".mine.tmp", 4000);
  const std::uint64_t size = serialize(artifact(1)).size();
  DiskCache cache({.dir = dir.path(), .max_bytes = 2 * size});
  for (unsigned i = 1; i <= 3; ++i) cache.store(key(i), artifact(i));
  CHECK_FALSE(fs::exists(dir / name));
  CHECK(fs::exists(dir / young));
  CHECK(fs::exists(dir / ".mine.tmp"));
}

struct FakeCompiler : Compiler {
  std::string name_and_version = "fake 1.0", flags = "-O3\n";
  std::string_view name() const override { return "fake"; }
  std::string identity() const override { return name_and_version; }
  std::string options(const codegen::Source&, const CompileOptions&) const override {
    return flags;
  }
  Artifact compile(const codegen::Source&, const CompileOptions&) const override { return {}; }
};

TEST_CASE("disk cache: the key covers everything that a compiler sees") {
  using Headers = std::vector<codegen::TemplateFile>;
  const codegen::Source source{"a.cu", "f", "text", 128, 1024, 64};
  const Headers headers = {{"h.cuh", "1"}, {"i.cuh", "2"}};
  const FakeCompiler compiler;
  const CompileOptions options{.arch = {90, 'a'}, .format = Format::cubin};
  std::set<std::string> digests;
  int variants = 0;
  auto add = [&](auto&& change) {
    codegen::Source s = source;
    Headers h = headers;
    FakeCompiler c;
    CompileOptions o = options;
    change(s, h, c, o);
    const CacheKey made = cache_key(s, h, c, o);
    REQUIRE(made.digest.size() == 32);
    REQUIRE(made.arch == o.arch);
    digests.insert(made.digest);
    ++variants;
  };
  add([](auto&...) {});
  add([](auto& s, auto&...) { s.name = "b.cu"; });
  add([](auto& s, auto&...) { s.entry = "g"; });
  add([](auto& s, auto&...) { s.text += " "; });
  add([](auto& s, auto&...) { s.threads = 256; });
  add([](auto& s, auto&...) { s.shared_bytes = 0; });
  add([](auto& s, auto&...) { s.param_bytes = 65; });
  add([](auto&, auto& h, auto&...) { h[0].text = "12"; });
  add([](auto&, auto& h, auto&...) { h[0].name = "j.cuh"; });
  add([](auto&, auto& h, auto&...) { h.pop_back(); });
  add([](auto&, auto& h, auto&...) { std::swap(h[0], h[1]); });
  add([](auto&, auto&, auto& c, auto&) { c.name_and_version = "fake 1.1"; });
  add([](auto&, auto&, auto& c, auto&) { c.flags = "-O2\n"; });
  add([](auto&, auto&, auto&, auto& o) { o.arch = {90, 0}; });
  add([](auto&, auto&, auto&, auto& o) { o.format = Format::ptx; });
  add([](auto&, auto&, auto&, auto& o) { o.line_info = false; });
  add([](auto&, auto&, auto&, auto& o) { o.keep_ir = true; });
  CHECK(digests.size() == static_cast<std::size_t>(variants));
  CHECK(cache_key(source, headers, compiler, options) ==
        cache_key(source, headers, compiler, options));
}

TEST_CASE("disk cache: a hit costs microseconds") {
  TemporaryDirectory dir;
  DiskCache cache({.dir = dir.path()});
  const Artifact stored = artifact(1, 50000);
  cache.store(key(1), stored);
  double best = std::numeric_limits<double>::infinity();
  for (int batch = 0; batch < 50; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) REQUIRE(cache.load(key(1), stored.source));
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - start;
    best = std::min(best, spent.count() / 20);
  }
  WARN("disk hit of 50 kB: " << best << " us");
  CHECK(best < 5000);
}

}  // namespace
}  // namespace lacuna::runtime
