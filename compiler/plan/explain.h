#pragma once
#include "compiler/plan/plan.h"

#include <optional>
#include <string>

namespace lacuna::plan {

/// The plan as a database prints a query plan: each conjunct with strategy and reason, each pass
/// with its tiles, threads and shared memory, the variants, and with a shape the grid, flops and
/// bytes.
std::string explain(const Plan& plan, const std::optional<Shape>& shape = {});

}  // namespace lacuna::plan
