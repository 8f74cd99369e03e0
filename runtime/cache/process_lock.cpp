#include "runtime/cache/process_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <thread>

namespace lacuna::runtime {

ProcessLock::ProcessLock(const std::filesystem::path& dir, std::string_view digest,
                         std::chrono::milliseconds patience)
    : file_(::open((dir / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)), byte_(0) {
  if (file_ < 0) return;
  std::from_chars(digest.data(), digest.data() + 15, byte_, 16);
  const auto start = std::chrono::steady_clock::now();
  for (std::chrono::milliseconds pause(1); !(held_ = set(F_WRLCK));) {
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) return;
    if (std::chrono::steady_clock::now() - start >= patience) {
      timed_out_ = true;
      return;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(20));
  }
}

ProcessLock::~ProcessLock() {
  // Unlocked explicitly: a child forked meanwhile shares the open file and would keep the lock.
  if (held_) set(F_UNLCK);
  if (file_ >= 0) ::close(file_);
}

bool ProcessLock::set(short type) const {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte_;
  range.l_len = 1;
  // Locks of the open file, not of the process: two threads exclude each other too.
  return ::fcntl(file_, F_OFD_SETLK, &range) == 0;
}

}  // namespace lacuna::runtime
