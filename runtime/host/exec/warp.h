#pragma once
#include "runtime/host/exec/instruction.h"

#include <cstddef>
#include <cstdint>

namespace lacuna::runtime::host {

struct Cta;

constexpr int warp_size = 32;
/// Bytes of a slot: one 32-bit value of each lane. A 64-bit register takes two.
constexpr int slot_bytes = 4 * warp_size;
constexpr std::int32_t no_limit = 0x7fffffff;

/// Lanes that stand at the same instruction, while another group runs.
struct Group {
  enum class Wait : std::uint8_t { nothing, members, barrier };
  std::int32_t pc = 0;
  std::uint32_t lanes = 0;
  Wait wait = Wait::nothing;
  std::uint8_t barrier = 0;
};

/// A warp's registers, and where its lanes are. The lanes of the running group are `active`; all
/// others wait in `groups`.
struct Warp {
  std::byte* slots = nullptr;
  std::uint32_t* predicates = nullptr;
  std::uint32_t active = 0;
  std::int32_t pc = 0;            ///< the next instruction of the running group
  std::int32_t limit = no_limit;  ///< at or beyond it the groups are looked at; -1: at once
  std::uint32_t launched = 0;     ///< lanes that exist
  std::uint32_t exited = 0;
  std::int32_t index = 0;     ///< in its CTA
  std::int32_t backward = 0;  ///< backward branches left before others get a turn
  std::int32_t favoured = 0;  ///< reschedulings for which a group that came out of order stays
  bool yields = false;        ///< the turn is over
  std::int32_t turn = 0;      ///< instructions left of it where they are watched; 0: no limit
  std::uint8_t group_count = 0;
  Group groups[warp_size];
  std::byte* local = nullptr;  ///< lane l's local memory starts at l * Cta::local_bytes
  Cta* cta = nullptr;
  std::uint64_t instructions = 0, lane_instructions = 0;
};

}  // namespace lacuna::runtime::host
