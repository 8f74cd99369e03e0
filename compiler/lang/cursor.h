#pragma once
#include "compiler/lang/ast.h"
#include "compiler/lang/token.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::lang {

/// A walk over the tokens of one text, and its mistakes.
class Cursor {
 public:
  Cursor(const std::string& origin, std::string_view text);

  const Token& peek(std::size_t ahead = 0) const;
  bool at(std::string_view spelling) const { return peek().is(spelling); }
  const Token& take();
  bool take_if(std::string_view spelling);
  /// `wanted` completes "expected ...; found 'x'".
  const Token& expect(std::string_view spelling, std::string_view wanted);
  const Token& expect_name(std::string_view wanted);
  /// The bracket that closes `open`.
  void expect_close(std::string_view spelling, const Token& open);
  void skip_newlines();

  /// The text from one token to just before the current one.
  std::string_view text_since(const Token& first) const;

  [[noreturn]] void fail(Place place, std::string_view message) const;
  [[noreturn]] void expected(std::string_view wanted) const;

 private:
  const std::string& origin_;
  std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t next_ = 0;
};

/// An expression, up to the token that cannot continue it. `cursor` is left there.
ExprPtr parse_expression(Cursor& cursor);
/// A literal with an optional minus.
ExprPtr parse_literal(Cursor& cursor);
/// The value of a number token, as f32 or f64.
template <class Real>
Real parse_real(const Cursor& cursor, const Token& token);
std::int64_t parse_integer(const Cursor& cursor, const Token& token);

}  // namespace lacuna::lang
