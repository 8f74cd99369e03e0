#pragma once
#include "runtime/host/ptx/reader.h"

#include <string_view>
#include <unordered_map>
#include <vector>

namespace lacuna::runtime::host::ptx {

/// What names mean inside a function body: nested scopes, each with registers, variables and labels
/// that hide those outside. A label may be used before it is defined; its scope settles that when
/// it closes.
class Names {
 public:
  Names(Reader& reader, Function& function) : reader_(reader), function_(function) {}

  bool inside() const { return !scopes_.empty(); }
  void open();
  void close();
  void add_register(const Token& name, Width width);
  /// `%r<100>`: %r0 to %r99.
  void add_registers(const Token& prefix, Width width, std::uint32_t count);
  void add_variable(Variable variable);
  /// The function's parameters, which are already its variables.
  void add_parameters();
  void add_label(const Token& name);
  void add_targets(const Token& name, std::vector<std::uint32_t> labels);
  std::uint32_t use_label(const Token& name);
  /// An operand of the kind that the name has; a name that nothing has is a label.
  Operand find(const Token& name);

 private:
  struct Range {
    std::uint32_t first = 0, count = 0;
  };
  /// A use of a label that no enclosing scope has defined yet.
  struct Pending {
    std::uint32_t label = 0;
    int line = 0;
  };
  struct Scope {
    std::unordered_map<std::string_view, std::uint32_t> registers, variables, labels, targets;
    std::unordered_map<std::string_view, Range> ranges;
    std::vector<Pending> pending;
  };

  std::uint32_t new_registers(Width width, std::uint32_t count);
  Operand find_outside(const Token& name);

  Reader& reader_;
  Function& function_;
  std::vector<Scope> scopes_;
};

}  // namespace lacuna::runtime::host::ptx
