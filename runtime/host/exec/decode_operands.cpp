#include "runtime/host/exec/decoder.h"

#include <fmt/format.h>

#include <bit>

namespace lacuna::runtime::host {
namespace {

int bits_of(Kind kind) {
  return kind == Kind::b64 ? 64 : kind == Kind::b32 ? 32 : kind == Kind::b16 ? 16 : 1;
}
int bits_of(ptx::Width width) {
  return width == ptx::Width::b64   ? 64
         : width == ptx::Width::b32 ? 32
         : width == ptx::Width::b16 ? 16
                                    : 1;
}

}  // namespace

void Decoder::expect_operands(std::size_t least, std::size_t most) const {
  const std::size_t count = statement_->operands.size();
  if (count < least || count > most)
    fail(fmt::format(
        "'{}' has {} operands; it takes {}", statement_->opcode, count,
        least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most)));
}

/// The type after the last dot speaks of the sources: "cvt.rzi.s32.f32".
bool Decoder::is_real_type() const {
  const std::string_view opcode = statement_->opcode;
  return opcode.ends_with(".f32") || opcode.ends_with(".f64");
}

std::uint16_t Decoder::register_slot(Frame& frame, std::uint32_t reg) {
  std::int32_t& slot = frame.registers[reg];
  if (slot < 0) {
    const ptx::Width width = frame.function->registers[reg];
    slot = width == ptx::Width::pred ? slots_.fresh_predicate()
                                     : slots_.fresh(width == ptx::Width::b64);
  }
  return static_cast<std::uint16_t>(slot);
}

std::uint16_t Decoder::predicate(Frame& frame, const Operand& operand) {
  if (operand.kind == Operand::Kind::integer) {
    // A literal truth is the negation, or not, of a predicate that is never set. clang writes -1.
    return static_cast<std::uint16_t>(slots_.false_predicate() | (operand.value ? negated_bit : 0));
  }
  if (operand.kind != Operand::Kind::reg ||
      frame.function->registers[operand.index] != ptx::Width::pred)
    fail(fmt::format("'{}' is not a predicate", operand.text));
  return static_cast<std::uint16_t>(register_slot(frame, operand.index) |
                                    (operand.negated ? negated_bit : 0));
}

std::uint16_t Decoder::source_register(Frame& frame, const Operand& operand, Kind kind) {
  const int has = bits_of(frame.function->registers[operand.index]), wants = bits_of(kind);
  const std::uint16_t slot = register_slot(frame, operand.index);
  if (has == wants || (wider_registers_ && has > wants && has < 64)) return slot;
  if (!wider_registers_ || has < wants)
    fail(fmt::format("'{}' has {} bits; '{}' wants {}", operand.text, has, statement_->opcode,
                     wants));
  Instruction narrow = begin(frame, *table_.find("cvt.u32.u64"));
  narrow.src[0] = slot;
  narrow.dst[0] = slots_.fresh(false);
  emit(narrow);
  return narrow.dst[0];
}

std::uint16_t Decoder::literal(const Operand& operand, Kind kind) {
  const bool real = is_real_type();
  if (operand.kind == Operand::Kind::real) {
    if (kind == Kind::b64 && !operand.single) return slots_.constant(operand.value, true);
    if (kind == Kind::b32 && operand.single) return slots_.constant(operand.value, false);
    if (kind == Kind::b32 && real)
      return slots_.constant(
          std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(operand.value))),
          false);
    fail(fmt::format("the floating literal '{}' does not fit '{}'", operand.text,
                     statement_->opcode));
  }
  if (real && !statement_->opcode.starts_with("slct"))
    fail(fmt::format("'{}' is an integer; '{}' wants a floating value", operand.text,
                     statement_->opcode));
  const int bits = bits_of(kind);
  const auto value = static_cast<std::int64_t>(operand.value);
  if (bits < 64 && value >= std::int64_t{1} << bits)
    fail(fmt::format("'{}' does not fit {} bits", operand.text, bits));
  if (bits < 64 && value < -(std::int64_t{1} << (bits - 1)))
    fail(fmt::format("'-{}' does not fit {} bits", operand.text, bits));
  return slots_.constant(operand.value, kind == Kind::b64);
}

std::uint16_t Decoder::special(const Operand& operand, Kind kind) {
  Special found{};
  if (!find_special(operand.text, found))
    unknown(fmt::format("the special register '{}'", operand.text));
  if (kind != Kind::b32) fail(fmt::format("'{}' has 32 bits", operand.text));
  return slots_.special(found);
}

const ptx::Variable& Decoder::variable_of(const Frame& frame, const Operand& operand) const {
  return operand.kind == Operand::Kind::variable ? frame.function->variables[operand.index]
                                                 : module_.variables[operand.index];
}

/// Of a function's variable, in its space.
std::int64_t Decoder::variable_offset(Frame& frame, const Operand& operand) {
  std::int64_t& at = frame.variables[operand.index];
  if (at >= 0) return at;
  const ptx::Variable& variable = frame.function->variables[operand.index];
  const bool shared = variable.space == ptx::Space::shared;
  return at = static_cast<std::int64_t>(shared ? layout_.place_shared(variable)
                                               : layout_.local_offset(variable));
}

std::uint16_t Decoder::variable_address(Frame& frame, const Operand& operand, Kind kind,
                                        std::uint64_t more) {
  if (kind != Kind::b64 && kind != Kind::b32)
    fail(fmt::format("the address of '{}' does not fit '{}'", operand.text, statement_->opcode));
  const bool wide = kind == Kind::b64;
  const ptx::Variable& variable = variable_of(frame, operand);
  const std::uint64_t offset = operand.value + more;
  if (operand.kind == Operand::Kind::variable)
    return slots_.constant(static_cast<std::uint64_t>(variable_offset(frame, operand)) + offset,
                           wide);
  if (variable.space == ptx::Space::shared) {
    if (!variable.external)
      return slots_.constant(layout_.shared_offset(variable, operand.index) + offset, wide);
    layout_.dynamic_used(variable);
    return slots_.dynamic_shared(offset, wide);
  }
  if (!wide) fail(fmt::format("the address of '{}' has 64 bits", operand.text));
  return slots_.constant(layout_.static_address(operand.index) + offset, true);
}

std::uint16_t Decoder::source(Frame& frame, const Operand& operand, Kind kind) {
  if (kind == Kind::pred) return predicate(frame, operand);
  switch (operand.kind) {
    case Operand::Kind::reg:
      if (frame.function->registers[operand.index] == ptx::Width::pred || operand.negated)
        fail(fmt::format("'{}' is a predicate; '{}' wants a value", operand.text,
                         statement_->opcode));
      return source_register(frame, operand, kind);
    case Operand::Kind::integer:
    case Operand::Kind::real:
      return literal(operand, kind);
    case Operand::Kind::special:
      return special(operand, kind);
    case Operand::Kind::variable:
    case Operand::Kind::module_variable:
      return variable_address(frame, operand, kind);
    case Operand::Kind::function:
      unknown(fmt::format("the address of the function '{}'", operand.text));
    default:
      fail(fmt::format("'{}' cannot be read by '{}'", operand.text, statement_->opcode));
  }
}

std::uint16_t Decoder::destination(Frame& frame, const Operand& operand, Kind kind) {
  if (operand.kind == Operand::Kind::sink)
    return kind == Kind::pred ? slots_.sink_predicate() : slots_.sink();
  if (operand.kind != Operand::Kind::reg || operand.negated)
    fail(fmt::format("'{}' cannot be written by '{}'", operand.text, statement_->opcode));
  const int has = bits_of(frame.function->registers[operand.index]), wants = bits_of(kind);
  const std::uint16_t slot = register_slot(frame, operand.index);
  if (has == wants || (wider_registers_ && has > wants && has < 64 && wants > 1)) return slot;
  if (!wider_registers_ || has < wants || wants == 1)
    fail(fmt::format("'{}' has {} bits; '{}' writes {}", operand.text, has, statement_->opcode,
                     wants));
  const std::uint16_t narrow = slots_.fresh(false);
  widenings_.push_back({narrow, slot});
  return narrow;
}

/// A narrow result in a 64-bit register is extended as its type says: "ld.s32", "cvt.s32.f32".
void Decoder::emit_widenings(Frame& frame) {
  if (widenings_.empty()) return;
  const std::string_view opcode = statement_->opcode;
  const std::size_t last = opcode.rfind('.');
  const std::size_t previous = opcode.starts_with("cvt") ? opcode.rfind('.', last - 1) : last;
  const bool is_signed = opcode[previous + 1] == 's';
  for (const Widening& each : widenings_) {
    Instruction widen = begin(frame, *table_.find(is_signed ? "cvt.s64.s32" : "cvt.u64.u32"));
    widen.src[0] = each.from;
    widen.dst[0] = each.to;
    emit(widen);
  }
  widenings_.clear();
}

void Decoder::address(Frame& frame, const Operand& operand, Instruction& instruction) {
  if (operand.kind != Operand::Kind::address)
    fail(fmt::format("'{}' is not an address", operand.text));
  const Operand& base = operand.parts[0];
  switch (base.kind) {
    case Operand::Kind::reg: {
      const ptx::Width width = frame.function->registers[base.index];
      if (width != ptx::Width::b64 && width != ptx::Width::b32)
        fail(fmt::format("'{}' cannot hold an address", base.text));
      instruction.src[0] = register_slot(frame, base.index);
      instruction.short_address = width == ptx::Width::b32;
      instruction.immediate = static_cast<std::int64_t>(operand.value);
      return;
    }
    case Operand::Kind::integer:
      instruction.src[0] = slots_.constant(base.value + operand.value, true);
      return;
    case Operand::Kind::variable:
    case Operand::Kind::module_variable:
      instruction.src[0] = variable_address(frame, base, Kind::b64, operand.value);
      return;
    default:
      fail(fmt::format("'{}' is not an address", base.text));
  }
}

}  // namespace lacuna::runtime::host
