#pragma once
#include <initializer_list>
#include <random>

namespace lacuna::fuzz {

/// Draws from one engine; the standard's distributions differ between libraries, these do not.
class Draw {
 public:
  explicit Draw(std::mt19937_64& random) : random_(random) {}
  /// 0 .. count - 1.
  int below(int count) { return static_cast<int>(random_() % static_cast<std::uint64_t>(count)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  std::uint64_t bits() { return random_(); }
  bool chance(double probability) { return unit() < probability; }
  double unit() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double between(double low, double high) { return low + (high - low) * unit(); }
  /// Mean 0, variance 1, near enough to normal.
  float normal() {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += unit();
    return static_cast<float>(sum - 6);
  }
  template <class T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[below(static_cast<int>(choices.size()))];
  }
  template <class Range>
  auto of(const Range& choices) {
    return choices[static_cast<std::size_t>(below(static_cast<int>(choices.size())))];
  }

 private:
  std::mt19937_64& random_;
};

}  // namespace lacuna::fuzz
