#pragma once
#include "runtime/host/exec/decode.h"
#include "runtime/host/exec/slots.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime::host {

/// Where module and function variables lie, each in its state space.
class Layout {
 public:
  Layout(const ptx::Module& module, Program& program);
  /// The offset of a shared variable of the module; the dynamic array has none yet.
  std::uint64_t shared_offset(const ptx::Variable& variable, std::uint32_t key);
  /// The address of a .global or .const variable.
  std::uint64_t static_address(std::uint32_t variable);
  std::uint64_t local_offset(const ptx::Variable& variable);
  std::uint64_t place_shared(const ptx::Variable& variable);
  std::uint64_t dynamic_base() const;
  void dynamic_used(const ptx::Variable& variable);

 private:
  const ptx::Module& module_;
  Program& program_;
  std::vector<std::int64_t> shared_, statics_;  ///< by module variable; -1: not used yet
  std::uint32_t dynamic_align_ = 16;
};

/// One use of a function: an entry, or a call that is inlined.
struct Frame {
  const ptx::Function* function = nullptr;
  const Frame* caller = nullptr;
  std::vector<std::int32_t> registers;     ///< slot or predicate; -1: not used yet
  std::vector<std::int64_t> variables;     ///< offset in the variable's space; -1: not placed yet
  std::vector<std::uint32_t> definitions;  ///< how often a register is written
  std::vector<std::int32_t> code_of;       ///< code index of each statement, and of the end
  std::vector<std::pair<std::uint32_t, std::uint32_t>> branches;  ///< instruction, label
  std::vector<std::pair<std::uint32_t, std::uint32_t>> tables;    ///< program table, target list
  std::vector<std::uint32_t> returns;  ///< instructions that jump to the end
};

class Decoder {
 public:
  Decoder(const ptx::Module& module, const Table& table, Program& program, const Contract& contract)
      : module_(module),
        table_(table),
        program_(program),
        contract_(contract),
        random_(contract.seed),
        slots_(program),
        layout_(module, program) {}
  void run(const ptx::Function& entry);

 private:
  using Operand = ptx::Operand;

  void inline_function(Frame& frame);
  void settle_branches(const Frame& frame);
  void body(Frame& frame);
  void statement(Frame& frame, const ptx::Statement& statement);
  void start(const ptx::Statement& statement, const Row& row);
  void fused(Frame& frame, const Fusion& fusion);
  const Row& find_row(const Frame& frame);
  Instruction begin(Frame& frame, const Row& row);
  void emit(const Instruction& instruction);

  // Shapes (decode_shapes.cpp).
  void plain(Frame& frame, const Row& row);
  void paired(Frame& frame, const Row& row);
  void move(Frame& frame, const Row& row);
  void move_vector(Frame& frame, const Row& row, bool packs);
  void load(Frame& frame, const Row& row);
  void store(Frame& frame, const Row& row);
  void atomic(Frame& frame, const Row& row);
  void branch(Frame& frame, const Row& row);
  void branch_table(Frame& frame, const Row& row);
  void barrier(Frame& frame, const Row& row);
  void barrier_reduce(Frame& frame, const Row& row);
  void finish(Frame& frame, const Row& row);
  void prefetch(Frame& frame, const Row& row);
  void call(Frame& frame, const Row& row);
  bool forward_constant(Frame& frame, const Row& row);

  // Shapes of tensor cores and copies (decode_matrix.cpp).
  void multiply(Frame& frame, const Row& row);
  void load_matrix(Frame& frame, const Row& row);
  void store_matrix(Frame& frame, const Row& row);
  void copy(Frame& frame, const Row& row);
  void mbarrier(Frame& frame, const Row& row);
  void policy(Frame& frame, const Row& row);
  const std::vector<Operand>& vector_of(std::size_t operand, std::size_t count) const;

  // Operands (decode_operands.cpp).
  std::uint16_t source(Frame& frame, const Operand& operand, Kind kind);
  std::uint16_t source_register(Frame& frame, const Operand& operand, Kind kind);
  std::uint16_t literal(const Operand& operand, Kind kind);
  std::uint16_t special(const Operand& operand, Kind kind);
  std::uint16_t variable_address(Frame& frame, const Operand& operand, Kind kind,
                                 std::uint64_t more = 0);
  std::uint16_t predicate(Frame& frame, const Operand& operand);
  std::uint16_t destination(Frame& frame, const Operand& operand, Kind kind);
  void address(Frame& frame, const Operand& operand, Instruction& instruction);
  std::uint16_t register_slot(Frame& frame, std::uint32_t reg);
  const ptx::Variable& variable_of(const Frame& frame, const Operand& operand) const;
  std::int64_t variable_offset(Frame& frame, const Operand& operand);
  void emit_widenings(Frame& frame);
  bool is_real_type() const;
  void expect_operands(std::size_t least, std::size_t most) const;

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void unknown(const std::string& what) const;
  std::string place() const;

  struct Widening {
    std::uint16_t from, to;
  };

  const ptx::Module& module_;
  const Table& table_;
  Program& program_;
  Contract contract_;
  std::mt19937_64 random_;
  Slots slots_;
  Layout layout_;
  const ptx::Statement* statement_ = nullptr;  ///< the one being decoded
  std::uint32_t place_ = 0;
  bool wider_registers_ = false;     ///< cvt, ld and st take registers wider than their type
  std::vector<Widening> widenings_;  ///< to be emitted after the instruction
  int depth_ = 0;
};

}  // namespace lacuna::runtime::host
