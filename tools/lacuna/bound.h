#pragma once
#include "lacuna/engine.hpp"

#include "compiler/ir/reference.h"

#include <vector>

namespace lacuna::tool {

/// How far a correct kernel may be from the reference, element by element, in the layout of
/// ir::Reference.
struct Bounds {
  std::vector<double> o, lse, zmax, gap, escort;
};

/// First order rounding analysis of softmax(score(scale q.k)) v in f32, with unit roundoff u =
/// 2^-24 and g(n) = u min(n, 6 sqrt(n)), which the rounding of a sum of n terms exceeds with a
/// probability below 1e-7:
///
///   dz = |scale| g(D) sum|q_i k_i| + 2u |z|        the dot product and its scaling
///   ds = dz through the score, each operation adding its own rounding (score_error.h)
///   dk = ds + u (3|s| + 3|m| + 4)                  exp of the difference to the row's maximum m
///   d  = sum_k p_k dk                              where dk > 1: exp(s + dk - lse*) for p_k dk;
///                                                  never more than the largest dk
///   |lse - lse*| <= d + g(Nk + 8) + 2u |lse*|
///   |O - O*|     <= sum_k (p_k (dk + d + 2 g(Nk + 8) + u_w) + tiny_w exp(m - lse)) |v_k|
///                   + u_out |O*| + tiny_out
///
/// with u_out and tiny_out the unit roundoff of the type of O and half its smallest number, and u_w
/// and tiny_w those of the type of V, to which tensor cores round exp(z - m); both are 0 in f32,
/// and their sum is no more than 6 times the root of the sum of its squares. Where a new maximum,
/// or the combination of splits, multiplies what was summed by one more exponential, g has room for
/// it: it counts every term as if it were rounded once more. However far the weights are off, O
/// stays between the smallest and the largest live v of its column; lse has no bound (infinity)
/// where it hangs on a comparison of scores that are closer than their errors.
///
/// Entmax: bound_entmax.h gives zmax, gap, and for each weight its change and ρ, from which
///
///   |O - O*| <= sum_k ((change + p_k (2 g(Nk + 8) + sum_j p_j ρ_j)) |v_k|
///                      + (p_k u_w + tiny_w t^β) max(|v_k|, |v_k - O*|)) + u_out |O*| + tiny_out
///
/// and the same of the escort, with the changes of its weights.
///
/// Uses every core.
Bounds bounds(const Spec& spec, const Args& args, const ir::Reference& reference);

}  // namespace lacuna::tool
