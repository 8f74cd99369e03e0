#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime::host::ptx {

/// What a register can hold; signedness and floatness belong to instructions.
enum class Width : std::uint8_t { pred, b16, b32, b64 };

enum class Space : std::uint8_t { global, shared, local, constant, param };

/// A `.loc`: where the source is, and the call it was inlined at (line 0: none).
struct Location {
  std::uint32_t file = 0, line = 0;
  std::uint32_t inlined_file = 0, inlined_line = 0;
  bool operator==(const Location&) const = default;
};

struct Variable {
  std::string_view name;
  Space space = Space::global;
  std::uint32_t align = 1;
  std::uint64_t bytes = 0;
  bool external = false;  ///< `.extern .shared x[]`: the dynamic shared memory
  bool writable = true;
  int line = 0;
  std::vector<std::byte> initial;  ///< empty: zeros
};

struct Operand {
  enum class Kind : std::uint8_t {
    reg,              ///< index into Function::registers
    special,          ///< %tid.x and the like, by text
    integer,          ///< value
    real,             ///< value: the bits of a float (single) or a double
    variable,         ///< index into Function::variables, value: byte offset
    module_variable,  ///< index into Module::variables, value: byte offset
    function,         ///< index into Module::functions
    label,            ///< index into Function::labels
    targets,          ///< index into Function::targets
    address,          ///< parts[0] + value
    vector,           ///< {parts}
    list,             ///< (parts) of a call
    pair,             ///< parts[0] | parts[1]
    sink,             ///< _
  };
  Kind kind = Kind::sink;
  bool negated = false;  ///< !p
  bool single = false;   ///< real: a 32-bit literal
  std::uint32_t index = 0;
  std::uint64_t value = 0;
  std::string_view text;
  std::vector<Operand> parts;
};

struct Guard {
  std::int32_t reg = -1;  ///< -1: always
  bool negated = false;
};

struct Statement {
  std::string_view opcode;  ///< with all modifiers: "ld.global.nc.v4.f32"
  std::string_view text;    ///< the whole instruction, for reports
  int line = 0;             ///< of the PTX text
  Location location;
  Guard guard;
  std::vector<Operand> operands;
};

struct Label {
  std::string_view name;
  std::uint32_t target = 0;  ///< index into Function::body, may be its end
};

struct Function {
  std::string_view name;
  bool entry = false, defined = false;
  int line = 0;
  std::array<std::uint32_t, 3> max_threads{}, required_threads{};  ///< 0: not given
  std::vector<std::uint32_t> params, returns;                      ///< indices into variables
  std::vector<Width> registers;
  std::vector<Variable> variables;
  std::vector<Label> labels;
  std::vector<std::vector<std::uint32_t>> targets;  ///< `.branchtargets`: labels
  std::vector<Statement> body;
};

/// A parsed PTX text. Views point into `text`.
struct Module {
  std::shared_ptr<const std::string> text;
  std::string_view version, target;
  std::vector<std::string_view> files;  ///< by `.file` number
  std::vector<Variable> variables;
  std::vector<Function> functions;

  /// "local_docs.cu:12 (inlined at local_docs.cu:40)", empty where nothing is known.
  std::string source_place(const Location& location) const;
};

}  // namespace lacuna::runtime::host::ptx
