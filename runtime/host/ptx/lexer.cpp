#include "runtime/host/ptx/lexer.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

namespace lacuna::runtime::host::ptx {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '$' || c == '%';
}

char at(std::string_view text, std::size_t i) {
  return i < text.size() ? text[i] : '\0';
}

/// A word goes on over "." and "::" where a name follows: "shared::cta" but not the colon of a
/// label.
std::size_t word_end(std::string_view text, std::size_t i) {
  for (;;) {
    if (is_word(at(text, i)))
      ++i;
    else if (at(text, i) == '.' && is_word(at(text, i + 1)))
      i += 2;
    else if (at(text, i) == ':' && at(text, i + 1) == ':' && is_word(at(text, i + 2)))
      i += 3;
    else
      return i;
  }
}

std::size_t number_end(std::string_view text, std::size_t i) {
  const bool plain = at(text, i) != '0' || at(text, i + 1) == '.';
  for (;;) {
    const char c = at(text, i);
    const bool exponent = plain && (c == 'e' || c == 'E');
    if (exponent && (at(text, i + 1) == '+' || at(text, i + 1) == '-'))
      i += 2;
    else if (is_word(c) || (c == '.' && is_digit(at(text, i + 1))))
      ++i;
    else
      return i;
  }
}

}  // namespace

void Lexer::skip_blank() {
  while (at_ < text_.size()) {
    const char c = text_[at_], d = at(text_, at_ + 1);
    if (c == '\n') {
      ++line_, ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '/' && d == '/') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == '/' && d == '*') {
      const std::size_t end = text_.find("*/", at_ + 2);
      if (end == text_.npos)
        throw Error(ErrorKind::device, fmt::format("ptx line {}: the comment has no end", line_));
      for (; at_ < end + 2; ++at_) line_ += text_[at_] == '\n';
    } else {
      return;
    }
  }
}

Token Lexer::take(Token::Kind kind, std::size_t end) {
  const Token token{kind, text_.substr(at_, end - at_), line_};
  at_ = end;
  return token;
}

Token Lexer::next() {
  skip_blank();
  if (at_ >= text_.size()) return {Token::Kind::end, text_.substr(text_.size()), line_};
  const char c = text_[at_];
  if (is_digit(c)) return take(Token::Kind::number, number_end(text_, at_));
  if (is_word(c)) return take(Token::Kind::word, word_end(text_, at_));
  if (c == '.' && is_word(at(text_, at_ + 1)))
    return take(Token::Kind::directive, word_end(text_, at_ + 1));
  if (c == '"') {
    const std::size_t end = text_.find_first_of("\"\n", at_ + 1);
    if (end == text_.npos || text_[end] == '\n')
      throw Error(ErrorKind::device, fmt::format("ptx line {}: the string has no end", line_));
    ++at_;
    const Token token = take(Token::Kind::string, end);
    at_ = end + 1;
    return token;
  }
  if (std::string_view("{}[]()<>,;:@!|+-=").find(c) == std::string_view::npos)
    throw Error(ErrorKind::device,
                fmt::format("ptx line {}: the character {:#04x} has no place in PTX", line_,
                            static_cast<unsigned char>(c)));
  return take(Token::Kind::mark, at_ + 1);
}

}  // namespace lacuna::runtime::host::ptx
