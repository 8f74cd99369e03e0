#pragma once
#include "bench/entmax/distributions.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::bench {

/// The last queries of a causal head.
struct Case {
  Scores scores;
  std::int64_t keys, queries;
  int head_dim;
  double sigma, alpha;
  float cap = 0;  ///< of scores: softcap; 0: none
  bool escort = false;
  bool statistic = true;  ///< as training wants; calls without one sum no slopes
};

/// Its score statement, a line, or "".
std::string score_of(const Case& c);

std::vector<std::uint16_t> bf16_of(const std::vector<float>& values);

/// The relative error of the threshold pass's own gap, the largest of every 16th row: against
/// bisection of f64 scores of the same operands.
double gap_off(const Case& c, const std::vector<std::uint16_t>& q,
               const std::vector<std::uint16_t>& k, const std::vector<float>& zmax,
               const std::vector<float>& gap);

}  // namespace lacuna::bench
