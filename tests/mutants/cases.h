#pragma once
#include "compiler/plan/route.h"
#include "tests/fuzz/program.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lacuna::tests {

/// A small call with awkward lengths over several CTAs, and the schedule that it runs with.
struct Case {
  std::string name;
  Spec spec;
  std::string schedule;
  Shape shape;
  bool aligned = true;
  std::vector<std::int32_t> q_lens = {}, k_lens = {};  ///< or cu_seqlens, by spec.lengths
  std::vector<std::int32_t> offsets = {};              ///< of each sequence; empty: the usual ones
  plan::Route route = {};
  std::optional<float> scale = {};
  /// What an element of Q, K or V becomes, where it is not as `drawn`.
  std::function<double(char matrix, std::int64_t row, int column, double drawn)> value = {};
};

/// Those whose weights are entmax's.
void add_entmax_cases(std::vector<Case>& all);

/// What the mutants are run on. Lengths and offsets are chosen so that the ends of ranges fall
/// beside the ends of tiles.
const std::vector<Case>& cases();
const Case& case_named(std::string_view name);

/// Fresh random tensors for a case; O and lse are NaN, as is what lies between and behind rows.
fuzz::OwnedCall call_of(const Case& which, fuzz::Random& random);

}  // namespace lacuna::tests
