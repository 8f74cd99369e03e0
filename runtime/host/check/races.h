// Accesses that nothing orders, found by the happens-before relation (after FastTrack, Flanagan
// and Freund 2009): two by different lanes, at least one a write.
#pragma once
#include "runtime/host/check/cells.h"
#include "runtime/host/check/clocks.h"
#include "runtime/host/exec/observer.h"

#include <cstdint>

namespace lacuna::runtime::host {

/// All shared memory, and those parts of global memory that a launch may write: there, only between
/// the warps of one CTA.
class Races {
 public:
  explicit Races(const Cta& cta)
      : clocks(cta),
        shared(cta.shared_bytes, cta.warp_count),
        global_(0, cta.warp_count),
        cta_(cta) {}

  void touch(const Step& step, const Touch& touch);
  /// A copy's bytes arrive: a write by the lane that waited for it.
  void land(int warp, int lane, std::uint32_t instruction, std::uint64_t at, std::uint32_t bytes);

  Clocks clocks;
  Cells shared;

 private:
  /// An access that is being checked.
  struct Now {
    const Step& step;
    const Touch& touch;
    int lane = 0;             ///< for the report, and for values
    std::uint32_t lanes = 0;  ///< that do it together
    std::uint32_t clock = 0, at = 0;
    std::uint64_t begin = 0, end = 0;
    std::uint32_t bytes = 0;  ///< of the cell
    std::uint8_t kind = plain;
    bool reads = false, writes = false;
  };

  /// The parts of a cell of `bytes` from `address` that the access covers.
  void enter(Cells& cells, Cell& cell, Now& now, std::uint64_t address, std::uint32_t bytes);
  void visit(Cells& cells, Cell& cell, const Now& now, std::uint64_t address);
  void settle(Cell& cell, const Visit& write, std::uint64_t address, std::uint32_t size,
              std::uint64_t begin, std::uint64_t end);
  void check_write(const Cell& cell, const Now& now, std::uint64_t address);
  void check_visits(const Cells& cells, const Cell& cell, const Now& now, std::uint64_t address,
                    std::uint8_t kinds);
  void check_ordered(const Visit& other, const Now& now, std::uint64_t address, bool wrote);
  bool same_value(const Now& now, int other, std::uint64_t address) const;
  [[noreturn]] void report(const Visit& other, const Now& now, std::uint64_t address, bool wrote);

  Cells global_;
  const Cta& cta_;
  std::uint32_t stamp_ = 0;
};

}  // namespace lacuna::runtime::host
