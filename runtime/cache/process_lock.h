#pragma once
#include <chrono>
#include <filesystem>
#include <string_view>

namespace lacuna::runtime {

/// An advisory lock of one key, between all threads of all processes that use one cache directory.
/// It only spares work: whoever does not get it may go on without. The system releases it when its
/// holder dies. One file serves all keys, by locking a different byte of it for each.
class ProcessLock {
 public:
  /// Waits for at most `patience`. `digest` begins with at least 15 hex digits.
  ProcessLock(const std::filesystem::path& dir, std::string_view digest,
              std::chrono::milliseconds patience);
  ~ProcessLock();
  ProcessLock(const ProcessLock&) = delete;
  ProcessLock& operator=(const ProcessLock&) = delete;

  /// False: time ran out, or the directory does not allow locks.
  bool held() const noexcept { return held_; }
  bool timed_out() const noexcept { return timed_out_; }

 private:
  bool set(short type) const;

  int file_;
  long long byte_;
  bool held_ = false, timed_out_ = false;
};

}  // namespace lacuna::runtime
