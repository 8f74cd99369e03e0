#pragma once
#include "runtime/host/exec/watched.h"
#include "runtime/host/ptx/module.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime::host {

/// Where an instruction comes from.
struct Place {
  int line = 0;  ///< of the PTX text
  ptx::Location location;
  std::string_view text;
};

/// A slot that holds the same value in every lane.
struct Constant {
  std::uint16_t slot = 0;
  bool wide = false;
  std::uint64_t value = 0;
};

enum class Special : std::uint8_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  lanemask_eq,
  lanemask_lt,
  lanemask_le,
  lanemask_gt,
  lanemask_ge,
  dynamic_smem_size,
  total_smem_size,
};
struct SpecialSlot {
  std::uint16_t slot = 0;
  Special special{};
};

/// A module's .global or .const variable.
struct Static {
  std::string_view name;
  std::uint64_t bytes = 0;
  bool writable = false;
  std::span<const std::byte> initial;
};

/// A kernel, decoded: nothing in it depends on a launch.
struct Program {
  std::shared_ptr<const ptx::Module> module;
  std::string_view entry;
  std::vector<Instruction> code;  ///< ends with an exit
  std::vector<Watched> watched;   ///< by instruction; empty unless watch() has been called
  std::vector<Place> places;
  std::vector<std::vector<std::int32_t>> tables;  ///< targets of brx
  std::vector<Constant> constants;
  std::vector<SpecialSlot> specials;
  std::vector<Static> statics;
  std::uint32_t slots = 0, predicates = 0;
  std::int32_t false_predicate = -1;  ///< the one that literals stand for; -1: there is none
  std::uint32_t shared_bytes = 0;  ///< static, and where the dynamic part begins
  std::uint32_t local_bytes = 0, param_bytes = 0;
};

}  // namespace lacuna::runtime::host
