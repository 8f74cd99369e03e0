#pragma once
#include "compiler/ir/pattern.h"

#include <span>
#include <string>

namespace lacuna::plan {

/// Whether spans decide a conjunct, or leave open what its elements must be asked.
struct Decision {
  bool decided = true;
  std::string why;  ///< for explain: a clause
};

/// Decided: a tile of `granule` x `granule` of which interval analysis does not say `none` has a
/// live element. It is a judgement of the expression alone: equalities of row tensors count as
/// decided, which is so where rows of one value lie together, and blocks count as lying on the
/// granule's edges. Whatever is not decided is classified soundly all the same, with tiles too
/// many.
Decision decided_by_spans(const ir::Pattern& pattern, ir::NodeId conjunct, int granule = 64);
/// The same of a whole mask. What is said of a conjunct that is not decided alone is said of it.
Decision decided_by_spans(const ir::Pattern& pattern, std::span<const ir::NodeId> conjuncts,
                          int granule = 64);

}  // namespace lacuna::plan
