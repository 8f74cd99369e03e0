// Operands of tensor-core instructions and of asynchronous copies.
#include "runtime/host/exec/decoder.h"

#include <fmt/format.h>

namespace lacuna::runtime::host {

/// The parts of a vector operand that must have `count` of them.
const std::vector<ptx::Operand>& Decoder::vector_of(std::size_t operand, std::size_t count) const {
  const Operand& vector = statement_->operands[operand];
  if (vector.kind != Operand::Kind::vector || vector.parts.size() != count)
    fail(fmt::format("operand {} of '{}' is not a vector of {}", operand + 1, statement_->opcode,
                     count == 1 ? "one register" : fmt::format("{} registers", count)));
  return vector.parts;
}

/// {d}, {a}, {b}, {c}: A to src 0.., B to src 4.., C to src 6...
void Decoder::multiply(Frame& frame, const Row& row) {
  expect_operands(4, 4);
  Instruction instruction = begin(frame, row);
  const auto sources = [&](std::size_t operand, std::size_t count, std::uint16_t* to) {
    for (const Operand& part : vector_of(operand, count)) *to++ = source(frame, part, Kind::b32);
  };
  sources(1, row.code, instruction.src);
  sources(2, row.code / 2, instruction.src + 4);
  sources(3, row.count, instruction.src + 6);
  std::uint16_t* to = instruction.dst;
  for (const Operand& part : vector_of(0, row.count)) *to++ = destination(frame, part, Kind::b32);
  emit(instruction);
}

/// {d...}, [a]
void Decoder::load_matrix(Frame& frame, const Row& row) {
  expect_operands(2, 2);
  Instruction instruction = begin(frame, row);
  address(frame, statement_->operands[1], instruction);
  std::uint16_t* to = instruction.dst;
  for (const Operand& part : vector_of(0, row.count)) *to++ = destination(frame, part, Kind::b32);
  emit(instruction);
}

/// [a], {b...}
void Decoder::store_matrix(Frame& frame, const Row& row) {
  expect_operands(2, 2);
  Instruction instruction = begin(frame, row);
  address(frame, statement_->operands[0], instruction);
  std::uint16_t* to = instruction.src + 1;
  for (const Operand& part : vector_of(1, row.count)) *to++ = source(frame, part, Kind::b32);
  emit(instruction);
}

/// [d,] [a][, b]
void Decoder::mbarrier(Frame& frame, const Row& row) {
  const std::size_t at = row.dst[0] == Kind::none ? 0 : 1;
  const std::size_t most = at + (row.src[1] == Kind::none ? 1 : 2);
  expect_operands(most - row.code, most);
  Instruction instruction = begin(frame, row);
  address(frame, statement_->operands[at], instruction);
  if (row.src[1] != Kind::none)
    instruction.src[1] = statement_->operands.size() == most
                             ? source(frame, statement_->operands[at + 1], row.src[1])
                             : slots_.constant(1, false);
  if (at == 1) instruction.dst[0] = destination(frame, statement_->operands[0], row.dst[0]);
  emit(instruction);
}

/// A cache policy steers nothing here: any value will do.
void Decoder::policy(Frame& frame, const Row& row) {
  expect_operands(1, 2);
  if (statement_->operands.size() == 2 && statement_->operands[1].kind != Operand::Kind::real)
    source(frame, statement_->operands[1], Kind::b32);
  Instruction instruction = begin(frame, row);
  instruction.src[0] = slots_.constant(0, true);
  instruction.dst[0] = destination(frame, statement_->operands[0], Kind::b64);
  emit(instruction);
}

/// [to], [from], size[, bytes | ignore][, policy]: both displacements share the immediate, `to` in
/// its low half.
void Decoder::copy(Frame& frame, const Row& row) {
  const bool hinted = statement_->opcode.find(".L2::cache_hint") != std::string_view::npos;
  expect_operands(3 + hinted, 4 + hinted);
  const std::vector<Operand>& operands = statement_->operands;
  Instruction from;
  address(frame, operands[1], from);
  Instruction instruction = begin(frame, row);
  address(frame, operands[0], instruction);
  if (from.short_address) fail("the source of a copy is a 32-bit address");
  for (std::int64_t each : {instruction.immediate, from.immediate})
    if (each != static_cast<std::int32_t>(each))
      unknown(fmt::format("a copy with the displacement {}", each));
  instruction.src[1] = from.src[0];
  instruction.immediate =
      (from.immediate << 32) | static_cast<std::uint32_t>(instruction.immediate);

  const Operand& size = operands[2];
  const bool known = size.value == 16 || (row.count == 4 && (size.value == 4 || size.value == 8));
  if (size.kind != Operand::Kind::integer || !known)
    fail(fmt::format("'{}' copies {} bytes, not '{}'", statement_->opcode,
                     row.count == 4 ? "4, 8 or 16" : "16", size.text));
  instruction.count = static_cast<std::uint8_t>(size.value);
  if (operands.size() == 4u + hinted) {
    const Operand& some = operands[3];
    const bool ignores = some.kind == Operand::Kind::reg &&
                         frame.function->registers[some.index] == ptx::Width::pred;
    instruction.src[2] = source(frame, some, ignores ? Kind::pred : Kind::b32);
    instruction.optional = ignores ? copies_unless : copies_some;
  }
  if (hinted) source(frame, operands.back(), Kind::b64);
  emit(instruction);
}

}  // namespace lacuna::runtime::host
