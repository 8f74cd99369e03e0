#pragma once
#include "lacuna/engine.hpp"

#include "tools/lacuna/arguments.h"
#include "tools/lacuna/array.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::tool {

/// Everything that one call reads, in host memory, owned.
struct Inputs {
  Array q, k, v;
  std::vector<std::pair<std::string, Array>> tensors;
  std::vector<ParamValue> params;
  std::optional<float> scale;
  std::optional<std::int32_t> offset;
  Array offsets, q_lens, k_lens, cu_seqlens_q, cu_seqlens_k;

  Lengths lengths() const;
  Spec spec(const Pattern& pattern, DType output, bool statistic) const;
  /// Every array that is present, by the name that a dump gives it.
  std::vector<std::pair<std::string, const Array*>> arrays() const;
};

/// O, the row statistic of one call (lse, or zmax and gap), and the escort.
struct Results {
  Array o, lse, zmax, gap, escort;
};
/// What a call may write, by the name of its file.
struct Output {
  const char* name;
  Array Results::*array;
  TensorView Args::*view;
  bool of_rows = false;  ///< one number each: the statistic
};
inline constexpr Output all_outputs[] = {{"o", &Results::o, &Args::o},
                                         {"lse", &Results::lse, &Args::lse, true},
                                         {"zmax", &Results::zmax, &Args::zmax, true},
                                         {"gap", &Results::gap, &Args::gap, true},
                                         {"escort", &Results::escort, &Args::escort}};
/// Zeros of the shapes that a spec's outputs have; checks only what it needs (rank 4). Throws
/// Error{argument}.
Results results_for(const Inputs& inputs, const Spec& spec);

/// The flags that say where the rows of a call's sequences lie, as written.
struct LengthFlags {
  std::string offset, q_lens, k_lens, cu_seqlens_q, cu_seqlens_k;
};
/// Reads them; nothing where none was given.
void read_lengths(const LengthFlags& flags, Inputs& inputs);

/// What --shape says, or lengths where that is silent; {} where neither tells the rows.
std::optional<Shape> shape_of(const Extents& extents, const Inputs& inputs);

/// The flags of `run` that name inputs, as written.
struct InputFlags {
  std::string q, k, v, dtype, scale;
  LengthFlags lengths;
  std::vector<std::string> tensors, params;
};
/// Reads, casts and names them; without --v values are zeros. Shapes are left to ir::bind, which every caller goes through.
Inputs read_inputs(const ir::Pattern& pattern, const InputFlags& flags);
/// The tensors of --tensor NAME=F.npy; a name that the pattern does not have is an error.
std::vector<std::pair<std::string, Array>> read_tensors(const ir::Pattern& pattern,
                                                        const std::vector<std::string>& flags);

/// Normal Q, K and V, and for each tensor of the pattern that `inputs` lacks: ids 0..3, coin flips,
/// normal numbers, alphas in [1.01, 2]. `axes` are NAME=E,E..: the extents of that tensor's `_`
/// axes, otherwise the longer of the two lengths. Padded: random lengths. Packed: the rows of the
/// extents are totals, cut at random into the batch. Lengths that `inputs` has are kept.
struct RandomInputs {
  Extents extents;
  DType dtype = DType::f32;
  std::uint64_t seed = 0;
  std::vector<std::string> axes;
  Lengths lengths = Lengths::uniform;
  /// i32 tensors over keys or queries in runs, as documents are packed, where a picture is to be
  /// looked at.
  bool runs = false;
};
void fill_random(const ir::Pattern& pattern, const RandomInputs& wanted, Inputs& inputs);

}  // namespace lacuna::tool
