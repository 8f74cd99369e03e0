#pragma once
#include "runtime/clock.h"

#include <algorithm>
#include <vector>

namespace lacuna::bench {

struct Times {
  double least, median;
};

/// Milliseconds of `work`, run `rounds` times after one that is not counted.
template <class Work>
Times time(int rounds, Work work) {
  work();
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    const runtime::Clock clock;
    work();
    times.push_back(clock.milliseconds());
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

}  // namespace lacuna::bench
