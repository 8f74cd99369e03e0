#pragma once
#include "runtime/host/exec/program.h"

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace lacuna::runtime::host {

/// Hands out the register file: slots for registers, constants and special registers, and
/// predicates. Throws Error{unsupported} with the numbers where a kernel needs more than an
/// instruction can name.
class Slots {
 public:
  explicit Slots(Program& program) : program_(program) {}
  std::uint16_t fresh(bool wide);
  std::uint16_t fresh_predicate();
  std::uint16_t constant(std::uint64_t value, bool wide);
  /// A constant to which the start of the dynamic shared memory is added at the end.
  std::uint16_t dynamic_shared(std::uint64_t offset, bool wide);
  std::uint16_t special(Special special);
  /// Where writes to `_` go.
  std::uint16_t sink();
  std::uint16_t sink_predicate();
  /// Never written, so always false.
  std::uint16_t false_predicate();
  void finish(std::uint64_t dynamic_base);

 private:
  Program& program_;
  std::map<std::pair<std::uint64_t, bool>, std::uint16_t> constants_, dynamics_;
  std::map<Special, std::uint16_t> specials_;
  int sink_ = -1, sink_predicate_ = -1, false_ = -1;
};

/// "%tid.x"; false where the host device does not offer the register.
bool find_special(std::string_view name, Special& special);

}  // namespace lacuna::runtime::host
