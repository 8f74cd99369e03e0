#pragma once
#include "runtime/host/exec/launch.h"

#include <cstddef>
#include <vector>

namespace lacuna::runtime::host {

/// The bytes of everything that a launch may write, to begin again from.
class Snapshot {
 public:
  explicit Snapshot(const LaunchState& state);
  void restore() const;

 private:
  struct Part {
    std::byte* data = nullptr;
    std::vector<std::byte> bytes;
  };
  std::vector<Part> parts_;
};

}  // namespace lacuna::runtime::host
