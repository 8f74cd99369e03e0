#pragma once
#include "compiler/ir/graph.h"

#include <optional>
#include <span>
#include <string_view>

namespace lacuna::ir {

/// The row of ops.def that `spelling` means on operands of these types, an i32 becoming f32 where
/// the row needs it: the row with the fewest such promotions, or none where no row takes them.
std::optional<Op> overload(std::string_view spelling, std::span<const Type> operands);

}  // namespace lacuna::ir
