#pragma once
#include "compiler/plan/plan.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lacuna::plan {

/// Which passes a call takes. *plain*: flash forward alone, a CTA to each query tile. *decode*: the
/// keys of a query tile are split over several CTAs, heads that share K and V share a tile where
/// the plan packs them, and a second pass combines what the splits found. *listed*: the mask is
/// classified tile by tile first, and flash forward visits what is left; where the plan has masks
/// for it, decode is not taken, and the tiles are few enough to be numbered (list_limit).
struct Route {
  bool decode = false;
  int splits = 1;
  bool listed = false;
  std::size_t short_rows = 0;  ///< of entmax: the pass that keeps whole rows of scores; 0: none
  bool operator==(const Route&) const = default;
};

/// Of entmax there is also *short_rows* (short_rows.h), one pass for all.
///
/// The rule, on the shape alone: decode where
///   - the rows that share K and V (queries, times heads of a group where they are packed) fit
///     `most_row_tiles` tiles of the decode pass,
///   - the plain grid has fewer CTAs than the GPU has SMs, and
///   - every split gets `least_key_tiles` tiles of keys, with two splits at least.
/// Of entmax, whose decode pass also saves one over the keys: also where the plain grid has more
/// CTAs, if those rows fit one tile, and unsplit; but not where its lists would outgrow the keys
/// (materialise.h), nor where the spec asks for sparsity. There are then as many splits as fill the
/// SMs (Pass::ctas_per_sm), or as many as fit. Packed sequences count with their mean lengths,
/// padded ones with their longest.
inline constexpr int most_row_tiles = 4, least_key_tiles = 2, most_splits = 128;
Route route(const Plan& plan, const Shape& shape);

/// The same where tiles of keys are visited one by one, by one CTA to each query tile: plain or
/// listed.
Route tiles_route(const Plan& plan, const Shape& shape);

/// The passes of a route in the order in which they run, as indices of plan.passes.
std::vector<std::size_t> passes_of(const Plan& plan, Route route);

/// Bytes that the passes of a route hand to each other: exact for decode, an upper bound for lists,
/// 0 on the plain route.
std::uint64_t workspace_bytes(const Plan& plan, const Shape& shape, Route route);

/// SMs of the GPU that the facts speak of.
int multiprocessors(const Facts& facts);

}  // namespace lacuna::plan
