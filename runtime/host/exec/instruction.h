#pragma once
#include <cstdint>

namespace lacuna::runtime::host {

struct Warp;
struct Instruction;
/// Executes one instruction for all lanes of the running group.
using Handler = void (*)(Warp&, const Instruction&);

/// A predicate operand or guard: the index, with the top bit set where it is negated.
constexpr std::uint16_t negated_bit = 0x8000;
constexpr std::uint16_t no_predicate = 0x7fff;

/// Instruction::optional of a cp.async: src 2 says how many bytes are read, or whether none are.
constexpr std::uint8_t copies_some = 1, copies_unless = 2;

/// A decoded instruction. Operands are slots of the register file, or predicates, by index.
struct alignas(64) Instruction {
  Handler run = nullptr;
  std::int64_t immediate = 0;  ///< displacement of an address, branch target, lookup table
  std::uint16_t dst[4] = {};
  std::uint16_t src[10] = {};
  std::uint16_t guard = no_predicate;
  std::uint8_t code = 0;           ///< a sub-operation of the handler
  std::uint8_t count = 1;          ///< elements of a vector access, targets of a brx
  std::uint32_t place = 0;         ///< index into Program::places
  std::uint8_t short_address = 0;  ///< the address register has 32 bits
  std::uint8_t optional = 0;       ///< bits: an operand that may be absent is present
};
static_assert(sizeof(Instruction) == 64);

}  // namespace lacuna::runtime::host
