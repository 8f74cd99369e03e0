#include "bench/laboratory/sass.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

#include <charconv>

namespace lacuna::bench {
namespace {

constexpr std::string_view blanks = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

[[noreturn]] void fail(std::string_view line) {
  throw Error(ErrorKind::unsupported,
              fmt::format("nvdisasm prints what the laboratory does not understand: '{}'", line));
}

int number_in(std::string_view text, std::string_view line) {
  int number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) fail(line);
  return number;
}

class Parser {
 public:
  std::vector<SassBlock> run(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      line(trimmed(text.substr(0, end)));
      text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
    return std::move(blocks_);
  }

 private:
  void line(std::string_view line) {
    if (line.starts_with("//## File")) return note(line);
    if (line.starts_with("/*")) return instruction(line);
    if (line.ends_with(':')) return label(line.substr(0, line.size() - 1));
  }

  /// `//## File ".nv_debug_ptx_txt", line 273`
  void note(std::string_view line) {
    constexpr std::string_view mark = ", line ";
    const std::size_t at = line.find(mark);
    if (at == line.npos) fail(line);
    ptx_line_ = line.find(".nv_debug_ptx") == line.npos
                    ? 0
                    : number_in(line.substr(at + mark.size()), line);
  }

  /// `/*0b40*/   @!P0 BRA `(.L_x_7) ;`
  void instruction(std::string_view line) {
    const std::size_t address_end = line.find("*/");
    if (address_end == line.npos) fail(line);
    std::string_view rest = trimmed(line.substr(address_end + 2));
    if (rest.starts_with('@')) rest = trimmed(rest.substr(std::min(rest.find(' '), rest.size())));
    const std::size_t end = rest.find_first_of(" ;");
    if (end == 0 || end == rest.npos) fail(line);
    const std::string_view opcode = rest.substr(0, end);
    if (fresh_) blocks_.push_back({{}, in_subroutine_});
    fresh_ = false;
    // A product with zero writes a constant.
    const bool constant = opcode.starts_with("HFMA2") && rest.find(", -RZ, RZ,") != rest.npos;
    blocks_.back().code.push_back(
        {std::string(opcode), constant ? Class::move : class_of_sass(opcode), ptx_line_});
    if (opcode.starts_with("CALL") && rest.find("`($") != rest.npos)
      blocks_.back().slow_path = true;
    fresh_ = ends_block(opcode);
  }
  static bool ends_block(std::string_view opcode) {
    for (const std::string_view name : {"BRA", "BRX", "JMP", "EXIT", "RET", "CALL", "BREAK"})
      if (opcode.starts_with(name)) return true;
    return false;
  }

  /// `.L_x_5`, or the name of a function; the compiler's own subroutines begin with `$__`.
  void label(std::string_view name) {
    fresh_ = true;
    if (name.starts_with('$')) in_subroutine_ = true;
    if (name.starts_with(".text.")) in_subroutine_ = false;
    ptx_line_ = name.starts_with(".L_") ? ptx_line_ : 0;
  }

  std::vector<SassBlock> blocks_;
  bool fresh_ = true, in_subroutine_ = false;
  int ptx_line_ = 0;
};

}  // namespace

std::vector<SassBlock> parse_sass(std::string_view text) {
  return Parser().run(text);
}

}  // namespace lacuna::bench
