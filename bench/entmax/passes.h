#pragma once
#include "runtime/engine.h"

#include <cstdint>
#include <string_view>

namespace lacuna::bench {

/// Prints, as rows of a table, what calls over the distributions say of themselves
/// (Spec::sparsity): passes, candidates, support, live keys and tiles. "quick", "all", or "flat":
/// the settings some of whose rows have more candidates than find room.
void print_passes(EngineState& engine, std::string_view which, std::uint64_t seed, bool f16);

}  // namespace lacuna::bench
