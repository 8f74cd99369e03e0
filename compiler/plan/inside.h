#pragma once
#include "compiler/ir/call.h"
#include "compiler/plan/route.h"

namespace lacuna::plan {

/// The first conjunct of which a read may lie outside its tensor in this call; null where interval
/// analysis of the indices proves, from shapes, params and a single offset, that none can.
const Conjunct* read_outside(const Plan& plan, const Args& args, const ir::Call& call);

/// The route of a call: that of its shape, but with checks lists are made only where every read of
/// the masks is proved inside. Elsewhere each needed read is tested where it is made, also in tiles
/// that no list would have.
Route route(const Plan& plan, const Args& args, const ir::Call& call);

}  // namespace lacuna::plan
