#include "bench/laboratory/fit.h"

#include <cmath>
#include <cstddef>
#include <utility>

namespace lacuna::bench {
namespace {

constexpr std::size_t size = cause_count;
using Row = std::array<double, size>;
using Matrix = std::array<Row, size>;
using Known = std::array<bool, size>;

/// Inverts by Gauss-Jordan; false where the matrix is singular as numbers of tiles go.
bool invert(Matrix a, Matrix& inverse) {
  inverse = {};
  for (std::size_t c = 0; c < size; ++c) inverse[c][c] = 1;
  for (std::size_t c = 0; c < size; ++c) {
    std::size_t pivot = c;
    for (std::size_t r = c; r < size; ++r)
      if (std::abs(a[r][c]) > std::abs(a[pivot][c])) pivot = r;
    if (std::abs(a[pivot][c]) < 1e-6) return false;
    std::swap(a[c], a[pivot]);
    std::swap(inverse[c], inverse[pivot]);
    const double scale = 1 / a[c][c];
    for (std::size_t k = 0; k < size; ++k) a[c][k] *= scale, inverse[c][k] *= scale;
    for (std::size_t r = 0; r < size; ++r) {
      const double times = r == c ? 0 : a[r][c];
      for (std::size_t k = 0; k < size; ++k)
        a[r][k] -= times * a[c][k], inverse[r][k] -= times * inverse[c][k];
    }
  }
  return true;
}

/// X'X of the known causes; the others get a one on the diagonal, so that they fall out as 0.
Matrix normal_equations(const std::vector<Row>& rows, const Known& known) {
  Matrix m = {};
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t k = 0; k < size; ++k) {
      if (!known[i] || !known[k]) {
        m[i][k] = i == k;
        continue;
      }
      for (const auto& row : rows) m[i][k] += row[i] * row[k];
    }
  return m;
}

/// The causes that launches may tell apart; the first that they do is taken.
constexpr Known attempts[] = {{true, true, true, true},  {true, true, true},
                              {true, false, true, true}, {true, true},
                              {true, false, true},       {true}};

}  // namespace

Fit::Fit(const std::vector<Causes>& launches) {
  for (const Causes& one : launches) rows_.push_back(one.values());
  for (const Known& known : attempts)
    if (invert(normal_equations(rows_, known), inverse_)) {
      known_ = known;
      return;
    }
}

Fit::Cost Fit::solve(const std::vector<double>& counts) const {
  Row right = {}, found = {};
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t r = 0; r < rows_.size(); ++r)
      if (known_[i]) right[i] += rows_[r][i] * counts[r];
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t k = 0; k < size; ++k) found[i] += inverse_[i][k] * right[k];
  return {found[0], found[1], found[2], found[3]};
}

}  // namespace lacuna::bench
