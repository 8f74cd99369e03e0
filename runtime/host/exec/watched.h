// What an instruction of a watched program names: registers, predicates, memory.
#pragma once
#include "runtime/host/exec/row.h"
#include "runtime/host/report.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace lacuna::runtime::host {

/// A register's first slot, or a predicate's index (with negated_bit), that an instruction names.
struct NamedOperand {
  std::uint16_t index = 0;
  Kind kind = Kind::none;
};

/// What one memory operand of an instruction does, for each lane.
struct Access {
  Window window = Window::global;  ///< generic: each lane's address says
  Use use = Use::read;
  bool asynchronous = false;  ///< happens between this instruction and the wait that covers it
  bool atomic = false;
  bool collective = false;         ///< every lane reads what each address names
  std::uint8_t element = 0;        ///< bytes of an element
  std::uint8_t count = 1;          ///< elements, one after the other
  std::uint8_t short_address = 0;  ///< the address register has 32 bits
  std::uint8_t givers = 32;        ///< lanes, from lane 0, whose addresses count
  std::uint16_t address = 0;       ///< the slot of the address
  std::int64_t displacement = 0;
  std::uint32_t bytes() const { return std::uint32_t{element} * count; }
};

/// How an instruction takes part in the order of memory: its modifiers say.
struct Order {
  bool strong = false;  ///< volatile, relaxed or stronger: does not race with its like
  bool acquires = false, releases = false;
};

/// How what an instruction writes depends on what it reads.
enum class Flow : std::uint8_t {
  computes,  ///< on every bit of every operand
  copies,    ///< the operand, perhaps wider or narrower
  selects,   ///< one of two operands, by a predicate
  packs,     ///< the operands, one after the other
  unpacks,   ///< the parts of the operand
  shuffles,  ///< another lane's operand
  either,    ///< predicates of which one may settle the result
  both,      ///< predicates
};

/// What an instruction means for the order of memory, beside its accesses.
enum class Role : std::uint8_t { none, meets, fences, commits, waits, waits_all };

/// An instruction of a watched program: its handler, and what it names.
struct Watched {
  Handler run = nullptr;
  const Row* row = nullptr;
  Flow flow = Flow::computes;
  Role role = Role::none;
  std::array<NamedOperand, 12> reads = {};
  std::array<NamedOperand, 4> writes = {};
  std::array<Access, 2> accesses = {};
  std::uint8_t read_count = 0, write_count = 0, access_count = 0;
  bool moves_lanes = false;  ///< a branch, an end or a barrier of the CTA
  Order order;
};

/// `opcode` is the text's: its modifiers say what the row's name leaves out.
Watched name_operands(const Row& row, const Instruction& at, std::string_view opcode);

}  // namespace lacuna::runtime::host
