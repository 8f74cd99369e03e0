#pragma once
#include <array>
#include <vector>

namespace lacuna::bench {

constexpr int cause_count = 4;

/// What a launch goes through: the causes of everything that it executes. Or a piece of it: a tile,
/// a warp of one.
struct Causes {
  double ctas = 0, full = 0, partial = 0;  ///< tiles of keys that CTAs visit
  double dead = 0;  ///< warps of PARTIAL tiles whose rows see none of the tile's keys
  std::array<double, cause_count> values() const { return {ctas, full, partial, dead}; }
};

/// What each cause costs, from launches of different mixtures: least squares of
///   count = a ctas + b full + c partial + d dead.
/// So c is of a PARTIAL tile whose warps all see some key, and -d what a warp saves that sees none.
class Fit {
 public:
  explicit Fit(const std::vector<Causes>& launches);
  /// Whether the launches tell what one costs. Where PARTIAL tiles come with every CTA alike, a CTA
  /// contains them; where the same warps of each PARTIAL tile see nothing, its cost does.
  bool knows_full() const { return known_[1]; }
  bool knows_partial() const { return known_[2]; }
  bool knows_dead() const { return known_[3]; }

  struct Cost {
    double cta = 0, full = 0, partial = 0, dead = 0;
    double of(const Causes& what) const {
      return cta * what.ctas + full * what.full + partial * what.partial + dead * what.dead;
    }
  };
  Cost solve(const std::vector<double>& counts) const;

 private:
  std::vector<std::array<double, cause_count>> rows_;
  std::array<bool, cause_count> known_ = {};
  std::array<std::array<double, cause_count>, cause_count> inverse_ =
      {};  ///< of the normal equations, known parts only
};

}  // namespace lacuna::bench
