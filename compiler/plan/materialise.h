#pragma once
#include "compiler/plan/lists.h"
#include "compiler/plan/plan.h"

#include <cstddef>
#include <cstdint>

namespace lacuna::plan {

/// The passes of α-entmax for few queries. *materialise* keeps the scores of a part of the keys in
/// shared memory, and leaves those that the part itself does not exclude; *gather* solves each row
/// from what all parts left, and reads V where there is a weight.
void add_materialise(Plan& plan);
/// Where they stand: materialise, and gather behind it.
inline constexpr std::size_t materialise_at = 3;

/// Scores of a row in shared memory at once; a split with more keys takes them in rounds.
inline constexpr int materialise_capacity = 512;

/// What a CTA of materialise has in shared memory.
int materialise_shared_bytes(Machine machine, const Spec& spec, const Schedule& schedule);

/// The pass that splits the keys of a plan for the decode route.
const Pass& split_pass(const Plan& plan);

/// What materialise leaves for gather. It is the same whichever of the pass's schedules compiles
/// best.
struct CandidateLayout {
  Buffer found, candidates;
  std::int64_t room = 0;  ///< candidates of a row and split: so many keys a split has at most
  std::uint64_t bytes = 0;
};
CandidateLayout candidate_layout(const Plan& plan, const Shape& shape, int splits);

/// Whether rows and keys are so many, against each other, that lists with room for all of them
/// outgrow K and V four times, and 256 MiB: packed sequences have room for each other's keys.
bool outgrows_keys(const Plan& plan, const Shape& shape, int splits);

}  // namespace lacuna::plan
