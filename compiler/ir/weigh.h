#pragma once
#include <limits>
#include <span>

namespace lacuna::ir {

/// Scores of one row, in natural units, to weights in place; -inf is a pair that does not attend.
/// Returns the statistic lse. No finite score: weights 0, -inf. NaN or +inf anywhere makes the
/// whole row NaN.

/// softmax; `sink` joins the maximum and the sum, and has no weight.
double softmax(std::span<double> scores, double sink = -std::numeric_limits<double>::infinity());

/// α-entmax by bisection to the last bit of f64; alpha 1 is softmax, outside {1} ∪ [1.01, 2] the
/// row is NaN. It has no lse: NaN, but for alpha 1.
double entmax(std::span<double> scores, double alpha);

}  // namespace lacuna::ir
