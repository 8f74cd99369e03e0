#include "bench/entmax/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lacuna::bench {
namespace {

double real_of(std::uint16_t bf16) {
  const std::uint32_t word = std::uint32_t{bf16} << 16;
  float value = 0;
  std::memcpy(&value, &word, 4);
  return value;
}
}  // namespace

std::string score_of(const Case& c) {
  return c.cap > 0 ? fmt::format("  score softcap(score, {:.1f})\n", c.cap) : "";
}

std::vector<std::uint16_t> bf16_of(const std::vector<float>& values) {
  std::vector<std::uint16_t> bits(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, &values[i], 4);
    bits[i] = static_cast<std::uint16_t>((word + 0x7fff + (word >> 16 & 1)) >> 16);
  }
  return bits;
}

double gap_off(const Case& c, const std::vector<std::uint16_t>& q,
               const std::vector<std::uint16_t>& k, const std::vector<float>& zmax,
               const std::vector<float>& gap) {
  double worst = 0;
  const auto depth = static_cast<std::size_t>(c.head_dim);
  const auto first = static_cast<std::size_t>(c.keys - c.queries);
  for (std::size_t row = 5; row < gap.size(); row += 16) {
    std::vector<double> x(first + row + 1);
    for (std::size_t key = 0; key < x.size(); ++key) {
      double dot = 0;
      for (std::size_t d = 0; d < depth; ++d)
        dot += real_of(q[(first + row) * depth + d]) * real_of(k[key * depth + d]);
      const double z = dot / std::sqrt(c.head_dim);
      x[key] = (c.alpha - 1) * (c.cap > 0 ? c.cap * std::tanh(z / c.cap) : z);
    }
    const double most = *std::max_element(x.begin(), x.end());
    double low = 0, high = 1;  // of the gap
    for (int n = 0; n < 60; ++n) {
      const double t = (low + high) / 2;
      double sum = 0;
      for (const double one : x)
        if (one - most + t > 0) sum += std::pow(one - most + t, 1 / (c.alpha - 1));
      (sum < 1 ? low : high) = t;
    }
    const double z_off = std::fabs((c.alpha - 1) * double(zmax[row]) - most);
    worst = std::max({worst, std::fabs(gap[row] - low) / low, z_off / low});
  }
  return worst;
}

}  // namespace lacuna::bench
