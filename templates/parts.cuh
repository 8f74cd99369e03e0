// Where keys are split over CTAs, each leaves for every row what it found in its part of them:
//   A = Σ w v,  m = max z,  l = Σ w   with w = 2^(z step - top), step and top those of m
// (weights/softmax.cuh). Per split and row of the whole call: first all A, then all (m, l).
#pragma once
#include "lengths.cuh"

namespace lacuna {

template <Lengths kind, int value_dim>
struct Parts {
  const CallArg& call;
  s64 rows;  // of the call

  LACUNA_MEMBER explicit Parts(const CallArg& c)
      : call(c), rows((s64)(kind == Lengths::packed ? 1 : c.batch) * c.heads * c.queries) {}
  // `query`: a row of the tensors.
  LACUNA_MEMBER s64 row(const Place& at, s32 h, s32 query) const {
    const s64 head = kind == Lengths::packed ? h : (s64)at.b * call.heads + h;
    return head * call.queries + query;
  }
  LACUNA_MEMBER u64 sums(s32 split, s64 row) const {
    return call.parts + (u64)((split * rows + row) * value_dim * 4);
  }
  LACUNA_MEMBER u64 state(s32 split, s64 row) const {
    return call.parts + (u64)(call.splits * rows * value_dim * 4 + (split * rows + row) * 8);
  }
};

}  // namespace lacuna
