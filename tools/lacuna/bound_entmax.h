#pragma once
#include "lacuna/tensor.hpp"

#include <cstdint>
#include <span>

namespace lacuna::tool {

/// A key that a row attends to: its score in natural units, how far a kernel's may be from it, and
/// what follows for its weight.
struct Pair {
  std::int64_t key;
  double score, error;
  double weight = 0;    ///< the reference's
  double change = 0;    ///< how far the kernel's may be off, before it is rounded and summed
  bool counts = false;  ///< whether the kernel's may be above 0
};

/// What holds for a row of entmax.
struct EntmaxRow {
  double zmax, gap;  ///< how far the kernel's may be off
  double common;     ///< relative, of each weight: what raising to a power costs the sum of them
  double largest;    ///< the weight of a score at the maximum, t^β: kernels store u^β, in [0, 1]
};

/// What is known of a row before its errors are weighed.
struct EntmaxFacts {
  double alpha, zmax, gap;  ///< the reference's
  bool constant;            ///< alpha is one: powers 1, 2, 3, 4 are products
  DType dtype;              ///< of V: it decides how exactly a kernel has to know the gap
  double dot;               ///< g(D), what a sum of D products may lose of what rides in it
  double of_zmax = 1, of_reach = 1;  ///< what rides in it is no greater than of_zmax |zmax| +
                                     ///< of_reach / c
};

/// Sets weight and change of every pair, with c = alpha - 1, β = 1/c, r = c (s - zmax) + t, the
/// weight being [r]₊^β, and u = 2^-24:
///
///   d                                   the error of the score; z - zmax adds none that is not
///                                       relative to that difference: kernels subtract first
///   κ   = (g(D) + 2u) (|zmax| + 1/c)    zmax comes of a pass whose scores are compared with a gate
///                                       no more than 1/c below it. Where sums carry one, and take
///                                       it off again, it may be one of before, no greater than
///                                       twice the last and 16/c (templates/gates.cuh): 2 |zmax| +
///                                       18/c; and where it went back through the score 18/c more:
///                                       16/c is what the slope of the score may make of it
///                                       (templates/products.cuh), the rest the way to zmax
///   D   = the largest d of a key that may count: where r + c (d + D) > 0. τ never moves by more
///         than the scores that it hangs on: c D
///   a   = u (4c |s - zmax| + t)         u = fma(z - zmax, c/t, 1): t, c/t, and the fma, times t
///   tol = 2^-20, 2^-12, 2^-8            for f32, f16, bf16: how far the kernel's t may be from the
///                                       one that solves its own scores, relative to it
///   e   = c (d + D) + a + tol t         the kernel's [r]₊^β is in [r - e]₊^β .. [r + e]₊^β; and
///                                       c κ within that of the maximum, where u saturates
///   φ   = Σ [r + e]₊^β - [r + e - tol t - a]₊^β
///                                       how far the sum of those, which divides each, is from 1;
///                                       in bf16 with c (d + D + κ) inside, too: a live pass that
///                                       is not repeated divides by the sum of other roundings than
///                                       the threshold solved
///   change = what [r ± e]₊^β allows + [r + e]₊^β φ/(1-φ), and no weight leaves [0, 1]
///   ρ   = u β (1 + 4 |ln(r/t)|)         products, for β = 1, 2, 4, and 3 as near as alpha can say
///       = 2^-22 (1 + ln2 (β + 2 |x|))   else: exp2 of x = β log2(r/t), both to 2^-22
///
///   |zmax - zmax*| <= what s ± d allow + κ
///   |t - t*|       <= c (that + D) + (tol + 4u) t*
EntmaxRow weigh_entmax(std::span<Pair> pairs, const EntmaxFacts& facts);

/// The same of the escort's weights s = [r]₊^(β-1) / Σ [r]₊^(β-1), from pairs that weigh_entmax has
/// seen: [r]₊^(β-1) is what e allows, all of 0..1 times t^(β-1) at a threshold where β is 1; φ is
/// the sum of those changes over that of all. Returns common and largest; zmax and gap are 0.
EntmaxRow weigh_escort(std::span<Pair> pairs, const EntmaxFacts& facts);

}  // namespace lacuna::tool
