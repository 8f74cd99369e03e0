#pragma once
#include <compare>
#include <string>
#include <string_view>

namespace lacuna::plan {

/// A GPU architecture: 90 and 'a' for sm_90a.
struct Arch {
  int sm = 80;
  char suffix = 0;
  auto operator<=>(const Arch&) const = default;
  std::string name() const {
    return "sm_" + std::to_string(sm) + (suffix ? std::string(1, suffix) : "");
  }
};

/// What a schedule may use on an architecture; the table is compiler/plan/arch.cpp.
struct ArchRow {
  int sm;
  int shared_per_block;  ///< bytes, with opt-in
  int shared_per_sm, registers_per_sm, threads_per_sm;
  double product_cycles;  ///< of an m16n8k16 mma.sync on a quarter of an SM
  int multiprocessors;    ///< of its largest GPU: what a plan without a device counts with
  std::string_view ptx;   ///< the lowest PTX version that knows it, as clang spells it: "ptx83"
  int shared_reserved = 1024;  ///< bytes that the system takes of each block
};
/// The row of the newest architecture that is not newer than `arch`; throws Error{unsupported}
/// below sm_80.
const ArchRow& row(const Arch& arch);
/// "sm_90a", "90a" or "90". Throws Error{argument}.
Arch parse_arch(std::string_view text);

}  // namespace lacuna::plan
