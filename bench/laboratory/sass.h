// Machine code as nvdisasm prints it, cut into basic blocks.
#pragma once
#include "bench/laboratory/instruction_class.h"

#include <string>
#include <string_view>
#include <vector>

namespace lacuna::bench {

struct SassInstruction {
  std::string opcode;  ///< with its modifiers
  Class kind = Class::other;
  int ptx_line = 0;  ///< 0: none is known
};

/// Instructions that are executed one after the other, or not at all.
struct SassBlock {
  std::vector<SassInstruction> code;
  /// A subroutine of the compiler's, or the call of one: the slow path of a division or the like,
  /// which ordinary numbers do not take.
  bool slow_path = false;
};

/// `nvdisasm -c -gp` of a cubin with line information. Throws Error{unsupported} with the line
/// where the text is not what is expected.
std::vector<SassBlock> parse_sass(std::string_view text);

/// nvdisasm, as a program that was found. Throws Error{unavailable} with the places searched:
/// LACUNA_NVDISASM, the project's .venv, CUDA_HOME, /usr/local/cuda, PATH.
class Disassembler {
 public:
  Disassembler();
  const std::string& version() const { return version_; }  ///< "13.5.37"
  /// Throws Error{device} with what nvdisasm says.
  std::string disassemble(std::string_view cubin) const;

 private:
  std::string path_, version_;
};

}  // namespace lacuna::bench
