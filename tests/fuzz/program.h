#pragma once
#include "lacuna/engine.hpp"

#include "compiler/ir/pattern.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <vector>

/// Random typed programs, and calls for them: the raw material of tests that compare two meanings
/// of one pattern.
namespace lacuna::fuzz {

using Random = std::mt19937_64;

/// From LACUNA_SEED where it is set, else fresh. Print it with INFO.
std::uint64_t fresh_seed();

struct Options {
  int max_masks = 3;
  int max_depth = 4;    ///< of one expression
  bool tensors = true;  ///< declare and read tensors
  bool score = true;    ///< a score statement, more often than not
  bool weights = true;  ///< sinks
  bool entmax = false;  ///< sometimes instead of softmax
  /// Scores stay within about 100 and lose no more than a few bits per operator, so that an f32
  /// kernel can be compared with the reference. Off: any f32 expression of score.
  bool tame_score = true;
  ir::Simplify simplify = ir::Simplify::on;
};

/// A pattern that no call can make read outside its tensors. No comparison or i32() stands above
/// exp, log, tanh or score: masks mean the same bits on every device. Its digest is empty: that is
/// the language's to compute.
ir::Pattern random_pattern(Random& random, const Options& options = {});

/// An axis "_" is given at least this extent, which is all that programs rely on.
inline constexpr std::int32_t least_any_extent = 4;

/// The same pattern in a graph that does, or does not, simplify.
ir::Pattern rebuild(const ir::Pattern& pattern, ir::Simplify simplify);

/// A call in host memory of its own. Move it, but do not copy `args` out of its life.
struct OwnedCall {
  Args args;
  Shape shape;
  std::vector<std::unique_ptr<std::byte[]>> memory;
  std::vector<NamedValue> params;
  std::vector<NamedTensor> tensors;
  std::vector<std::string> notes;  ///< one line each on lengths, offset and layouts, for INFO
};

/// What a call holds that its pattern may rely on. Random programs rely on nothing.
enum class Reliance {
  nothing,
  /// As callers of written patterns keep it: queries stand at the end of their own keys, an axis
  /// "_" is as long as the keys, and an i32 tensor holds ids, ids in runs, positions or words of
  /// bits.
  positions,
};

/// Random Q, K, V, tensors, params, lengths and offset for a spec; O and lse hold NaN. Layouts,
/// strides and broadcast axes vary. Where the spec is packed, `shape` is as in Shape: totals, and
/// the number of sequences.
OwnedCall random_call(Random& random, const Spec& spec, const Shape& shape,
                      Reliance reliance = Reliance::nothing);

/// How a random pattern's tensors are stored: any type that can hold what random_call puts there.
std::map<std::string, DType, std::less<>> random_storage(Random& random,
                                                         const ir::Pattern& pattern);

/// A smaller pattern that still fails: masks, score and weights are dropped, and nodes replaced by
/// ones below them or constants, as long as `still_fails` says true. Params and tensors are kept,
/// so that the same call binds.
ir::Pattern minimise(const ir::Pattern& pattern,
                     const std::function<bool(const ir::Pattern&)>& still_fails);

/// Nodes that masks, score and weights reach.
std::size_t count_nodes(const ir::Pattern& pattern);

/// Each statement as one line of nested operator names, for INFO: says what the graph is, without
/// the printer.
std::string describe(const ir::Pattern& pattern);

/// A pattern as the public value.
inline Pattern published(ir::Pattern pattern) {
  return Pattern(std::make_shared<const ir::Pattern>(std::move(pattern)));
}

}  // namespace lacuna::fuzz
