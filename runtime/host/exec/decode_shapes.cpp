#include "runtime/host/exec/decoder.h"

#include <fmt/format.h>

namespace lacuna::runtime::host {
namespace {

template <class List>
std::size_t count_of(const List& kinds) {
  std::size_t count = 0;
  for (Kind kind : kinds) count += kind != Kind::none;
  return count;
}

}  // namespace

void Decoder::plain(Frame& frame, const Row& row) {
  const std::size_t dsts = count_of(row.dst), srcs = count_of(row.src);
  expect_operands(dsts + srcs, dsts + srcs);
  Instruction instruction = begin(frame, row);
  for (std::size_t k = 0; k < srcs; ++k) {
    const Operand& operand = statement_->operands[dsts + k];
    if (row.src[k] != Kind::immediate) {
      instruction.src[k] = source(frame, operand, row.src[k]);
    } else {
      if (operand.kind != Operand::Kind::integer)
        fail(fmt::format("'{}' is not a literal", operand.text));
      instruction.immediate = static_cast<std::int64_t>(operand.value);
    }
  }
  for (std::size_t k = 0; k < dsts; ++k)
    instruction.dst[k] = destination(frame, statement_->operands[k], row.dst[k]);
  emit(instruction);
}

/// add, or sub, d, x, y, where x or y is a product: one fma with the factors.
void Decoder::fused(Frame& frame, const Fusion& fusion) {
  const ptx::Statement& sum = frame.function->body[fusion.sum];
  const ptx::Statement& product = frame.function->body[fusion.product];
  const std::string type(sum.opcode.substr(3));
  statement_ = &sum;
  const Row& row = *table_.find("fma.rn" + type);
  start(sum, row);
  const Kind kind = row.src[0];
  const auto negative = [&](std::uint16_t of) {
    Instruction negation = begin(frame, *table_.find("neg" + type.substr(type.rfind('.'))));
    negation.src[0] = of;
    negation.dst[0] = slots_.fresh(kind == Kind::b64);
    emit(negation);
    return negation.dst[0];
  };
  std::uint16_t factor = source(frame, product.operands[1], kind);
  std::uint16_t other = source(frame, sum.operands[3 - fusion.operand], kind);
  if (sum.opcode.starts_with("sub"))
    (fusion.operand == 1 ? other : factor) = negative(fusion.operand == 1 ? other : factor);
  Instruction instruction = begin(frame, row);
  instruction.src[0] = factor;
  instruction.src[1] = source(frame, product.operands[2], kind);
  instruction.src[2] = other;
  instruction.dst[0] = destination(frame, sum.operands[0], kind);
  emit(instruction);
}

/// d[|q], a, b, ...
void Decoder::paired(Frame& frame, const Row& row) {
  const std::size_t srcs = count_of(row.src);
  expect_operands(1 + srcs, 1 + srcs);
  Instruction instruction = begin(frame, row);
  for (std::size_t k = 0; k < srcs; ++k)
    instruction.src[k] = source(frame, statement_->operands[1 + k], row.src[k]);
  const Operand& first = statement_->operands[0];
  const bool pair = first.kind == Operand::Kind::pair;
  instruction.dst[0] = destination(frame, pair ? first.parts[0] : first, row.dst[0]);
  if (pair) instruction.dst[1] = destination(frame, first.parts[1], row.dst[1]);
  instruction.optional = pair;
  emit(instruction);
}

/// A register that is written once, with something that never changes, is that thing.
bool Decoder::forward_constant(Frame& frame, const Row& row) {
  const Operand& to = statement_->operands[0];
  const Operand& from = statement_->operands[1];
  if (to.kind != Operand::Kind::reg || statement_->guard.reg >= 0 || row.dst[0] == Kind::pred)
    return false;
  if (frame.definitions[to.index] != 1 || frame.registers[to.index] >= 0) return false;
  switch (from.kind) {
    case Operand::Kind::integer:
    case Operand::Kind::real:
    case Operand::Kind::special:
    case Operand::Kind::variable:
    case Operand::Kind::module_variable:
      break;
    default:
      return false;
  }
  const bool wide = frame.function->registers[to.index] == ptx::Width::b64;
  const bool narrow = frame.function->registers[to.index] == ptx::Width::b16;
  if (wide != (row.dst[0] == Kind::b64) || narrow != (row.dst[0] == Kind::b16))
    return false;  // plain() complains
  frame.registers[to.index] = source(frame, from, row.src[0]);
  return true;
}

void Decoder::move(Frame& frame, const Row& row) {
  expect_operands(2, 2);
  const Operand& to = statement_->operands[0];
  const Operand& from = statement_->operands[1];
  if (to.kind == Operand::Kind::vector || from.kind == Operand::Kind::vector)
    return move_vector(frame, row, from.kind == Operand::Kind::vector);
  if (!forward_constant(frame, row)) plain(frame, row);
}

void Decoder::move_vector(Frame& frame, const Row& row, bool packs) {
  const Operand& whole = statement_->operands[packs ? 0 : 1];
  const Operand& parts = statement_->operands[packs ? 1 : 0];
  const std::size_t count = parts.parts.size();
  const std::string name = fmt::format("#{}.b{}.{}", packs ? "pack" : "unpack",
                                       row.dst[0] == Kind::b64 ? 64 : 32, count);
  const Row* form =
      row.dst[0] == Kind::b32 || row.dst[0] == Kind::b64 ? table_.find(name) : nullptr;
  if (form == nullptr || !statement_->opcode.starts_with("mov.b"))
    unknown(fmt::format("the vector form of '{}'", statement_->opcode));
  Instruction instruction = begin(frame, *form);
  if (packs) {
    for (std::size_t k = 0; k < count; ++k)
      instruction.src[k] = source(frame, parts.parts[k], form->src[0]);
    instruction.dst[0] = destination(frame, whole, form->dst[0]);
  } else {
    instruction.src[0] = source(frame, whole, form->src[0]);
    for (std::size_t k = 0; k < count; ++k)
      instruction.dst[k] = destination(frame, parts.parts[k], form->dst[0]);
  }
  emit(instruction);
}

void Decoder::load(Frame& frame, const Row& row) {
  expect_operands(2, 2);
  Instruction instruction = begin(frame, row);
  address(frame, statement_->operands[1], instruction);
  const Operand& to = statement_->operands[0];
  const bool vector = to.kind == Operand::Kind::vector;
  if (vector != (row.count > 1) || (vector && to.parts.size() != row.count))
    fail(fmt::format("'{}' writes {} registers", statement_->opcode, row.count));
  for (std::size_t k = 0; k < row.count; ++k)
    instruction.dst[k] = destination(frame, vector ? to.parts[k] : to, row.dst[0]);
  emit(instruction);
}

void Decoder::store(Frame& frame, const Row& row) {
  expect_operands(2, 2);
  Instruction instruction = begin(frame, row);
  address(frame, statement_->operands[0], instruction);
  const Operand& from = statement_->operands[1];
  const bool vector = from.kind == Operand::Kind::vector;
  if (vector != (row.count > 1) || (vector && from.parts.size() != row.count))
    fail(fmt::format("'{}' reads {} registers", statement_->opcode, row.count));
  for (std::size_t k = 0; k < row.count; ++k)
    instruction.src[1 + k] = source(frame, vector ? from.parts[k] : from, row.src[1]);
  emit(instruction);
}

void Decoder::atomic(Frame& frame, const Row& row) {
  const std::size_t dsts = count_of(row.dst), values = count_of(row.src);
  expect_operands(dsts + 1 + values, dsts + 1 + values);
  Instruction instruction = begin(frame, row);
  address(frame, statement_->operands[dsts], instruction);
  for (std::size_t k = 0; k < values; ++k)
    instruction.src[1 + k] = source(frame, statement_->operands[dsts + 1 + k], row.src[1 + k]);
  if (dsts != 0) instruction.dst[0] = destination(frame, statement_->operands[0], row.dst[0]);
  emit(instruction);
}

/// Nothing to execute, but the operand must be one.
void Decoder::prefetch(Frame& frame, const Row& row) {
  expect_operands(1, 1);
  Instruction instruction = begin(frame, row);
  address(frame, statement_->operands[0], instruction);
  emit(instruction);
}

void Decoder::branch(Frame& frame, const Row& row) {
  expect_operands(1, 1);
  const Operand& target = statement_->operands[0];
  if (target.kind != Operand::Kind::label) fail(fmt::format("'{}' is not a label", target.text));
  frame.branches.emplace_back(static_cast<std::uint32_t>(program_.code.size()), target.index);
  emit(begin(frame, row));
}

void Decoder::branch_table(Frame& frame, const Row& row) {
  expect_operands(2, 2);
  const Operand& targets = statement_->operands[1];
  if (targets.kind != Operand::Kind::targets)
    fail(fmt::format("'{}' names no .branchtargets", targets.text));
  Instruction instruction = begin(frame, row);
  instruction.src[0] = source(frame, statement_->operands[0], Kind::b32);
  instruction.immediate = static_cast<std::int64_t>(program_.tables.size());
  frame.tables.emplace_back(static_cast<std::uint32_t>(program_.tables.size()), targets.index);
  program_.tables.emplace_back();
  emit(instruction);
}

void Decoder::barrier(Frame& frame, const Row& row) {
  expect_operands(1, 2);
  Instruction instruction = begin(frame, row);
  for (std::size_t k = 0; k < statement_->operands.size(); ++k)
    instruction.src[k] = source(frame, statement_->operands[k], Kind::b32);
  instruction.optional = statement_->operands.size() == 2;
  emit(instruction);
}

void Decoder::barrier_reduce(Frame& frame, const Row& row) {
  expect_operands(3, 4);
  const std::vector<Operand>& operands = statement_->operands;
  Instruction instruction = begin(frame, row);
  instruction.dst[0] = destination(frame, operands[0], row.dst[0]);
  instruction.src[0] = source(frame, operands[1], Kind::b32);
  instruction.optional = operands.size() == 4;
  if (instruction.optional) instruction.src[1] = source(frame, operands[2], Kind::b32);
  instruction.src[2] = source(frame, operands.back(), Kind::pred);
  emit(instruction);
}

/// Leaving an inlined function is a branch behind it.
void Decoder::finish(Frame& frame, const Row& row) {
  expect_operands(0, 0);
  if (frame.function->entry || statement_->opcode == "exit") return emit(begin(frame, row));
  frame.returns.push_back(static_cast<std::uint32_t>(program_.code.size()));
  emit(begin(frame, *table_.find("bra")));
}

}  // namespace lacuna::runtime::host
