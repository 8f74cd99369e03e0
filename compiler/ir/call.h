#pragma once
#include "lacuna/engine.hpp"

#include "compiler/ir/pattern.h"

#include <cstdint>
#include <vector>

namespace lacuna::ir {

/// A call that has been checked against its spec: names are indices, defaults are filled in, axes
/// are known. No value in device memory has been looked at.
struct Call {
  Shape shape;  ///< batch = number of sequences; queries, keys per sequence, or totals where packed
  float scale = 0;
  bool has_offset = false;
  std::int32_t offset = 0;
  std::vector<std::uint32_t> params;  ///< bits of each param of the pattern, in its order
  std::vector<TensorView> tensors;    ///< each tensor of the pattern, in its order
};

/// How much of a call must be there: all of it; all but O and the statistic, for the reference; or
/// the shapes of Q and K and what masks read, for a picture of a mask.
enum class Needs : std::uint8_t { everything, inputs, shapes };

/// Checks what can be said of a spec without a call: head dims, dtypes, storage, a constant alpha.
/// Throws Error{argument} with one sentence that names the culprit and the limit.
void check_spec(const Spec& spec);

/// Checks every argument by shape, dtype, stride and name. Throws Error{argument} with one sentence
/// that names the culprit and the limit: missing tensor or param (with the nearest name for an
/// unknown one), wrong dtype, rank or extent (which axis), heads not a multiple of kv_heads, last
/// axis not contiguous, one head spanning 2^31 elements or more, entmax alpha outside {1} ∪ [1.01,
/// 2], lengths that do not go with Spec::lengths. Includes check_spec.
Call bind(const Spec& spec, const Args& args, Needs needs = Needs::everything);

/// Checks the values in host memory that a kernel would otherwise clamp or trust: lengths inside
/// their rows, cu_seqlens that start at 0, never decrease and end at the total, 64-bit ids that fit
/// i32, alpha tensors. Throws Error{argument} naming tensor, index and value.
void validate_values(const Spec& spec, const Args& args, const Call& call);
/// The part of it that the extents of sequences hang on: lengths and cu_seqlens.
void validate_lengths(const Spec& spec, const Args& args, const Call& call);

/// Whether entmax is defined there: {1} ∪ [1.01, 2].
constexpr bool is_alpha(float alpha) {
  return alpha == 1.0f || (alpha >= 1.01f && alpha <= 2.0f);
}

/// How a tensor of the pattern is stored where Spec::storage does not say.
constexpr DType default_storage(Type type) {
  return type == Type::boolean ? DType::u8 : type == Type::i32 ? DType::i32 : DType::f32;
}
DType storage_of(const Spec& spec, const Tensor& tensor);

}  // namespace lacuna::ir
