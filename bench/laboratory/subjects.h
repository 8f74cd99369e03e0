#pragma once
#include "bench/laboratory/study.h"

#include <string_view>
#include <vector>

namespace lacuna::bench {

/// The rows of results/laboratory.md: for plain causal attention in f16 the planner's first choices
/// by head_dim and architecture; other patterns, dtypes and head_dims with the first one alone.
std::vector<Subject> table_subjects();

/// Those of them that compile times are taken of: the planner's first choice for plain causal
/// attention in f16, by head_dim and architecture.
std::vector<Subject> timed_subjects();

/// The same kernel under every schedule that the planner calls legal, its favourite first.
std::vector<Subject> every_schedule(const Subject& subject);

}  // namespace lacuna::bench
