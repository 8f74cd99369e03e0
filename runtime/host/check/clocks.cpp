#include "runtime/host/check/clocks.h"

#include <algorithm>
#include <bit>

namespace lacuna::runtime::host {
namespace {

void merge(Knowledge& into, const Knowledge& from) {
  if (into.empty()) into.assign(from.size(), 0);
  for (std::size_t k = 0; k < from.size(); ++k) into[k] = std::max(into[k], from[k]);
}

}  // namespace

Clocks::Clocks(const Cta& cta)
    : known_(static_cast<std::size_t>(cta.warp_count),
             Knowledge(static_cast<std::size_t>(cta.warp_count))),
      together_(known_.size()),
      fenced_(known_.size()),
      heard_(known_.size()) {
  for (std::size_t k = 0; k < known_.size(); ++k) known_[k][k] = 1;
}

bool Clocks::lanes_ordered(int warp, std::uint32_t lanes, std::uint32_t by,
                           std::uint32_t then) const {
  if (lanes_.empty()) return false;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    for (std::uint32_t others = by & ~(1u << lane); others != 0; others &= others - 1)
      if (lanes_[warp][lane][std::countr_zero(others)] < then) return false;
  }
  return true;
}

void Clocks::meet(int warp, std::uint32_t lanes, std::uint32_t live) {
  const std::uint32_t time = known_[warp][warp]++;
  if (lanes == live) {
    together_[warp] = time;
    return;
  }
  if (lanes_.empty()) lanes_.resize(known_.size());
  Lanes& known = lanes_[warp];
  std::array<std::uint32_t, 32> all{};
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    for (int k = 0; k < 32; ++k) all[k] = std::max(all[k], known[lane][k]);
    all[lane] = time;
  }
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) known[std::countr_zero(rest)] = all;
}

void Clocks::join(int warp, const Knowledge& other) {
  if (other.empty()) return;
  together_[warp] = std::max(together_[warp], other[warp]);
  merge(known_[warp], other);
}

void Clocks::arrive(int warp, std::uint32_t barrier) {
  merge(barriers_[barrier], known_[warp]);
  ++known_[warp][warp];
}

void Clocks::depart(int warp, std::uint32_t barrier) {
  // Its own lanes are ordered by meet().
  merge(known_[warp], barriers_[barrier]);
}

void Clocks::reset(std::uint32_t barrier) {
  barriers_[barrier].clear();
}

void Clocks::fence(int warp) {
  join(warp, heard_[warp]);
  fenced_[warp] = known_[warp];
  ++known_[warp][warp];
}

void Clocks::publish(int warp, std::uint64_t location, bool releases) {
  const Knowledge& told = releases ? known_[warp] : fenced_[warp];
  if (told.empty()) return;
  merge(published_[location], told);
  if (releases) ++known_[warp][warp];
}

void Clocks::learn(int warp, std::uint64_t location, bool acquires) {
  const auto found = published_.find(location);
  if (found == published_.end()) return;
  if (acquires)
    join(warp, found->second);
  else
    merge(heard_[warp], found->second);
}

}  // namespace lacuna::runtime::host
