#include "compiler/lang/cursor.h"

#include "compiler/base/diagnostic.h"
#include "compiler/lang/lexer.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::lang {
namespace {

std::string describe(const Token& token) {
  if (token.kind == TokenKind::newline) return "the end of the line";
  if (token.kind == TokenKind::end) return "the end of the text";
  return fmt::format("'{}'", token.text);
}

}  // namespace

Cursor::Cursor(const std::string& origin, std::string_view text)
    : origin_(origin), text_(text), tokens_(lex(origin, text)) {}

const Token& Cursor::peek(std::size_t ahead) const {
  return tokens_[std::min(next_ + ahead, tokens_.size() - 1)];
}

const Token& Cursor::take() {
  const Token& token = peek();
  if (next_ + 1 < tokens_.size()) ++next_;
  return token;
}

bool Cursor::take_if(std::string_view spelling) {
  if (!at(spelling)) return false;
  take();
  return true;
}

const Token& Cursor::expect(std::string_view spelling, std::string_view wanted) {
  if (!at(spelling)) expected(wanted);
  return take();
}

const Token& Cursor::expect_name(std::string_view wanted) {
  const Token& token = peek();
  if (token.kind == TokenKind::keyword) {
    fail(token.place, fmt::format("expected {}; '{}' is a keyword", wanted, token.text));
  }
  if (token.kind != TokenKind::name) expected(wanted);
  return take();
}

void Cursor::expect_close(std::string_view spelling, const Token& open) {
  if (take_if(spelling)) return;
  auto wanted = fmt::format("'{}' to close the '{}' at {}:{}", spelling, open.text, open.place.line,
                            open.place.column);
  expected(wanted);
}

void Cursor::skip_newlines() {
  while (peek().kind == TokenKind::newline) take();
}

std::string_view Cursor::text_since(const Token& first) const {
  const Token& last = tokens_[next_ - 1];
  return {first.text.data(),
          static_cast<std::size_t>(last.text.data() + last.text.size() - first.text.data())};
}

void Cursor::fail(Place place, std::string_view message) const {
  throw diagnose(text_, {origin_, place.line, place.column}, message);
}

void Cursor::expected(std::string_view wanted) const {
  fail(peek().place, fmt::format("expected {}; found {}", wanted, describe(peek())));
}

}  // namespace lacuna::lang
