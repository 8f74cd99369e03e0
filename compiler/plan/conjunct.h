#pragma once
#include "compiler/plan/plan.h"

#include <vector>

namespace lacuna::plan {

/// The masks of a pattern taken apart: each conjunct with its strategy, in the order of evaluation.
/// A conjunct that is constantly true is dropped.
std::vector<Conjunct> conjuncts_of(const ir::Pattern& pattern);

}  // namespace lacuna::plan
