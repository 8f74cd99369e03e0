#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace lacuna::bench {

/// What an instruction costs the GPU, coarsely: the unit that it goes to, or what it is there for.
/// Products, and what brings their operands, come first: the rest is the price of softmax.
enum class Class : std::uint8_t {
  product,   ///< HMMA; mma
  matrix,    ///< LDSM; ldmatrix
  async,     ///< LDGSTS and its waits; cp.async
  shared,    ///< LDS, STS, ATOMS
  memory,    ///< global, local and constant memory
  exp,       ///< MUFU: ex2, rcp, lg2, ...
  real,      ///< FFMA, FADD, FMUL
  max,       ///< FMNMX
  select,    ///< comparisons and selections of f32
  convert,   ///< conversions, packing to 16 bits among them
  half,      ///< arithmetic in 16 bits
  integer,   ///< integers, logic, addresses, predicates
  uniform,   ///< the uniform path: one result for a warp
  move,      ///< copies and constants
  exchange,  ///< SHFL, VOTE, REDUX
  barrier,
  branch,
  other,
};
constexpr int class_count = 18;
constexpr int first_class_of_softmax = static_cast<int>(Class::exp);
std::string_view name_of(Class kind);

/// "IMAD.MOV.U32" is a move.
Class class_of_sass(std::string_view opcode);
/// "cvt.rn.f16x2.f32" is a conversion.
Class class_of_ptx(std::string_view opcode);

/// Instructions of each class: counts, or counts for each score.
struct Mix {
  std::array<double, class_count> of = {};
  double& operator[](Class kind) { return of[static_cast<int>(kind)]; }
  double operator[](Class kind) const { return of[static_cast<int>(kind)]; }
  double total() const;
  double softmax() const;  ///< without products and what brings their operands
};

}  // namespace lacuna::bench
