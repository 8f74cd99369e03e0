#pragma once
#include "compiler/plan/plan.h"
#include "tests/fuzz/program.h"

#include <cstdint>
#include <string>

namespace lacuna::tests {

/// Keys that were listed for tiles of queries, and those of them that have a weight in one: of
/// tiles whose rows were solved among candidates, and of those that took all scores.
struct ListedKeys {
  std::int64_t listed = 0, weighed = 0, of_dense = 0, weighed_of_dense = 0;
};

/// Compares what a call says it found with thresholds by bisection over the scores of the
/// reference, which a softmax of them over one-hot values gives. An alpha that the call gives is
/// called `alpha_`. Returns "" or what is wrong, and adds to `lists`.
std::string wrong_sparsity(const plan::Plan& plan, const fuzz::OwnedCall& call,
                           const SparsityRows& found, ListedKeys& lists);

}  // namespace lacuna::tests
