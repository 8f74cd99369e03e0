#pragma once
#include "compiler/ir/graph.h"
#include "compiler/ir/pattern.h"

#include <string>
#include <unordered_map>

namespace lacuna::ir {

/// An expression in the language, with the fewest parentheses and promotions written out only where
/// the language would not make them. Parses again to the same node, unless it is so large that
/// parts of it are shown as "...".
std::string print(const Graph& graph, NodeId id, const Pattern& pattern);

/// The same without any limit, and with names standing for some nodes below `id`.
using NodeNames = std::unordered_map<NodeId, std::string>;
std::string print(const Graph& graph, NodeId id, const Pattern& pattern, const NodeNames& names);

/// How the language writes a value: "true", "-7", "0.1", "-inf".
std::string print(const Literal& value);

}  // namespace lacuna::ir
