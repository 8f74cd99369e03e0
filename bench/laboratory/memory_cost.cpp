#include "bench/laboratory/memory_cost.h"

#include <algorithm>
#include <array>
#include <bit>

namespace lacuna::bench {
namespace {

constexpr int warp_size = 32, banks = 32, word_bytes = 4, sector_bytes = 32;

template <class Visit>
void each_lane(std::uint32_t lanes, Visit visit) {
  for (; lanes != 0; lanes &= lanes - 1) visit(std::countr_zero(lanes));
}

/// The words that one bank must serve. 128 bytes go at once, so that there are no more than 32.
class Bank {
 public:
  void want(std::uint64_t word, bool again) {
    if (again ||
        std::find(words_.begin(), words_.begin() + count_, word) == words_.begin() + count_)
      words_[count_++] = word;
  }
  int count() const { return count_; }

 private:
  int count_ = 0;
  std::array<std::uint64_t, banks> words_;
};

/// The largest number of words that one bank must serve for these lanes.
int wavefronts(const std::uint64_t* at, std::uint32_t lanes, int bytes, bool atomic) {
  std::array<Bank, banks> wanted;
  each_lane(lanes, [&](int lane) {
    const std::uint64_t first = at[lane] / word_bytes, last = (at[lane] + bytes - 1) / word_bytes;
    for (std::uint64_t word = first; word <= last; ++word) wanted[word % banks].want(word, atomic);
  });
  int most = 0;
  for (const Bank& bank : wanted) most = std::max(most, bank.count());
  return most;
}

}  // namespace

Cost shared_cost(const std::uint64_t* at, std::uint32_t lanes, int bytes, bool atomic) {
  const int phase = bytes <= word_bytes ? warp_size : std::max(1, banks * word_bytes / bytes);
  Cost cost;
  for (int first = 0; first < warp_size; first += phase) {
    const std::uint32_t mask = phase == warp_size ? ~0u : ((1u << phase) - 1) << first;
    if ((lanes & mask) == 0) continue;
    cost.needed += wavefronts(at, lanes & mask, bytes, atomic);
    cost.least += 1;
  }
  return cost;
}

Cost global_cost(const std::uint64_t* at, std::uint32_t lanes, int bytes) {
  std::array<std::uint64_t, warp_size> starts;
  int count = 0;
  each_lane(lanes, [&](int lane) { starts[count++] = at[lane]; });
  std::sort(starts.begin(), starts.begin() + count);
  Cost cost;
  std::uint64_t seen = 0, sectors_seen = 0;  // ends of what has been counted
  int wanted = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t end = starts[i] + bytes, first = std::max(starts[i], seen);
    if (end <= first) continue;
    wanted += static_cast<int>(end - first);
    seen = end;
    const std::uint64_t sectors_end = (end + sector_bytes - 1) / sector_bytes;
    cost.needed += static_cast<int>(sectors_end - std::max(first / sector_bytes, sectors_seen));
    sectors_seen = sectors_end;
  }
  cost.least = (wanted + sector_bytes - 1) / sector_bytes;
  return cost;
}

}  // namespace lacuna::bench
