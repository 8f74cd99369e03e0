#pragma once
#include <array>
#include <vector>

namespace lacuna::bench {

/// What a launch goes through: the causes of everything that it executes.
struct Causes {
  double ctas = 0, full = 0, partial = 0;  ///< tiles of keys that CTAs visit
};

/// What each cause costs, from launches of different mixtures: least squares of
///   count = a ctas + b full + c partial.
class Fit {
 public:
  explicit Fit(const std::vector<Causes>& launches);
  /// Whether the launches tell what one costs. Where PARTIAL tiles come with every CTA alike, a CTA
  /// contains them.
  bool knows_full() const { return known_[1]; }
  bool knows_partial() const { return known_[2]; }

  struct Cost {
    double cta = 0, full = 0, partial = 0;
  };
  Cost solve(const std::vector<double>& counts) const;

 private:
  std::vector<std::array<double, 3>> rows_;
  std::array<bool, 3> known_ = {};
  std::array<std::array<double, 3>, 3> inverse_ =
      {};  ///< of the normal equations, known parts only
};

}  // namespace lacuna::bench
