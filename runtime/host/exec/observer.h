// Looking over a kernel's shoulder: what every instruction reads, writes and touches, as it does.
#pragma once
#include "runtime/host/exec/instruction.h"
#include "runtime/host/exec/program.h"
#include "runtime/host/exec/warp.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace lacuna::runtime::host {

class Table;
struct RegionSpan;

/// An instruction while it is executed.
struct Step {
  Warp& warp;
  const Instruction& at;
  const Watched& what;
  std::uint32_t lanes = 0;  ///< that execute it; never 0
};

/// The addresses of a step's lanes in one window: offsets in shared, local and parameter memory,
/// device addresses (find_region) in global memory.
struct Touch {
  const Access& access;
  Window window = Window::global;  ///< never generic
  std::uint32_t lanes = 0;
  const std::uint64_t* at = nullptr;  ///< by lane
};

/// Sees one CTA run, on the thread that runs it. What it throws stops the launch.
class Observer {
 public:
  virtual ~Observer() = default;
  /// Registers are as the instruction finds them. Called again where the instruction had to wait
  /// for lanes.
  virtual void before(const Step&) {}
  /// The memory that the instruction has touched; bounds and alignment have been checked. Source
  /// before destination.
  virtual void touch(const Step&, const Touch&) {}
  /// An instruction that no lane of the running group executes: its predicate holds for none.
  virtual void skip(Warp&, const Instruction&) {}
  /// The instruction is done.
  virtual void after(const Step&) {}
  /// Lanes have come to a barrier of the CTA: waiting at it, or only counted in.
  virtual void arrive(Warp&, const Instruction&, std::uint32_t /*id*/, std::uint32_t /*lanes*/,
                      bool /*waits*/) {}
  /// All have come: the lanes of every group that waits at it go on.
  virtual void release(Cta&, std::uint32_t /*id*/) {}
  /// More about why nothing moves, in lines that begin with "\n  ".
  virtual std::string stands(const Cta&) { return {}; }
};

/// Makes the observer of a CTA that is about to run.
using MakeObserver = std::function<std::unique_ptr<Observer>(Cta&)>;

/// Puts a step in front of every handler of a program, so that its CTAs have an observer and turns
/// of limited length.
void watch(Program& program, const Table& table);

/// The lanes of the running group that execute an instruction: its predicate holds.
std::uint32_t executing_lanes(const Warp& warp, const Instruction& at);
/// What a lane's asynchronous copy reads; zeros follow.
std::uint32_t copied_bytes(const Step& step, int lane);
const RegionSpan* region_of(const Cta& cta, std::uint64_t address);

}  // namespace lacuna::runtime::host
