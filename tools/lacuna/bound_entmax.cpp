#include "tools/lacuna/bound_entmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lacuna::tool {
namespace {

constexpr double u = 0x1p-24;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// How far the kernel's t may be from the one of its scores, relative to it.
double tolerance(DType dtype) {
  return dtype == DType::bf16 ? 0x1p-8 : dtype == DType::f16 ? 0x1p-12 : 0x1p-20;
}

class Weighing {
 public:
  Weighing(std::span<Pair> pairs, const EntmaxFacts& facts) : pairs_(pairs), facts_(facts) {
    beta_ = 1 / c_;
    const double nearest = std::round(beta_);
    products_ = facts.constant && nearest <= 4 && std::fabs(beta_ - nearest) < 1e-5;
  }

  EntmaxRow run() {
    EntmaxRow row{.zmax = zmax_error(), .largest = power(t_)};
    find_shift();
    row.gap = c_ * (row.zmax + shift_) + (tol_ + 4 * u) * t_;
    const double astray = sum_astray(), divided = astray < 1 ? astray / (1 - astray) : infinity;
    row.common = 0;
    for (Pair& pair : pairs_) row.common += weigh(pair, divided);
    return row;
  }

  EntmaxRow run_escort() {
    find_shift();
    const double most = slope(t_);
    double sum = 0, changes = 0;
    for (Pair& pair : pairs_) {
      const double r = r_of(pair), e = reach(pair);
      pair.weight = slope(r);
      pair.counts = r + e > 0;
      pair.change = pair.counts ? std::max(std::min(slope(r + e), most) - pair.weight,
                                           pair.weight - slope(r - e))
                                : 0;
      sum += pair.weight;
      changes += pair.change;
    }
    const double astray = changes / sum, divided = astray < 1 ? astray / (1 - astray) : infinity;
    double common = 0;
    for (Pair& pair : pairs_) {
      if (!pair.counts) continue;
      const double raised = raising(std::min((r_of(pair) + reach(pair)) / t_, 1.0));
      pair.change = (pair.change + (pair.weight + pair.change) * (divided + raised)) / sum;
      pair.weight /= sum;
      common += (pair.weight + pair.change) * raised;
    }
    return {.zmax = 0, .gap = 0, .common = common, .largest = most / sum};
  }

 private:
  double power(double r) const { return r > 0 ? std::pow(r, beta_) : 0; }
  double slope(double r) const { return r > 0 ? std::pow(r, beta_ - 1) : 0; }
  /// Whether the live pass runs again until the gap is the one of its own scores.
  bool repeats() const { return facts_.dtype != DType::bf16; }
  double r_of(const Pair& pair) const { return c_ * (pair.score - m_) + t_; }
  double arithmetic(const Pair& pair) const {
    return u * (4 * c_ * std::fabs(pair.score - m_) + t_);
  }
  double reach(const Pair& pair) const {
    const bool saturates = r_of(pair) + 2 * c_ * (gate_ + pair.error) >= t_;
    return c_ * (pair.error + shift_ + (saturates ? gate_ : 0)) + arithmetic(pair) + tol_ * t_ +
           (repeats() ? 0 : c_ * gate_);
  }

  double zmax_error() const {
    double low = -infinity, high = -infinity;
    for (const Pair& pair : pairs_) {
      low = std::max(low, pair.score - pair.error);
      high = std::max(high, pair.score + pair.error);
    }
    return std::max(high - m_, m_ - low) + gate_;
  }

  /// A shift that holds leaves out keys that cannot count under it, and what is then the largest
  /// error of the others holds as well.
  void find_shift() {
    shift_ = infinity;
    for (int round = 0; round < 4; ++round) {
      double largest = 0;
      for (const Pair& pair : pairs_)
        if (r_of(pair) + c_ * (pair.error + shift_) > 0) largest = std::max(largest, pair.error);
      shift_ = largest;
    }
  }

  double sum_astray() const {
    double sum = 0;
    for (const Pair& pair : pairs_) {
      const double high = r_of(pair) + reach(pair);
      if (!(high > 0)) continue;
      if (high == infinity) return infinity;
      double off = tol_ * t_ + arithmetic(pair);
      if (!repeats()) off += c_ * (pair.error + shift_ + gate_);
      sum += power(high) - power(high - off);
    }
    return sum;
  }

  /// Returns what the pair adds to the relative error of the sum of all.
  double weigh(Pair& pair, double divided) const {
    const double r = r_of(pair), e = reach(pair);
    pair.weight = power(r);
    pair.counts = r + e > 0;
    if (!pair.counts) return 0;
    const double low = power(r - e), high = std::min(power(r + e), 1.0);
    const double raised = raising(std::min((r + e) / t_, 1.0));
    pair.change = std::max(high - pair.weight, pair.weight - low) + high * (divided + raised);
    pair.change = std::min(pair.change, std::max(pair.weight, 1 - pair.weight));
    return high * raised;
  }

  /// The relative error of x^β, which says nothing of weights that vanish beside 1.
  double raising(double x) const {
    const double log = std::max(std::fabs(std::log(x)), 0.0);
    if (products_) return u * beta_ * (1 + 4 * log);
    return 0x1p-22 * (1 + M_LN2 * beta_ + 2 * beta_ * log);
  }

  std::span<Pair> pairs_;
  const EntmaxFacts& facts_;
  double c_ = facts_.alpha - 1, m_ = facts_.zmax, t_ = facts_.gap, tol_ = tolerance(facts_.dtype);
  double gate_ = (facts_.dot + 2 * u) * (facts_.of_zmax * std::fabs(m_) + facts_.of_reach / c_);
  double beta_, shift_ = 0;
  bool products_;
};

}  // namespace

EntmaxRow weigh_entmax(std::span<Pair> pairs, const EntmaxFacts& facts) {
  return Weighing(pairs, facts).run();
}

EntmaxRow weigh_escort(std::span<Pair> pairs, const EntmaxFacts& facts) {
  return Weighing(pairs, facts).run_escort();
}

}  // namespace lacuna::tool
