#pragma once
#include <random>
#include <vector>

namespace lacuna::tests {

/// Rows over factors with levels[i] choices each, so that every pair of choices of two factors
/// stands in some row: a greedy cover, different for every seed.
std::vector<std::vector<int>> pairwise_cover(const std::vector<int>& levels,
                                             std::mt19937_64& random);

}  // namespace lacuna::tests
