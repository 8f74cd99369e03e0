// Asynchronous copies between their issue and the wait that covers them.
#pragma once
#include "runtime/host/exec/observer.h"

#include <array>
#include <cstdint>
#include <vector>

namespace lacuna::runtime::host {

class Copies {
 public:
  /// One copy of one lane.
  struct Copy {
    std::uint64_t from = 0, to = 0;  ///< a device address and an offset in shared memory
    std::uint32_t bytes = 0, read = 0;
    std::uint32_t at = 0;  ///< the instruction's index
    std::uint32_t group = 0;
    int warp = 0, lane = 0;
  };

  /// `late`: the bytes arrive at the wait.
  Copies(const Cta& cta, bool late);

  /// Reports an access to what is in flight.
  void check(const Step& step, const Touch& touch) const;
  /// A copy's two accesses, source before destination; a lane that reads nothing has no source.
  void source(const Step& step, const Touch& touch);
  void issue(const Step& step, const Touch& destination);
  void commit(const Step& step);
  /// Takes out the copies that have arrived: all but those of the `newest` last groups of a lane.
  std::vector<Copy> wait(const Step& step, std::uint32_t newest);
  std::vector<Copy> wait_all(const Step& step);
  /// The lanes of a warp that have copies in flight.
  std::uint32_t in_flight(int warp) const;

 private:
  struct Issued {
    std::vector<Copy> copies;
    std::array<std::uint32_t, 32> groups{};  ///< committed so far, by lane
  };
  template <class Covered>
  std::vector<Copy> take(const Step& step, Covered covered);
  void mark(const Copy& copy, std::uint32_t with);
  void check_shared(const Step& step, const Touch& touch) const;
  void check_sources(const Step& step, const Touch& touch) const;
  [[noreturn]] void report(const Step& step, const Touch& touch, int lane, const Copy& copy,
                           bool is_source) const;

  const Cta& cta_;
  bool late_;
  std::size_t count_ = 0;  ///< in flight
  std::vector<Issued> warps_;
  std::vector<std::uint32_t>
      owner_;  ///< by four bytes of shared memory: 1 + the warp whose copy is in flight
  std::array<std::uint64_t, 32> sources_{};  ///< of the copy that is being issued
  bool writable_sources_ = false;            ///< some copy has read what the launch may write
};

}  // namespace lacuna::runtime::host
