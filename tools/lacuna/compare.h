#pragma once
#include "compiler/ir/reference.h"
#include "tools/lacuna/inputs.h"
#include "tools/lacuna/report.h"

#include <string>
#include <vector>

namespace lacuna::tool {

/// The distance of one tensor from the reference.
struct Distance {
  double max = 0, rms = 0;  ///< NaN where one side alone is
  double bound = 0;         ///< at the element with the largest error
  double share = 0;         ///< the largest error / bound of any element; above 1 is a failure
  std::int64_t elements = 0, beyond = 0;
  std::int64_t unproved = 0;  ///< where the reference is not finite
  std::string worst;          ///< where that share is: "[0,3,17,5]"
  bool within() const { return beyond == 0; }
};

struct Comparison {
  Distance o, lse, zmax, gap, escort;
  std::int64_t live = 0;  ///< pairs that attend
  bool within() const {
    return o.within() && lse.within() && zmax.within() && gap.within() && escort.within();
  }
};

/// Compares with ir::forward under the bounds of bound.h; all but O may be absent.
Comparison compare(const Spec& spec, const Inputs& inputs, const Results& results);

Json to_json(const Comparison& comparison);
std::string to_text(const Comparison& comparison, DType output);

}  // namespace lacuna::tool
