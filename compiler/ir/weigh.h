#pragma once
#include <limits>
#include <span>

namespace lacuna::ir {

/// Scores of one row, in natural units, to weights in place; -inf is a pair that does not attend.
/// Returns the statistic. No finite score: weights 0. NaN or +inf anywhere makes the whole row NaN,
/// its statistic too.

/// softmax; `sink` joins the maximum and the sum, and has no weight. Returns lse, -inf for no
/// score.
double softmax(std::span<double> scores, double sink = -std::numeric_limits<double>::infinity());

/// The largest score, and the gap t = c zmax - τ in [n^-c, 1] with c = α - 1: weights are
/// [c (z - zmax) + t]₊^(1/c). No score: -inf and 1. Where alpha is 1: the lse, and 0.
struct Threshold {
  double zmax = -std::numeric_limits<double>::infinity(), gap = 1;
};

/// α-entmax by bisection to the last bit of f64; alpha 1 is softmax, its statistic {lse, 0};
/// outside {1} ∪ [1.01, 2] the row is NaN.
Threshold entmax(std::span<double> scores, double alpha);

}  // namespace lacuna::ir
