#pragma once
#include "runtime/host/ptx/lexer.h"
#include "runtime/host/ptx/module.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace lacuna::runtime::host::ptx {

/// Type words: ".u32" names 4 bytes. 0: not a fundamental type.
std::uint32_t bytes_of_type(std::string_view directive);

/// Tokens with one of look-ahead, the small parts of the grammar that module and body share, and
/// errors with a place.
class Reader {
 public:
  Reader(Lexer lexer, Module& module) : lexer_(lexer), module_(module) { advance(); }

  const Token& token() const { return token_; }
  Module& module() { return module_; }
  Token advance();
  bool accept(char mark);
  bool accept(std::string_view directive);
  Token expect(char mark);
  Token expect(Token::Kind kind, std::string_view what);
  /// From the start of one token to the start of another, without the blanks before that.
  static std::string_view text_between(const Token& first, const Token& end);

  std::uint64_t integer(std::string_view what, std::uint64_t limit);
  /// Skips a balanced { } whose opening brace is the current token.
  void skip_block();
  void file();
  /// `.align 8 .b8 name[16] = {...}` after the state space; several variables may follow one type.
  Variable variable(Space space, bool external);

  /// Malformed text: Error{device}, with the line of the current token or of the one that is to
  /// blame.
  [[noreturn]] void fail(const std::string& message) const { fail(token_.line, message); }
  [[noreturn]] void fail(int line, const std::string& message) const;
  /// Correct perhaps, but unknown here: Error{unsupported}.
  [[noreturn]] void unknown(const std::string& what) const;

  Location location;  ///< the last .loc, added to what unknown() says

 private:
  void find_files() const;
  void parameter_attributes();
  void extents(Variable& variable, std::uint32_t element);
  std::uint64_t initial_value(const Variable& variable, std::string_view type,
                              std::uint32_t element);
  void initial_values(Variable& variable, std::string_view type, std::uint32_t element);

  Lexer lexer_;
  Module& module_;
  Token token_;
};

/// An integer or floating literal as PTX writes it.
struct Literal {
  enum class Kind : std::uint8_t { none, integer, single_bits, real_bits } kind = Kind::none;
  std::uint64_t value = 0;
};
/// `digits` is one number token; kind none where it is not a number.
Literal parse_literal(std::string_view digits);

}  // namespace lacuna::runtime::host::ptx
