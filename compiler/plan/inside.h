#pragma once
#include "compiler/ir/sequence.h"
#include "compiler/plan/route.h"

namespace lacuna::plan {

/// The first conjunct of which a read may lie outside its tensor in this call, or outside the part
/// of it that its sequence owns; null where interval analysis of the indices proves, from shapes,
/// params, lengths and offsets, that none can.
const Conjunct* read_outside(const Plan& plan, const ir::Call& call,
                             const std::vector<ir::Sequence>& sequences);

/// The route of a call: that of its shape, but with checks lists are made only where every read of
/// the masks is proved inside. Elsewhere each needed read is tested where it is made, also in tiles
/// that no list would have. Without checks `sequences` may be empty: nothing is proved.
Route route(const Plan& plan, const ir::Call& call, const std::vector<ir::Sequence>& sequences);

}  // namespace lacuna::plan
