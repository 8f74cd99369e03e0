// Spans of reads whose indices are known as spans: what an interval analysis asks of a tensor.
#pragma once
#include "intervals.cuh"
#include "tensor.cuh"
#include "tiles/box.cuh"

namespace lacuna {
namespace spans {

LACUNA_DEVICE Truth truth_of(Bool a) {
  return !a.yes ? Truth::none : a.no ? Truth::some : Truth::all;
}

// Indices, clamped one by one as clamp_index does.
LACUNA_DEVICE Int clamp(Int index, s32 extent) {
  return {clamp_index(index.lo, extent), clamp_index(index.hi, extent)};
}
LACUNA_DEVICE Int packed_keys(Int key, const Place& at, const CallArg& call) {
  return {packed_key(key.lo, at, call), packed_key(key.hi, at, call)};
}

// The hull of a tensor over a box of indices that lie inside it, where the box is small; else
// anything. T is the type that the program sees.
template <class Storage, class T, int rank>
LACUNA_DEVICE auto read_box(const TensorArg& t, const Int (&box)[rank]) {
  using Span = decltype(point(T()));
  s32 at[6] = {};
  s64 count = 1;
  LACUNA_UNROLL
  for (int axis = 0; axis < rank; ++axis) {
    if (box[axis].hi < box[axis].lo) return whole_like(Span());  // of slots that nobody owns
    at[axis] = box[axis].lo;
    count *= min_of((s64)box[axis].hi - box[axis].lo + 1, (s64)1000);
    if (count > most_reads) return whole_like(Span());
  }
  Span all = {};
  LACUNA_NOUNROLL
  for (s32 i = 0; i < (s32)count; ++i) {
    const Span one =
        point(static_cast<T>(read<Storage>(t, at[0], at[1], at[2], at[3], at[4], at[5])));
    all = i == 0 ? one : join(all, one);
    bool carry = true;
    LACUNA_UNROLL
    for (int axis = rank - 1; axis >= 0; --axis) {
      const bool last = at[axis] == box[axis].hi;
      at[axis] = !carry ? at[axis] : last ? box[axis].lo : at[axis] + 1;
      carry = carry && last;
    }
  }
  return all;
}

}  // namespace spans
}  // namespace lacuna
