#include "compiler/ir/weigh.h"

#include "compiler/ir/call.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lacuna::ir {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// The largest score; NaN where one is NaN.
double maximum(std::span<const double> scores) {
  double largest = -infinity;
  for (double score : scores) {
    if (std::isnan(score)) return nan;
    largest = std::max(largest, score);
  }
  return largest;
}

double poison(std::span<double> scores) {
  std::ranges::fill(scores, nan);
  return nan;
}

double nothing(std::span<double> scores) {
  std::ranges::fill(scores, 0.0);
  return -infinity;
}

}  // namespace

double softmax(std::span<double> scores, double sink) {
  const double largest = maximum(scores);
  if (largest == -infinity) return nothing(scores);
  if (std::isnan(largest) || largest == infinity || std::isnan(sink) || sink == infinity)
    return poison(scores);
  const double shift = std::max(largest, sink);
  double sum = std::exp(sink - shift);
  for (double& score : scores) sum += score = std::exp(score - shift);
  for (double& score : scores) score /= sum;
  return shift + std::log(sum);
}

Threshold entmax(std::span<double> scores, double alpha) {
  if (alpha == 1) return {softmax(scores), 0};
  const double largest = maximum(scores);
  if (largest == -infinity) return {nothing(scores), 1};
  if (!is_alpha(static_cast<float>(alpha)) || std::isnan(largest) || largest == infinity)
    return {poison(scores), nan};

  // With c = alpha - 1 and x = c (z - zmax), weights are [x + t]₊^(1/c) and t lies in (0, 1]: a
  // score with x <= -1 is out whatever t is.
  const double c = alpha - 1, power = 1 / c;
  std::vector<double> reach;
  for (double score : scores)
    if (c * (score - largest) > -1) reach.push_back(c * (score - largest));
  const auto weight = [&](double x, double t) { return x + t > 0 ? std::pow(x + t, power) : 0.0; };
  double low = 0, high = 1;
  for (double t = 0.5; t > low && t < high; t = low + (high - low) / 2) {
    double sum = 0;
    for (double x : reach) sum += weight(x, t);
    (sum < 1 ? low : high) = t;
  }
  double sum = 0;
  for (double& score : scores) sum += score = weight(c * (score - largest), high);
  for (double& score : scores) score /= sum;
  return {largest, high};
}

}  // namespace lacuna::ir
