#pragma once
#include "compiler/plan/plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::plan {

/// What decides the lists of a mask, beside the extents and the tensors of a call: plans with equal
/// digests can share lists, whatever they score, weigh and store.
struct MaskInputs {
  std::string digest;  ///< of the conjuncts, with the type and axes of what they read
  std::vector<std::uint32_t> params;  ///< of the pattern, that they read: indices, in the order
                                      ///< of their names
};
MaskInputs mask_inputs(const Plan& plan);

}  // namespace lacuna::plan
