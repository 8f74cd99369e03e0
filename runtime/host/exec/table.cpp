#include "runtime/host/exec/table.h"

#include "runtime/host/exec/row_sets.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::runtime::host {
namespace {

std::vector<std::string_view> split(std::string_view opcode) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t dot = opcode.find('.');
    parts.push_back(opcode.substr(0, dot));
    if (dot == opcode.npos) return parts;
    opcode.remove_prefix(dot + 1);
  }
}

Neutral neutral_of(std::string_view mnemonic) {
  if (mnemonic == "ld") return Neutral::load;
  if (mnemonic == "st") return Neutral::store;
  if (mnemonic == "atom" || mnemonic == "red") return Neutral::atomic;
  if (mnemonic == "ldmatrix" || mnemonic == "stmatrix") return Neutral::matrix;
  if (mnemonic == "mbarrier") return Neutral::mbarrier;
  if (mnemonic == "cp") return Neutral::copy;
  return Neutral::none;
}

bool among(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Memory order, scope and cache hints: lanes run in order and warps take turns, so that every
/// access here is already as strong as the strongest of them.
bool is_neutral(Neutral neutral, std::string_view modifier) {
  if (neutral == Neutral::none || neutral == Neutral::matrix) return false;
  if (neutral == Neutral::copy)
    return among(modifier, {"L2::64B", "L2::128B", "L2::256B", "L2::cache_hint"});
  if (neutral == Neutral::mbarrier)
    return among(modifier, {"acquire", "release", "relaxed", "cta", "cluster"});
  if (among(modifier, {"relaxed", "cta", "cluster", "gpu", "sys"})) return true;
  if (neutral == Neutral::atomic) return among(modifier, {"acquire", "release", "acq_rel"});
  if (among(modifier, {"weak", "volatile", "cg", "cs", "L1::evict_normal", "L1::evict_unchanged",
                       "L1::evict_first", "L1::evict_last", "L1::no_allocate"}))
    return true;
  if (neutral == Neutral::store) return among(modifier, {"release", "wb", "wt"});
  return among(modifier, {"acquire", "nc", "ca", "lu", "cv", "L2::64B", "L2::128B", "L2::256B"});
}

/// The name under which a row stands: without modifiers that mean nothing here, `shared::cta` as
/// `shared`.
std::string row_name(std::string_view opcode) {
  const std::vector<std::string_view> parts = split(opcode);
  const Neutral neutral = neutral_of(parts[0]);
  std::string name;
  for (std::string_view part : parts) {
    if (is_neutral(neutral, part)) continue;
    if (!name.empty()) name += '.';
    name += neutral != Neutral::none && part == "shared::cta" ? "shared" : part;
  }
  return name;
}

}  // namespace

std::string_view name_of(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "baseline";
}

Isa best_isa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) return Isa::avx512;
  if (__builtin_cpu_supports("x86-64-v3")) return Isa::avx2;
#endif
  return Isa::baseline;
}

Table::Table(Isa isa) {
  for (const RowSet set : {integer_set, float_set, compare_set, convert_set, half_set, memory_set,
                           warp_set, matrix_set, async_set})
    add(set[static_cast<int>(isa)]());
  add(atomic_set());
  add(control_set());
  add(mbarrier_set());
}

void Table::add(Rows rows) {
  for (int i = 0; i < rows.count; ++i) {
    const Row& row = rows.first[i];
    rows_.push_back(&row);
    by_name_.emplace(row.name, &row);
  }
}

const Row* Table::find(std::string_view opcode) const {
  if (const auto exact = by_name_.find(opcode); exact != by_name_.end()) return exact->second;
  const auto found = by_name_.find(row_name(opcode));
  return found == by_name_.end() ? nullptr : found->second;
}

std::string Table::explain_unknown(std::string_view opcode) const {
  const std::string name = row_name(opcode);
  const std::vector<std::string_view> wanted = split(name);
  std::vector<std::string_view> known;
  for (const Row* row : rows_) {
    const std::vector<std::string_view> parts = split(row->name);
    if (parts[0] == wanted[0]) known.insert(known.end(), parts.begin(), parts.end());
  }
  if (known.empty()) return fmt::format("the instruction '{}'", opcode);
  for (std::string_view part : wanted)
    if (std::find(known.begin(), known.end(), part) == known.end())
      return fmt::format("the modifier '.{}' of '{}'", part, opcode);
  return fmt::format("this combination of modifiers: '{}'", opcode);
}

const Table& table(Isa isa) {
  static const Table baseline(Isa::baseline);
  if (isa == Isa::baseline) return baseline;
  static const Table avx2(Isa::avx2);
  if (isa == Isa::avx2) return avx2;
  static const Table avx512(Isa::avx512);
  return avx512;
}

}  // namespace lacuna::runtime::host
