// Which registers, predicates and bytes have never been written.
#pragma once
#include "runtime/host/exec/observer.h"

#include <array>
#include <cstdint>
#include <vector>

namespace lacuna::runtime::host {

/// Copies, selections, packings and shuffles carry an undefined value on; whatever else reads one
/// is reported: arithmetic, an address, a stored value, a predicate that decides. Local memory
/// carries undefined bytes on; reading one of shared memory is reported.
class Values {
 public:
  explicit Values(const Cta& cta);

  void before(const Step& step);
  void skip(const Warp& warp, const Instruction& at) const { check_guard(warp, at); }
  void touch(const Step& step, const Touch& touch);
  void after(const Step& step);

  /// Bytes of shared memory have got a value.
  void define_shared(std::uint64_t at, std::uint32_t bytes);

 private:
  /// Lanes in which 16 bits of a register are undefined: a 32-bit slot has two such parts.
  using Parts = std::array<std::uint32_t, 4>;
  /// Lanes for which an instruction has been seen to read and write defined values alone, since the
  /// last time that its warp wrote an undefined one.
  struct Settled {
    std::uint32_t age = 0, lanes = 0;
  };
  struct File {
    std::vector<std::uint32_t> parts, predicates;
    std::vector<Settled> settled;  ///< by instruction
    std::uint32_t age = 1;         ///< counts what made an undefined value
  };

  Parts parts_of(const File& file, NamedOperand operand) const;
  std::uint32_t undefined(const File& file, NamedOperand operand) const;
  void check_guard(const Warp& warp, const Instruction& at) const;
  void check_read(const Step& step, int operand) const;
  [[noreturn]] void report(const Step& step, int operand, std::uint32_t lanes) const;
  void shuffle(const Step& step);
  void combine(const Step& step);
  void load(const Step& step, const Touch& touch, int lane);
  void store(const Step& step, const Touch& touch, int lane);

  const Cta& cta_;
  std::vector<File> files_;                       ///< by warp
  std::vector<std::uint8_t> shared_;              ///< by byte; 1: undefined
  std::vector<std::vector<std::uint8_t>> local_;  ///< by warp, each lane's bytes
  bool carries_ = false;        ///< the step may write what is undefined: next_ says
  Settled* settled_ = nullptr;  ///< of the step
  bool is_settled_ = false;
  std::array<Parts, 4> next_{};  ///< what the registers that the step writes will be
};

}  // namespace lacuna::runtime::host
