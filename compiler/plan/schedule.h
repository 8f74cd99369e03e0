#pragma once
#include "lacuna/engine.hpp"

#include "compiler/plan/arch.h"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::plan {

/// What carries out the products of tiles: templates/machine/<name>.cuh.
enum class Machine : std::uint8_t {
  fma,   ///< f32 multiply-adds
  sm80,  ///< tensor cores, 16-bit operands
};
std::string_view name_of(Machine machine);
/// What a GPU since sm_80 takes for these inputs.
Machine machine_of(DType dtype);

/// Tile shapes of one pass: changes speed, never results beyond rounding.
struct Schedule {
  int tile_q = 64, tile_k = 32, warps = 4;
  int stages = 1;  ///< tiles of K or V in shared memory at once; the two take turns
  auto operator<=>(const Schedule&) const = default;
  /// "128x64w4s2"
  std::string name() const;
};
/// Throws Error{argument} for what is not written like "128x64w4s2".
Schedule parse_schedule(std::string_view text);

/// What a CTA of flash forward needs of an SM.
struct Needs {
  int shared_bytes = 0;
  int registers = 0;  ///< of a thread: estimated, from the accumulators that live at once
};
Needs needs(Machine machine, const Spec& spec, const Schedule& schedule);

/// Whether accumulate finds O and the escort that the spec wants in one walk over live tiles: on
/// tensor cores, where a warp has 16 rows and the registers for both sums. Else it takes one more.
bool takes_one_walk(Machine machine, const Spec& spec, const Schedule& schedule);

/// The spec of a pass that needs neither shared memory for values of V nor registers for sums of
/// them.
Spec keys_alone(const Spec& spec);

/// "" or the limit that the schedule breaks on this architecture, in numbers.
std::string illegal(Machine machine, const Spec& spec, const Schedule& schedule, const Arch& arch);

/// The legal ones of the usual schedules, the one that a model of the SM thinks fastest first.
/// Never empty.
std::vector<Schedule> schedules(Machine machine, const Spec& spec, const Arch& arch);

/// The same for decode: tiles of 16 rows, and enough copies of K and V on their way at once before
/// all else.
std::vector<Schedule> decode_schedules(Machine machine, const Spec& spec, const Arch& arch);

/// How many of its CTAs are spread over an SM: as many as fit, up to four.
int decode_ctas_per_sm(Machine machine, const Spec& spec, const Schedule& schedule,
                       const Arch& arch);

/// How many CTAs an SM holds.
int occupancy(Machine machine, const Spec& spec, const Schedule& schedule, const Arch& arch);

/// The model's cost: cycles of an SM for one score of a FULL tile.
double cycles_per_score(Machine machine, const Spec& spec, const Schedule& schedule,
                        const Arch& arch);

}  // namespace lacuna::plan
