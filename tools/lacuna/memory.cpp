#include "tools/lacuna/memory.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

namespace lacuna::tool {
namespace {

constexpr double gib = 1024.0 * 1024 * 1024;

}  // namespace

double Wanted::bytes() const {
  double count = static_cast<double>(size_of(dtype));
  for (std::int64_t extent : shape) count *= static_cast<double>(extent);
  return count;
}

double memory_limit() {
  double limit =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  for (const char* file :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    double allowed = 0;
    // "max" is no number, and no limit.
    if (std::ifstream(file) >> allowed && allowed > 0) limit = std::min(limit, allowed);
  }
  return limit;
}

void check_fits(const std::vector<Wanted>& all, double limit) {
  double total = 0;
  const Wanted* largest = nullptr;
  for (const Wanted& one : all) {
    total += one.bytes();
    if (!largest || one.bytes() > largest->bytes()) largest = &one;
  }
  if (2 * total <= limit) return;
  throw Error(ErrorKind::argument,
              fmt::format("{} needs {:.1f} GiB and all tensors {:.1f} GiB, twice with the device's "
                          "copies; this machine has {:.1f} GiB",
                          largest->name, largest->bytes() / gib, total / gib, limit / gib));
}

void check_head(const Wanted& operand) {
  std::int64_t rows = operand.shape.at(2), apart = operand.shape.at(3);
  if (operand.bytes() == 0) return;
  if ((rows - 1) * apart <= std::numeric_limits<std::int32_t>::max()) return;
  throw Error(ErrorKind::argument,
              fmt::format("{}: one head spans 2^31 elements or more ({} rows, {} apart)",
                          operand.name, rows, apart));
}

}  // namespace lacuna::tool
