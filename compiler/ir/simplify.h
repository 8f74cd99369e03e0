#pragma once
#include "compiler/ir/graph.h"

#include <span>

namespace lacuna::ir {

/// A simpler node equal to `op` applied to `operands`, or no_node. Called by Graph::make. Exact:
/// the same bits for every input, i32 wrapping and IEEE f32 with NaN and signed zero; and never
/// drops an operand that is needed and reads a tensor, whose error for a read outside would be
/// lost.
NodeId simplify(Graph& graph, Op op, std::span<const NodeId> operands);

}  // namespace lacuna::ir
