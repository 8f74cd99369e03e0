#pragma once
#include <cstdint>
#include <vector>

#include "compiler/ir/pattern.h"
#include "lacuna/engine.hpp"

namespace lacuna::ir {

/// A call that has been checked against its spec: names are indices, defaults are filled in, axes are known.
/// No value in device memory has been looked at.
struct Call {
  Shape shape;             ///< batch = number of sequences; queries, keys per sequence, or totals where packed
  float scale = 0;
  bool has_offset = false;
  std::int32_t offset = 0;
  std::vector<std::uint32_t> params;  ///< bits of each param of the pattern, in its order
  std::vector<TensorView> tensors;    ///< each tensor of the pattern, in its order
};

/// Checks every argument by shape, dtype, stride and name. Throws Error{argument} with one sentence that names the
/// culprit and the limit: missing tensor or param (with the nearest name for an unknown one), wrong dtype, rank or
/// extent (which axis), heads not a multiple of kv_heads, last axis not contiguous, one head spanning 2^31 elements or
/// more, entmax alpha outside {1} ∪ [1.01, 2], lengths that do not go with Spec::lengths.
Call bind(const Spec& spec, const Args& args);

/// Checks the values in host memory that a kernel would otherwise clamp or trust: lengths inside their rows,
/// cu_seqlens that start at 0, never decrease and end at the total, 64-bit ids that fit i32, alpha tensors.
/// Throws Error{argument} naming tensor, index and value.
void validate_values(const Spec& spec, const Args& args, const Call& call);

}  // namespace lacuna::ir
