#pragma once
#include "compiler/ir/graph.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace lacuna::plan {

/// q_factor*q + k_factor*k + constant + sum(factor_i * atom_i) <= 0 over the integers, where atoms
/// are i32 expressions that depend on neither q nor k. Equal to the program's wrapping comparison
/// whenever both of its sides stay inside i32 over the tile, which the kernel tests (`sides`)
/// before it trusts the range.
struct Affine {
  std::int64_t q = 0, k = 0, constant = 0;
  std::vector<std::pair<ir::NodeId, std::int64_t>> atoms;
};
struct Band {
  Affine left, right;   ///< left <= right (a strict comparison has 1 added to the left side's
                        ///< constant, see `strict`)
  bool strict = false;  ///< left < right
};

/// The bands whose conjunction is the boolean `expr`, or nothing where it is not affine in the
/// positions:
/// <, <= and == over i32 sums, differences and constant multiples of q, k and values that depend on
/// neither.
std::optional<std::vector<Band>> bands_of(const ir::Graph& graph, ir::NodeId expr);

}  // namespace lacuna::plan
