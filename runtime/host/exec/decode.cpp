#include "runtime/host/exec/decode.h"

#include "lacuna/error.hpp"

#include "runtime/host/exec/cta.h"
#include "runtime/host/exec/decoder.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::runtime::host {
namespace {

constexpr int max_call_depth = 32;
constexpr std::size_t max_instructions = std::size_t{1} << 20;
constexpr std::uint64_t max_window_bytes = std::uint64_t{1} << 24;
constexpr std::uint64_t max_local_bytes = std::uint64_t{1} << 19;  // as on a GPU

std::uint64_t align_up(std::uint64_t value, std::uint64_t align) {
  return (value + align - 1) / align * align;
}

void collect_registers(const ptx::Operand& operand, std::vector<std::uint32_t>& counts) {
  if (operand.kind == ptx::Operand::Kind::reg) ++counts[operand.index];
  for (const ptx::Operand& part : operand.parts) collect_registers(part, counts);
}

/// At least how often each register may be written: every first operand counts, though a store only
/// reads it.
std::vector<std::uint32_t> count_definitions(const ptx::Function& function) {
  std::vector<std::uint32_t> counts(function.registers.size());
  for (const ptx::Statement& statement : function.body)
    if (!statement.operands.empty()) collect_registers(statement.operands[0], counts);
  return counts;
}

}  // namespace

Layout::Layout(const ptx::Module& module, Program& program)
    : module_(module),
      program_(program),
      shared_(module.variables.size(), -1),
      statics_(module.variables.size(), -1) {}

std::uint64_t Layout::place_shared(const ptx::Variable& variable) {
  const std::uint64_t at = align_up(program_.shared_bytes, variable.align);
  if (at + variable.bytes > max_window_bytes)
    throw Error(ErrorKind::unsupported,
                fmt::format("kernel '{}' has more than {} bytes of shared memory", program_.entry,
                            max_window_bytes));
  program_.shared_bytes = static_cast<std::uint32_t>(at + variable.bytes);
  return at;
}

std::uint64_t Layout::shared_offset(const ptx::Variable& variable, std::uint32_t key) {
  if (shared_[key] < 0) shared_[key] = static_cast<std::int64_t>(place_shared(variable));
  return static_cast<std::uint64_t>(shared_[key]);
}

void Layout::dynamic_used(const ptx::Variable& variable) {
  dynamic_align_ = std::max(dynamic_align_, variable.align);
}

std::uint64_t Layout::dynamic_base() const {
  return align_up(program_.shared_bytes, dynamic_align_);
}

std::uint64_t Layout::static_address(std::uint32_t variable) {
  if (statics_[variable] < 0) {
    const ptx::Variable& v = module_.variables[variable];
    statics_[variable] =
        static_cast<std::int64_t>((first_variable + 1 + program_.statics.size()) << region_shift);
    program_.statics.push_back({v.name, v.bytes, v.writable, v.initial});
  }
  return static_cast<std::uint64_t>(statics_[variable]);
}

std::uint64_t Layout::local_offset(const ptx::Variable& variable) {
  const std::uint64_t at = align_up(program_.local_bytes, variable.align);
  if (at + variable.bytes > max_local_bytes)
    throw Error(ErrorKind::unsupported,
                fmt::format("kernel '{}' has more than {} bytes of local memory", program_.entry,
                            max_local_bytes));
  program_.local_bytes = static_cast<std::uint32_t>(at + variable.bytes);
  return at;
}

std::string Decoder::place() const {
  const std::string source = module_.source_place(statement_->location);
  return fmt::format("ptx line {}{}{}: {}", statement_->line, source.empty() ? "" : ", ", source,
                     statement_->text);
}

void Decoder::fail(const std::string& what) const {
  throw Error(ErrorKind::device,
              fmt::format("kernel '{}': {} ({})", program_.entry, what, place()));
}

void Decoder::unknown(const std::string& what) const {
  throw Error(ErrorKind::unsupported,
              fmt::format("the host device does not know {} ({})", what, place()));
}

void Decoder::run(const ptx::Function& entry) {
  Frame frame{.function = &entry};
  frame.variables.assign(entry.variables.size(), -1);
  for (std::uint32_t param : entry.params) {
    const ptx::Variable& variable = entry.variables[param];
    const std::uint64_t at = align_up(program_.param_bytes, variable.align);
    if (at + variable.bytes > max_window_bytes)
      throw Error(ErrorKind::unsupported,
                  fmt::format("kernel '{}' has more than {} bytes of parameters", program_.entry,
                              max_window_bytes));
    frame.variables[param] = static_cast<std::int64_t>(at);
    program_.param_bytes = static_cast<std::uint32_t>(at + variable.bytes);
  }
  inline_function(frame);
  slots_.finish(layout_.dynamic_base());
  program_.shared_bytes = static_cast<std::uint32_t>(layout_.dynamic_base());
}

void Decoder::inline_function(Frame& frame) {
  const ptx::Function& function = *frame.function;
  frame.registers.assign(function.registers.size(), -1);
  frame.variables.resize(function.variables.size(), -1);
  frame.definitions = count_definitions(function);
  body(frame);
  frame.code_of.push_back(static_cast<std::int32_t>(program_.code.size()));
  if (function.entry) {  // control that runs off the end leaves
    Instruction end{.run = table_.find("exit")->run,
                    .place = static_cast<std::uint32_t>(program_.places.size())};
    program_.places.push_back({function.line, {}, "the end of the kernel"});
    emit(end);
  }
  settle_branches(frame);
}

void Decoder::body(Frame& frame) {
  const ptx::Function& function = *frame.function;
  const std::vector<Fusion> fusions = find_fusions(function, contract_, random_);
  auto next = fusions.begin();
  for (std::uint32_t at = 0; at < function.body.size(); ++at) {
    frame.code_of.push_back(static_cast<std::int32_t>(program_.code.size()));
    if (next != fusions.end() && next->sum == at)
      fused(frame, *next++);
    else
      statement(frame, function.body[at]);
  }
}

void Decoder::settle_branches(const Frame& frame) {
  const auto target = [&](std::uint32_t label) {
    return frame.code_of[frame.function->labels[label].target];
  };
  for (const auto& [at, label] : frame.branches) program_.code[at].immediate = target(label);
  for (const auto& [index, list] : frame.tables)
    for (std::uint32_t label : frame.function->targets[list])
      program_.tables[index].push_back(target(label));
  for (std::uint32_t at : frame.returns) program_.code[at].immediate = frame.code_of.back();
}

const Row& Decoder::find_row(const Frame& frame) {
  std::string_view opcode = statement_->opcode;
  if (opcode[0] == '#') unknown(fmt::format("the instruction '{}'", opcode));
  std::string local;
  const bool param = opcode.starts_with("ld.param.") || opcode.starts_with("st.param.") ||
                     opcode == "cvta.param.u64";
  if (param && !statement_->operands.empty()) {
    // Parameters of a call in the making lie in local memory; those of the kernel have a window of
    // their own.
    const Operand& where =
        statement_->operands[opcode[0] == 'l' ? statement_->operands.size() - 1 : 0];
    const Operand& base = where.parts.empty() ? where : where.parts[0];
    const bool named = base.kind == Operand::Kind::variable;
    const bool kernels =
        named && frame.function->entry &&
        std::count(frame.function->params.begin(), frame.function->params.end(), base.index) != 0;
    if (!kernels && (named || !frame.function->entry)) {
      local = fmt::format("{}.local{}", opcode.substr(0, opcode.find('.')),
                          opcode.substr(opcode.find(".param") + 6));
      opcode = local;
    }
  }
  const Row* row = table_.find(opcode);
  if (row == nullptr) unknown(table_.explain_unknown(statement_->opcode));
  return *row;
}

Instruction Decoder::begin(Frame& frame, const Row& row) {
  Instruction result{.run = row.run, .code = row.code, .count = row.count, .place = place_};
  if (statement_->guard.reg >= 0) {
    const auto reg = static_cast<std::uint32_t>(statement_->guard.reg);
    result.guard = static_cast<std::uint16_t>(register_slot(frame, reg) |
                                              (statement_->guard.negated ? negated_bit : 0));
  }
  return result;
}

void Decoder::emit(const Instruction& instruction) {
  if (program_.code.size() == max_instructions)
    throw Error(ErrorKind::unsupported,
                fmt::format("kernel '{}' has more than {} instructions with all calls inlined",
                            program_.entry, max_instructions));
  program_.code.push_back(instruction);
}

void Decoder::start(const ptx::Statement& statement, const Row& row) {
  place_ = static_cast<std::uint32_t>(program_.places.size());
  program_.places.push_back({statement.line, statement.location, statement.text});
  wider_registers_ =
      row.shape == Shape::converts || row.shape == Shape::load || row.shape == Shape::store;
  widenings_.clear();
}

void Decoder::statement(Frame& frame, const ptx::Statement& statement) {
  static constexpr std::pair<Shape, void (Decoder::*)(Frame&, const Row&)> decoders[] = {
      {Shape::plain, &Decoder::plain},       {Shape::converts, &Decoder::plain},
      {Shape::compare, &Decoder::paired},    {Shape::paired, &Decoder::paired},
      {Shape::move, &Decoder::move},         {Shape::load, &Decoder::load},
      {Shape::store, &Decoder::store},       {Shape::atomic, &Decoder::atomic},
      {Shape::reduction, &Decoder::atomic},  {Shape::prefetch, &Decoder::prefetch},
      {Shape::branch, &Decoder::branch},     {Shape::branch_table, &Decoder::branch_table},
      {Shape::barrier, &Decoder::barrier},   {Shape::barrier_reduce, &Decoder::barrier_reduce},
      {Shape::finish, &Decoder::finish},     {Shape::call, &Decoder::call},
      {Shape::multiply, &Decoder::multiply}, {Shape::load_matrix, &Decoder::load_matrix},
      {Shape::copy, &Decoder::copy},         {Shape::store_matrix, &Decoder::store_matrix},
      {Shape::mbarrier, &Decoder::mbarrier}, {Shape::policy, &Decoder::policy},
  };
  statement_ = &statement;
  const Row& row = find_row(frame);
  start(statement, row);
  for (const auto& [shape, decode] : decoders)
    if (shape == row.shape) (this->*decode)(frame, row);
  emit_widenings(frame);
}

void Decoder::call(Frame& frame, const Row&) {
  const std::vector<Operand>& operands = statement_->operands;
  const std::size_t callee_at =
      !operands.empty() && operands[0].kind == Operand::Kind::list ? 1 : 0;
  if (operands.size() <= callee_at || operands[callee_at].kind != Operand::Kind::function)
    unknown("an indirect call");
  if (operands.size() > callee_at + 2) unknown("a call with a prototype");
  const ptx::Function& callee = module_.functions[operands[callee_at].index];
  if (!callee.defined) unknown(fmt::format("the function '{}', which has no body", callee.name));
  if (statement_->guard.reg >= 0) unknown("a call with a predicate");
  for (const Frame* up = &frame; up != nullptr; up = up->caller)
    if (up->function == &callee) unknown(fmt::format("the recursive call of '{}'", callee.name));
  if (++depth_ > max_call_depth)
    unknown(fmt::format("calls nested deeper than {}", max_call_depth));

  Frame inner{.function = &callee, .caller = &frame};
  inner.variables.assign(callee.variables.size(), -1);
  const auto bind = [&](const std::vector<std::uint32_t>& formal, const Operand* actual) {
    if (formal.size() != (actual == nullptr ? 0 : actual->parts.size()))
      fail(fmt::format("'{}' takes {} parameters", callee.name, formal.size()));
    for (std::size_t k = 0; k < formal.size(); ++k) {
      const Operand& argument = actual->parts[k];
      const bool variable = argument.kind == Operand::Kind::variable;
      if (!variable || variable_of(frame, argument).space != ptx::Space::param)
        unknown("a call whose argument is not a .param variable");
      if (variable_of(frame, argument).bytes != callee.variables[formal[k]].bytes)
        fail(fmt::format("'{}' does not have the size of the parameter '{}'", argument.text,
                         callee.variables[formal[k]].name));
      inner.variables[formal[k]] = variable_offset(frame, actual->parts[k]);
    }
  };
  bind(callee.returns, callee_at == 1 ? &operands[0] : nullptr);
  bind(callee.params, operands.size() > callee_at + 1 ? &operands[callee_at + 1] : nullptr);
  const ptx::Statement* here = statement_;
  inline_function(inner);
  statement_ = here;
  --depth_;
}

Program decode(std::shared_ptr<const ptx::Module> module, const ptx::Function& entry,
               const Table& table, const Contract& contract) {
  Program program;
  program.entry = entry.name;
  Decoder(*module, table, program, contract).run(entry);
  program.module = std::move(module);
  return program;
}

}  // namespace lacuna::runtime::host
