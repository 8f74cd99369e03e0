#pragma once
#include "compiler/ir/pattern.h"

namespace lacuna::codegen {

/// About how many instructions an expression is once on the device: what decides whether it may
/// stand in unrolled code.
int instructions_of(const ir::Graph& graph, ir::NodeId node);

}  // namespace lacuna::codegen
