#pragma once
#include "compiler/ir/pattern.h"

#include <map>
#include <string>

namespace lacuna::codegen {

/// About how many instructions an expression is once on the device: what decides whether it may
/// stand in unrolled code. What is given counts nothing.
int instructions_of(const ir::Graph& graph, ir::NodeId node,
                    const std::map<ir::NodeId, std::string>& given);
/// Whether an expression reads tensors itself, beside what is given.
bool reads(const ir::Graph& graph, ir::NodeId node, const std::map<ir::NodeId, std::string>& given);

}  // namespace lacuna::codegen
