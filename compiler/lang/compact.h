#pragma once
#include "compiler/ir/pattern.h"

#include <vector>

namespace lacuna::lang {

/// The nodes that results depend on: masks in order, score, sink, alpha; no_node where absent.
std::vector<ir::NodeId> roots(const ir::Pattern& pattern);

/// The same pattern with a graph of only what its roots need, numbered by structure alone: equal
/// patterns have equal graphs, however they were written.
ir::Pattern compacted(const ir::Pattern& pattern);

}  // namespace lacuna::lang
