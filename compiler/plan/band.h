#pragma once
#include "compiler/ir/pattern.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace lacuna::plan {

/// q_factor*q + k_factor*k + constant + sum(factor_i * atom_i) over the integers, where atoms are
/// i32 expressions that depend on neither q nor k.
struct Affine {
  std::int64_t q = 0, k = 0, constant = 0;
  std::vector<std::pair<ir::NodeId, std::int64_t>> atoms;
};

/// left <= right, or left < right where `strict`. Equal to the program's wrapping comparison
/// whenever both sides stay inside i32 over a tile, which the kernel tests before it trusts the key
/// range.
struct Band {
  Affine left, right;
  bool strict = false;
};

/// The bands whose conjunction is the boolean `expr`, or nothing where it is not affine in the
/// positions: <, <= and == over i32 sums, differences and constant multiples of q, k and values
/// that depend on neither and read only what b, h and g select.
std::optional<std::vector<Band>> bands_of(const ir::Pattern& pattern, ir::NodeId expr);

}  // namespace lacuna::plan
