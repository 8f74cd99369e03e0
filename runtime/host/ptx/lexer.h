#pragma once
#include <cstdint>
#include <string_view>

namespace lacuna::runtime::host::ptx {

struct Token {
  enum class Kind : std::uint8_t {
    word,  ///< an opcode with its modifiers, a register, a symbol: "ld.global.f32", "%tid.x", "$L1"
    directive,  ///< ".reg", ".b32"
    number,     ///< "12", "0x1f", "0f3f800000", "9.0"
    string,     ///< text without its quotes
    mark,       ///< one character
    end,
  };
  Kind kind = Kind::end;
  std::string_view text;
  int line = 0;
  bool is(char c) const { return kind == Kind::mark && text[0] == c; }
  bool is(std::string_view directive) const { return kind == Kind::directive && text == directive; }
};

/// Cuts PTX text into tokens; comments and white space separate them.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  /// Throws Error{device} on an unterminated string or comment, or a character that PTX does not
  /// have.
  Token next();

 private:
  void skip_blank();
  Token take(Token::Kind kind, std::size_t end);

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace lacuna::runtime::host::ptx
