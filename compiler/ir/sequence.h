#pragma once
#include "compiler/ir/call.h"

#include <vector>

namespace lacuna::ir {

/// The extents of one sequence of a call, and where its rows start (0 unless packed).
struct Sequence {
  std::int64_t q_start, q_len, k_start, k_len;
  std::int32_t offset;
};

/// Every sequence of a call, from host memory. Throws as validate_lengths does.
std::vector<Sequence> sequences_of(const Spec& spec, const Args& args, const Call& call);

}  // namespace lacuna::ir
