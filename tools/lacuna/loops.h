#pragma once
#include "runtime/artifact.h"
#include "tools/lacuna/report.h"

namespace lacuna::tool {

/// The static instruction counts of one loop.
inline Json loop_json(const runtime::LoopMix& loop) {
  Json counts = Json::object();
  for (auto& [name, count] : loop.counts) counts[name] = count;
  return {{"depth", loop.depth},
          {"place", loop.place},
          {"trip_count", loop.trip_count},
          {"counts", counts}};
}

}  // namespace lacuna::tool
