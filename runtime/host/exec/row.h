#pragma once
#include "runtime/host/exec/instruction.h"

#include <cstdint>

namespace lacuna::runtime::host {

/// What an operand of a row must be.
enum class Kind : std::uint8_t {
  none,
  pred,
  b16,
  b32,
  b64,
  immediate,  ///< an integer literal, to Instruction::immediate
};

/// How the operands of an instruction are written and decoded.
enum class Shape : std::uint8_t {
  plain,         ///< dst..., src... as the row says
  converts,      ///< plain, but registers may be wider than the row says
  compare,       ///< p[|q], a, b[, c]
  move,          ///< mov: plain, symbols, packing and unpacking of vectors
  load,          ///< d, [a]
  store,         ///< [a], b
  atomic,        ///< d, [a], b[, c]
  reduction,     ///< [a], b
  prefetch,      ///< [a]
  branch,        ///< label
  branch_table,  ///< a, targets
  call,
  finish,          ///< ret, exit
  barrier,         ///< a[, b], each a register or literal
  barrier_reduce,  ///< d, a[, b], c
  paired,          ///< d[|p], src...
  multiply,        ///< {d}, {a}, {b}, {c}: `code` registers of a, `count` of c and d
  load_matrix,     ///< {d...}, [a]
  store_matrix,    ///< [a], {b...}
  mbarrier,        ///< [d,] [a][, b]: `code` is 1 where b may be left out, and is then 1
  policy,          ///< d[, fraction]
  copy,            ///< [to], [from], size[, bytes or predicate][, policy]
};

/// Modifiers that do not change what an instruction does here, and that may therefore be left out
/// of the row's name.
enum class Neutral : std::uint8_t { none, load, store, atomic, matrix, copy, mbarrier };

/// One instruction form that the host device knows; the tables of rows are ops_*.cpp. Tests iterate
/// them.
struct Row {
  const char* name = nullptr;  ///< the opcode with every modifier that matters, in PTX's order
  Handler run = nullptr;
  Shape shape = Shape::plain;
  Neutral neutral = Neutral::none;
  std::uint8_t code = 0;   ///< to Instruction::code
  std::uint8_t count = 1;  ///< elements of a vector access
  Kind dst[2] = {};
  Kind src[4] = {};
};

struct Rows {
  const Row* first = nullptr;
  int count = 0;
};

}  // namespace lacuna::runtime::host
