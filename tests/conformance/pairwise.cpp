#include "tests/conformance/pairwise.h"

namespace lacuna::tests {
namespace {

/// The pairs of choices that no row has yet.
class Uncovered {
 public:
  explicit Uncovered(const std::vector<int>& levels) : levels_(levels) {
    const std::size_t n = levels.size();
    open_.resize(n * n);
    for (std::size_t a = 0; a < n; ++a)
      for (std::size_t b = a + 1; b < n; ++b) {
        open_[a * n + b].assign(levels[a] * levels[b], true);
        left_ += levels[a] * levels[b];
      }
  }
  int left() const { return left_; }

  int gain(const std::vector<int>& row) const {
    int gain = 0;
    for (std::size_t a = 0; a < row.size(); ++a)
      for (std::size_t b = a + 1; b < row.size(); ++b) gain += pair(a, b)[at(row, a, b)];
    return gain;
  }
  void cover(const std::vector<int>& row) {
    for (std::size_t a = 0; a < row.size(); ++a)
      for (std::size_t b = a + 1; b < row.size(); ++b) {
        auto&& open = open_[a * levels_.size() + b][at(row, a, b)];
        left_ -= open;
        open = false;
      }
  }
  /// Forces some pair that is still open into a row, so that every row makes progress.
  void seed(std::vector<int>& row, std::mt19937_64& random) const {
    std::size_t skip = random() % left_;
    for (std::size_t a = 0; a < row.size(); ++a)
      for (std::size_t b = a + 1; b < row.size(); ++b)
        for (int i = 0; i < levels_[a] * levels_[b]; ++i)
          if (pair(a, b)[i] && skip-- == 0) {
            row[a] = i / levels_[b];
            row[b] = i % levels_[b];
            return;
          }
  }

 private:
  const std::vector<bool>& pair(std::size_t a, std::size_t b) const {
    return open_[a * levels_.size() + b];
  }
  int at(const std::vector<int>& row, std::size_t a, std::size_t b) const {
    return row[a] * levels_[b] + row[b];
  }

  std::vector<int> levels_;
  std::vector<std::vector<bool>> open_;
  int left_ = 0;
};

}  // namespace

std::vector<std::vector<int>> pairwise_cover(const std::vector<int>& levels,
                                             std::mt19937_64& random) {
  constexpr int candidates = 40;
  Uncovered uncovered(levels);
  std::vector<std::vector<int>> rows;
  while (uncovered.left() > 0) {
    std::vector<int> best;
    int best_gain = -1;
    for (int i = 0; i < candidates; ++i) {
      std::vector<int> row;
      for (const int level : levels) row.push_back(static_cast<int>(random() % level));
      uncovered.seed(row, random);
      if (const int gain = uncovered.gain(row); gain > best_gain) best = row, best_gain = gain;
    }
    uncovered.cover(best);
    rows.push_back(best);
  }
  return rows;
}

}  // namespace lacuna::tests
