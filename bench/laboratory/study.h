// All that can be known of a kernel's speed without a GPU.
#pragma once
#include "compiler/plan/plan.h"
#include "runtime/compiler.h"
#include "tools/lacuna/arguments.h"

#include "bench/laboratory/instruction_class.h"
#include "bench/laboratory/occupancy.h"
#include "bench/laboratory/sass.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lacuna::bench {

/// What is looked at: the first pass of a plan, its variant for aligned rows.
struct Subject {
  Spec spec;
  plan::Arch arch;
  std::optional<plan::Schedule> schedule;  ///< none: the planner's choice
  std::vector<tool::ParamValue> params;    ///< of the pattern
};

/// What a tile of one kind costs, or a warp of it. Instructions are those that a lane issues for
/// each of its scores.
struct TileCost {
  std::optional<Mix> sass;
  Mix ptx;
  double wavefronts = 0, least_wavefronts = 0;  ///< of shared memory, for the whole tile
  double sectors = 0, least_sectors = 0;        ///< of global memory, for the whole tile
};

struct Study {
  std::string attention, machine;
  Spec spec;
  plan::Arch arch;
  plan::Schedule schedule;
  Resources cta;
  Occupancy occupancy;
  int spilled_bytes = 0;
  double compile_ms = 0;       ///< source to cubin, measured, without any cache
  int instructions = 0;        ///< SASS, the whole kernel
  double scores_per_lane = 0;  ///< of a tile
  double least = 0;  ///< instructions of softmax for each score, by hand (least_instructions)
  /// Tiles of rows whose maximum rises, as in the first tiles of a row; settled: FULL tiles of rows
  /// whose maximum stays. None: this pattern has no such tiles, or none without others.
  std::optional<TileCost> full, partial, settled;
  /// A warp of a PARTIAL tile whose rows see none of its keys; `partial` is then of tiles without
  /// such warps. None: there are none, or not without others.
  std::optional<TileCost> dead;
  /// SASS of a FULL tile (PARTIAL where there is none), for each score, by source line.
  std::map<std::string, Mix> by_source;
  std::vector<std::string> doubts;  ///< where the counts contradict each other
};

/// Softmax by hand, for each score of a FULL tile: row maximum 1, multiply-add with the folded
/// scale 1, ex2 1, sum 1, half of a packing to 16 bits; and O's rescaling, value_dim / tile_k.
double least_instructions(const Spec& spec, const plan::Schedule& schedule);

/// Compiles, disassembles and executes. `disassembler` null: no SASS.
Study study(const Subject& subject, const runtime::Compiler& nvrtc,
            const Disassembler* disassembler);

}  // namespace lacuna::bench
