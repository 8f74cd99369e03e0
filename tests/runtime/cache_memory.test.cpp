#include "runtime/cache/memory_cache.h"
#include "tests/catch.h"
#include "tests/runtime/random.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace lacuna::runtime {
namespace {

using namespace std::chrono_literals;

struct Key {
  std::uint64_t digest[2];
  std::uint32_t pass, variant;
  bool operator==(const Key&) const = default;
};
Key key(std::uint64_t number) {
  return {{number, ~number}, 1, 2};
}

using Cache = MemoryCache<Key, const std::string>;
Cache::Pointer made(const std::string& text) {
  return std::make_shared<const std::string>(text);
}

template <class Work>
void on_threads(int count, Work&& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("memory cache: many threads build each value exactly once") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  constexpr int keys = 40;
  Cache cache;
  std::vector<std::atomic<int>> builds(keys);
  std::atomic<int> wrong = 0;
  on_threads(16, [&](int thread) {
    std::mt19937 random(seed + thread);
    for (int round = 0; round < 500; ++round) {
      const int number = random() % keys;
      const auto value = cache.get(key(number), [&] {
        ++builds[number];
        std::this_thread::sleep_for(1ms);
        return made(std::to_string(number));
      });
      wrong += *value != std::to_string(number);
    }
  });
  CHECK(wrong == 0);
  CHECK(cache.size() == keys);
  for (const auto& count : builds) CHECK(count == 1);
}

TEST_CASE("memory cache: nobody waits for another key's build") {
  Cache cache;
  std::latch started(1), release(1);
  std::thread slow([&] {
    cache.get(key(1), [&] {
      started.count_down();
      release.wait();
      return made("slow");
    });
  });
  started.wait();
  CHECK(*cache.get(key(2), [] { return made("quick"); }) == "quick");
  CHECK(*cache.get(key(2), [] { return made("never"); }) == "quick");
  CHECK(cache.find(key(1)) == nullptr);
  release.count_down();
  slow.join();
  CHECK(*cache.find(key(1)) == "slow");
}

TEST_CASE("memory cache: a failed build reaches every waiter and leaves no trace") {
  Cache cache;
  constexpr int waiters = 8;
  std::atomic<int> failures = 0, attempts = 0, recovered = 0;
  std::latch ready(waiters);
  on_threads(waiters, [&](int) {
    ready.arrive_and_wait();
    try {
      cache.get(key(7), [&]() -> Cache::Pointer {
        ++attempts;
        std::this_thread::sleep_for(50ms);
        throw std::runtime_error("no such register");
      });
    } catch (const std::runtime_error& error) {
      failures += error.what() == std::string("no such register");
      // The failure is known, so the entry has to be gone: this must not see the old error.
      recovered += *cache.get(key(7), [] { return made("second"); }) == "second";
    }
  });
  // A thread so late that it meets the second build gets a value and no failure.
  CHECK(attempts >= 1);
  CHECK(failures >= attempts);
  CHECK(recovered == failures);
  CHECK(*cache.find(key(7)) == "second");
  CHECK(cache.size() == 1);
}

TEST_CASE("memory cache: the least recently used value leaves") {
  Cache cache(3);
  for (int i = 1; i <= 3; ++i) cache.get(key(i), [&] { return made(std::to_string(i)); });
  cache.get(key(1), [] { return made("again"); });
  const auto held = cache.find(key(2));
  cache.find(key(3));
  cache.find(key(1));  // by use: 1 3 2
  cache.get(key(4), [] { return made("4"); });
  CHECK(cache.size() == 3);
  CHECK(cache.find(key(2)) == nullptr);
  CHECK(*held == "2");
  CHECK(*cache.find(key(1)) == "1");
  CHECK(cache.find(key(3)) != nullptr);
  CHECK(cache.find(key(4)) != nullptr);
}

TEST_CASE("memory cache: what is being built is not evicted") {
  Cache cache(1);
  std::latch started(1), release(1);
  std::thread slow([&] {
    cache.get(key(1), [&] {
      started.count_down();
      release.wait();
      return made("slow");
    });
  });
  started.wait();
  for (int i = 2; i < 6; ++i) cache.get(key(i), [&] { return made("x"); });
  release.count_down();
  CHECK(*cache.get(key(1), [] { return made("twice"); }) == "slow");
  slow.join();
  CHECK(cache.size() == 1);
}

TEST_CASE("memory cache: clearing during a build loses only the entry") {
  Cache cache;
  std::latch started(1), release(1);
  Cache::Pointer value;
  std::thread slow([&] {
    value = cache.get(key(1), [&] {
      started.count_down();
      release.wait();
      return made("slow");
    });
  });
  started.wait();
  cache.clear();
  release.count_down();
  slow.join();
  CHECK(*value == "slow");
  CHECK(cache.size() == 0);
}

double best_nanoseconds_of_a_hit(Cache& cache, int keys) {
  double best = std::numeric_limits<double>::infinity();
  for (int batch = 0; batch < 50; ++batch) {
    constexpr int count = 2000;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) cache.get(key(i % keys), [] { return made("never"); });
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    best = std::min(best, spent.count() / count);
  }
  return best;
}

TEST_CASE("memory cache: a hit takes less than a microsecond") {
  Cache cache(1000);
  for (int i = 0; i < 200; ++i) cache.get(key(i), [] { return made("value"); });
  const double nanoseconds = best_nanoseconds_of_a_hit(cache, 200);
  WARN("memory hit: " << nanoseconds << " ns");
  CHECK(nanoseconds < 1000);
}

}  // namespace
}  // namespace lacuna::runtime
