#pragma once
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace lacuna::runtime {

/// Hashes the bytes of a key; a key that has padding brings a hash of its own.
template <class Key>
struct KeyHash {
  static_assert(std::has_unique_object_representations_v<Key>,
                "a key with padding or floats needs a hash of its own");
  std::size_t operator()(const Key& key) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&key), sizeof key});
  }
};

/// From a small plain key to a shared value, in memory. A hit takes one lock and allocates nothing.
/// A value is built once per key, outside of the lock, while others who want it wait; a build that
/// throws leaves no trace, and everybody who waited gets its exception. Thread-safe.
template <class Key, class Value, class Hash = KeyHash<Key>>
class MemoryCache {
  static_assert(std::is_trivially_copyable_v<Key>, "a key is plain bytes, never text");

 public:
  using Pointer = std::shared_ptr<Value>;

  /// Above `capacity` values the least recently used leaves; 0: no limit.
  explicit MemoryCache(std::size_t capacity = 0) : capacity_(capacity) {}

  /// The value of `key`, else that of `build()`, which may not ask this cache for the same key.
  template <class Build>
  Pointer get(const Key& key, Build&& build) {
    std::unique_lock lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) {
      const std::shared_ptr<Flight> flight = found->second->flight;
      if (!flight) return touch(found->second);
      lock.unlock();
      return std::shared_future<Pointer>(flight->result).get();
    }
    const auto flight = std::make_shared<Flight>();
    entries_.push_front({key, nullptr, flight});
    index_.emplace(key, entries_.begin());
    lock.unlock();
    return land(key, *flight, std::forward<Build>(build));
  }

  /// The value where it is ready, else null.
  Pointer find(const Key& key) {
    std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : touch(found->second);
  }

  /// Forgets everything; a value that is being built still reaches those who wait for it.
  void clear() {
    std::list<Entry> forgotten;  // destroyed after the lock: unloading a kernel may take a while
    std::lock_guard lock(mutex_);
    index_.clear();
    forgotten.swap(entries_);
  }

  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  struct Flight {
    std::promise<Pointer> promise;
    std::shared_future<Pointer> result = promise.get_future().share();
  };
  struct Entry {
    Key key;
    Pointer value;
    std::shared_ptr<Flight> flight;  ///< null: the value is ready
  };
  using Place = typename std::list<Entry>::iterator;

  template <class Build>
  Pointer land(const Key& key, Flight& flight, Build&& build) {
    try {
      Pointer value = std::forward<Build>(build)();
      settle(key, flight, value);
      flight.promise.set_value(value);
      return value;
    } catch (...) {
      // Forgotten before anyone can learn of the failure, so that whoever retries builds anew.
      forget(key, flight);
      flight.promise.set_exception(std::current_exception());
      throw;
    }
  }

  Pointer touch(Place place) {
    entries_.splice(entries_.begin(), entries_, place);
    return place->value;
  }

  void settle(const Key& key, const Flight& flight, const Pointer& value) {
    std::list<Entry> leaving;
    std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end() || found->second->flight.get() != &flight) return;  // cleared since
    found->second->value = value;
    found->second->flight.reset();
    touch(found->second);
    for (auto last = entries_.end(); capacity_ && entries_.size() > capacity_;) {
      if (last == entries_.begin()) break;
      if (auto old = std::prev(last); old->flight) {
        last = old;
      } else {
        index_.erase(old->key);
        leaving.splice(leaving.end(), entries_, old);
      }
    }
  }

  void forget(const Key& key, const Flight& flight) {
    std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end() || found->second->flight.get() != &flight) return;
    entries_.erase(found->second);
    index_.erase(found);
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  ///< most recently used first
  std::unordered_map<Key, Place, Hash> index_;
};

}  // namespace lacuna::runtime
