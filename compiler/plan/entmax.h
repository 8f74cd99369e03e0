#pragma once
#include "compiler/plan/lists.h"
#include "compiler/plan/plan.h"
#include "templates/abi.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::plan {

/// The passes of α-entmax: *threshold* finds zmax and gap of every row, and which tiles of keys
/// have a weight in a tile of queries; *live_tiles* makes lists of them; *accumulate* visits those.
/// Behind them come the two for few queries (materialise.h), and where masks have lists of their
/// own, tile_lists and a threshold that visits what they leave.
void add_entmax(Plan& plan);
/// Where the pass stands that visits live tiles.
inline constexpr std::size_t accumulate_at = 2;

/// Whether the weights of a plan are those of entmax, and its passes those above.
bool weighs_by_entmax(const Plan& plan);

/// Whether α is known only when a call runs, and may be 1.
bool has_alpha_of_call(const ir::Pattern& pattern);
/// The spec of its heads whose α is 1: they are softmax's, and zmax takes their lse.
Spec softmax_of(const Spec& spec);

/// β = 1/(α - 1) where it is a constant that products alone compute: 1 to 4; else 0.
int entmax_power(const ir::Pattern& pattern);

/// The threshold passes that leave tiles for this accumulate pass, best first.
std::vector<Pass> thresholds_for(const Plan& plan, const Pass& accumulate, bool listed);
/// How accumulate finds the escort, a line for explain; "": the spec has none, or it is another
/// pass.
std::string escort_walks(const Plan& plan, const Pass& pass);
/// The pass that makes its lists.
Pass live_tiles_for(const Pass& accumulate);

/// CTAs of a threshold pass: each takes tiles of queries from a queue until there are none.
std::uint64_t threshold_ctas(const Plan& plan, const Pass& threshold, const Shape& shape);

/// The workspace of a call.
struct EntmaxLayout {
  TileLists live;  ///< at `live_at`
  std::uint64_t live_at = 0;
  std::uint64_t masks_at = 0;  ///< lists of the masks' tiles
  Buffer zmax, gap;            ///< f32 of every row of Q; no bytes where the call has them
  Buffer queue, scratch;
  std::uint64_t bytes = 0;
};
/// `statistic`: the call has zmax and gap itself. `mask_bytes`: of the lists of the masks' tiles.
EntmaxLayout entmax_layout(const Plan& plan, const Pass& threshold, const Pass& accumulate,
                           const Shape& shape, bool statistic, std::uint64_t mask_bytes);

/// Bytes that a call takes at most, whichever of the legal schedules compile best.
std::uint64_t entmax_bytes(const Plan& plan, const Shape& shape, bool listed);

}  // namespace lacuna::plan
