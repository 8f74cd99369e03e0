#include "runtime/host/check/snapshot.h"

#include <cstring>

namespace lacuna::runtime::host {

Snapshot::Snapshot(const LaunchState& state) {
  for (const std::vector<RegionSpan>* spans : {&state.regions, &state.statics})
    for (const RegionSpan& span : *spans)
      if (span.writable && span.bytes != 0)
        parts_.push_back({span.data, {span.data, span.data + span.bytes}});
}

void Snapshot::restore() const {
  for (const Part& part : parts_) std::memcpy(part.data, part.bytes.data(), part.bytes.size());
}

}  // namespace lacuna::runtime::host
