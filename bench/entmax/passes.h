#pragma once
#include "runtime/engine.h"

#include <string_view>

namespace lacuna::bench {

/// Prints, as rows of a table, what calls over the distributions say of themselves
/// (Spec::sparsity): passes, candidates, support, live keys and tiles. "quick" or "all".
void print_passes(EngineState& engine, std::string_view which);

}  // namespace lacuna::bench
