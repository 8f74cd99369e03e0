// What happens before what: vector clocks of warps, and the order of lanes inside each warp.
#pragma once
#include "runtime/host/exec/cta.h"

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace lacuna::runtime::host {

/// By warp: how far another warp's past is known.
using Knowledge = std::vector<std::uint32_t>;

/// Between warps, what one lane has been told its whole warp knows: a missing warp synchronisation
/// before or after a barrier of few lanes goes unseen. Inside a warp, lanes are ordered by barriers
/// and bar.warp.sync alone: that they execute an instruction together orders nothing.
class Clocks {
 public:
  explicit Clocks(const Cta& cta);

  /// The time of what the warp does now; never 0.
  std::uint32_t now(int warp) const { return known_[warp][warp]; }
  /// Whether all that `by` lanes of a warp did at its time `then` happens before what `lanes` do
  /// now; a lane's own past always does.
  bool ordered(int warp, std::uint32_t lanes, int by_warp, std::uint32_t by,
               std::uint32_t then) const {
    if (warp != by_warp) return known_[warp][by_warp] >= then;
    if (then <= together_[warp]) return true;
    return (lanes == by && (by & (by - 1)) == 0) || lanes_ordered(warp, lanes, by, then);
  }

  /// Lanes of a warp have met at a bar.warp.sync or at a barrier.
  void meet(int warp, std::uint32_t lanes, std::uint32_t live);
  /// A warp has come to a barrier: who waits there will know what it knows.
  void arrive(int warp, std::uint32_t barrier);
  void depart(int warp, std::uint32_t barrier);
  void reset(std::uint32_t barrier);

  // Through memory: what is written with release order, or strongly behind a fence, tells those who
  // read it with acquire order, or strongly before a fence.
  void fence(int warp);
  void publish(int warp, std::uint64_t location, bool releases);
  void learn(int warp, std::uint64_t location, bool acquires);

 private:
  bool lanes_ordered(int warp, std::uint32_t lanes, std::uint32_t by, std::uint32_t then) const;
  void join(int warp, const Knowledge& other);

  using Lanes = std::array<std::array<std::uint32_t, 32>, 32>;
  std::vector<Knowledge> known_;
  std::vector<std::uint32_t> together_;  ///< up to this time all lanes of the warp know each other
  std::vector<Lanes> lanes_;             ///< by warp; empty where no part of a warp has met
  std::array<Knowledge, barrier_count> barriers_;
  std::vector<Knowledge> fenced_, heard_;  ///< by warp: before its last fence, and until its next
  std::unordered_map<std::uint64_t, Knowledge> published_;
};

}  // namespace lacuna::runtime::host
