#pragma once
#include <vector>

#include "compiler/ir/evaluate.h"
#include "lacuna/engine.hpp"

namespace lacuna::ir {

/// The extents of one sequence of a call, and where its rows start (0 unless packed).
struct Sequence {
  std::int64_t q_start, q_len, k_start, k_len;
  std::int32_t offset;
};

/// Bindings over the tensors and params of a call, reading host memory at any storage type and stride.
/// Throws Error{argument} where a param or tensor is missing, unknown or of the wrong extent (the messages are
/// those of Program::forward: both call compiler/plan/call.h).
class CallBindings;

/// What attention gives, in f64: O [B,H,Nq,Dv] and lse [B,H,Nq] contiguous (packed: [1,H,Tq,Dv], [1,H,Tq]).
struct Reference {
  std::vector<double> o, lse;
  std::int64_t live = 0;  ///< pairs (b,h,q,k) that attend with a score above -inf
};

/// The law (design §3): z = scale * dot, then score, then masks; softmax with sink, α-entmax by bisection to
/// 1e-14; rows that nothing answers give O = 0, lse = -inf. All pointers are host memory. Uses every core.
Reference forward(const Spec& spec, const Args& args);

}  // namespace lacuna::ir
