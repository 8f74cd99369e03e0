#pragma once
#include "lacuna/engine.hpp"

#include <cstdint>
#include <vector>

namespace lacuna::ir {

/// What attention gives, in f64: O [B,H,Nq,Dv] and the statistic [B,H,Nq] contiguous (packed:
/// [1,H,Tq,Dv], [1,H,Tq]).
struct Reference {
  std::vector<double> o;
  std::vector<double> lse;        ///< softmax
  std::vector<double> zmax, gap;  ///< entmax
  std::vector<double> escort;     ///< as O, where the spec has it
  std::int64_t live = 0;          ///< pairs (b,h,q,k) that attend with a score above -inf
};

/// The law (design §3): z = scale * dot, then score, then masks; softmax with sink, α-entmax by
/// bisection; rows that nothing answers (a sink alone does not) give O = 0, lse or zmax = -inf and
/// gap = 1; the escort is the mean of V by p^(2 - alpha) where p > 0. A row of K or V that no pair
/// needs is never read. All pointers are host memory; O and the statistic of `args` are not looked
/// at. Uses every core. Throws Error{argument} as bind and validate_lengths do, and for a read
/// outside a tensor.
Reference forward(const Spec& spec, const Args& args);

/// Which pairs the masks of one head let meet: row-major Nq x Nk bytes, 0 where a row is absent;
/// where lengths are packed, q_len x k_len of sequence b. Q and K need a shape only; V, O and the
/// statistic are not looked at.
std::vector<std::uint8_t> live(const Spec& spec, const Args& args, std::int64_t b, std::int64_t h);

}  // namespace lacuna::ir
