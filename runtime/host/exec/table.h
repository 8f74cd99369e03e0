#pragma once
#include "runtime/host/exec/row.h"

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lacuna::runtime::host {

/// Versions of the handlers. All compute the same bits.
enum class Isa : std::uint8_t { baseline, avx2, avx512 };
std::string_view name_of(Isa isa);
/// The best that this processor has.
Isa best_isa();

/// Every instruction form that the host device knows, by name.
class Table {
 public:
  explicit Table(Isa isa);
  /// The row of an opcode with all its modifiers; null where there is none.
  const Row* find(std::string_view opcode) const;
  /// What is wrong with an opcode that find() does not know: the mnemonic, a modifier or their
  /// combination.
  std::string explain_unknown(std::string_view opcode) const;
  const std::vector<const Row*>& rows() const { return rows_; }

 private:
  void add(Rows rows);

  std::vector<const Row*> rows_;
  std::unordered_map<std::string_view, const Row*> by_name_;
};

/// The table for an instruction set, made on first use.
const Table& table(Isa isa);

}  // namespace lacuna::runtime::host
