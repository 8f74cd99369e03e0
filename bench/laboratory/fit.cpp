#include "bench/laboratory/fit.h"

#include <cmath>
#include <cstddef>
#include <utility>

namespace lacuna::bench {
namespace {

using Matrix = std::array<std::array<double, 3>, 3>;

/// Inverts by Gauss-Jordan; false where the matrix is singular as numbers of tiles go.
bool invert(Matrix a, Matrix& inverse) {
  inverse = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  for (std::size_t c = 0; c < 3; ++c) {
    std::size_t pivot = c;
    for (std::size_t r = c; r < 3; ++r)
      if (std::abs(a[r][c]) > std::abs(a[pivot][c])) pivot = r;
    if (std::abs(a[pivot][c]) < 1e-6) return false;
    std::swap(a[c], a[pivot]);
    std::swap(inverse[c], inverse[pivot]);
    const double scale = 1 / a[c][c];
    for (std::size_t k = 0; k < 3; ++k) a[c][k] *= scale, inverse[c][k] *= scale;
    for (std::size_t r = 0; r < 3; ++r) {
      const double times = r == c ? 0 : a[r][c];
      for (std::size_t k = 0; k < 3; ++k)
        a[r][k] -= times * a[c][k], inverse[r][k] -= times * inverse[c][k];
    }
  }
  return true;
}

/// X'X of the known causes; the others get a one on the diagonal, so that they fall out as 0.
Matrix normal_equations(const std::vector<std::array<double, 3>>& rows,
                        const std::array<bool, 3>& known) {
  Matrix m = {};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t k = 0; k < 3; ++k) {
      if (!known[i] || !known[k]) {
        m[i][k] = i == k;
        continue;
      }
      for (const auto& row : rows) m[i][k] += row[i] * row[k];
    }
  return m;
}

}  // namespace

Fit::Fit(const std::vector<Causes>& launches) {
  for (const Causes& one : launches) rows_.push_back({one.ctas, one.full, one.partial});
  using Known = std::array<bool, 3>;
  for (const Known& known :
       {Known{true, true, true}, Known{true, true, false}, Known{true, false, true}, Known{true}})
    if (invert(normal_equations(rows_, known), inverse_)) {
      known_ = known;
      return;
    }
}

Fit::Cost Fit::solve(const std::vector<double>& counts) const {
  std::array<double, 3> right = {}, found = {};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t r = 0; r < rows_.size(); ++r)
      if (known_[i]) right[i] += rows_[r][i] * counts[r];
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t k = 0; k < 3; ++k) found[i] += inverse_[i][k] * right[k];
  return {found[0], found[1], found[2]};
}

}  // namespace lacuna::bench
