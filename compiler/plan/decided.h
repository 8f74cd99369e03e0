#pragma once
#include "compiler/ir/pattern.h"
#include "compiler/plan/plan.h"

#include <span>
#include <string>

namespace lacuna::plan {

/// Whether spans decide a conjunct, or leave open what its elements must be asked.
struct Decision {
  bool decided = true;
  std::string why;       ///< for explain: a clause
  bool by_data = false;  ///< not decided, but would be were rows of one value known to lie together
};

/// Decided: a tile of `granule` x `granule` of which interval analysis does not say `none` has a
/// live element, whatever the tensors hold. It is a judgement of the expression alone: blocks count
/// as lying on the granule's edges. Whatever is not decided is classified soundly all the same,
/// with tiles too many.
Decision decided_by_spans(const ir::Pattern& pattern, ir::NodeId conjunct, int granule = 64);
/// The same of a whole mask. What is said of a conjunct that is not decided alone is said of it. Of
/// conjuncts that are, a tile may be visited in which each has live elements and no two the same:
/// on the diagonal of `causal`, say, beside a choice of queries.
Decision decided_by_spans(const ir::Pattern& pattern, std::span<const ir::NodeId> conjuncts,
                          int granule = 64);
/// Of a conjunct of a plan, at the largest tiles that its lists may have.
Decision decided_by_spans(const Plan& plan, const Conjunct& conjunct);

/// Whether tiles that spans leave open are settled by their elements before lists are made. The
/// rule, for lists are made once and read by every head that shares them, and a test ends when a
/// live and a dead pair have been seen: a test takes at most one evaluation of the mask for each
/// pair; an empty tile that is visited takes that too, as a PARTIAL one, and the products of Q, K
/// and V. So elements are tested wherever spans may leave an empty tile open, and nowhere else.
struct TileTest {
  bool elements = false;
  std::string conjunct;  ///< text of the one that forces it; "": they do only together
  std::string why;       ///< a clause
  int operations = 0;    ///< of the mask, for a pair
  double visit = 0;      ///< flops that a visit of a pair takes beyond those
};
TileTest tile_test(const Plan& plan);

}  // namespace lacuna::plan
