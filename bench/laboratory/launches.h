#pragma once
#include "runtime/engine.h"

#include "bench/laboratory/fit.h"
#include "bench/laboratory/study.h"
#include "bench/laboratory/trace.h"

#include <vector>

namespace lacuna::bench {

/// What was executed, and why.
struct Launched {
  Causes causes;
  Counts counts;
};

/// Which scores the queries meet, since rows whose maximum rises have O to rescale.
enum class Scores {
  rising,   ///< every key scores more than the one before: the maximum rises in every tile
  settled,  ///< all alike: it stays where the first tile puts it, as in a long row
};

/// Of a call with one head: queries, keys, and where the queries lie.
struct Extent {
  std::int64_t queries, keys;
  std::int32_t offset;
};

/// Shapes that differ in their mixture of FULL and PARTIAL tiles, and of warps that see nothing:
/// all rows exist, keys are few or many, the diagonal lies on tile borders or between them, or
/// everything is visible and the last key tile is ragged.
std::vector<Extent> mixtures(const plan::Schedule& schedule);

/// Runs PTX on the host device. NVIDIA's licence ties what NVRTC emits to its GPUs: this is a
/// measurement for code that is meant for them, and no product runs it so.
std::vector<Launched> launch_all(const Subject& subject, const runtime::Planned& planned,
                                 const runtime::Artifact& ptx, Scores scores,
                                 const std::vector<Extent>& extents);

}  // namespace lacuna::bench
