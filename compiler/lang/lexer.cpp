#include "compiler/lang/lexer.h"

#include "compiler/base/diagnostic.h"
#include "compiler/lang/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace lacuna::lang {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_word(char c) {
  return is_letter(c) || is_digit(c);
}

/// Longest first, so that the first match is the token.
constexpr std::array<std::string_view, 27> symbols = {
    "<<", ">>", "<=", ">=", "==", "!=", "//", "<", ">", "=", "+", "-", "*", "/",
    "%",  "&",  "|",  "^",  "~",  "(",  ")",  "[", "]", "{", "}", ",", ":"};

/// Habits of other languages, and what is written here instead.
constexpr std::array<std::array<std::string_view, 2>, 7> foreign = {
    {{"&&", "use 'and'"},
     {"||", "use 'or'"},
     {"**", "multiply with '*'"},
     {"->", "it is no operator"},
     {"!", "use 'not'"},
     {";", "a line ends a statement"},
     {"?", "use where(c, x, y)"}}};

class Lexer {
 public:
  Lexer(const std::string& origin, std::string_view text) : origin_(origin), text_(text) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) step();
    tokens_.push_back({TokenKind::end, {}, place()});
    return std::move(tokens_);
  }

 private:
  void step() {
    char c = text_[at_];
    if (c == '\n') {
      line_end();
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '#') {
      comment();
    } else if (is_letter(c)) {
      word();
    } else if (is_digit(c) || (c == '.' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))) {
      number();
    } else {
      symbol();
    }
  }

  void line_end() {
    bool open = tokens_.empty() || tokens_.back().kind == TokenKind::newline || brackets_ > 0;
    if (!open) tokens_.push_back({TokenKind::newline, {}, place()});
    line_begin_ = ++at_;
    ++line_;
  }

  void comment() {
    for (; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
      if (!is_ascii(text_[at_])) unexpected();
    }
  }

  void word() {
    std::size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    auto kind = is_keyword(text_.substr(at_, end - at_)) ? TokenKind::keyword : TokenKind::name;
    push(kind, end - at_);
  }

  /// Takes every letter that follows, so that 12abc is one wrong number and not two tokens.
  void number() {
    std::size_t end = at_;
    bool hex = text_.substr(at_, 2) == "0x" || text_.substr(at_, 2) == "0X";
    for (; end < text_.size(); ++end) {
      char c = text_[end], before = text_[std::max(end, at_ + 1) - 1];
      bool exponent_sign = (c == '+' || c == '-') && end > at_ && !hex && (before | 32) == 'e';
      if (!is_word(c) && c != '.' && !exponent_sign) break;
    }
    auto text = text_.substr(at_, end - at_);
    bool real = !hex && text.find_first_of(".eE") != text.npos;
    if (!(hex    ? is_hex(text)
          : real ? is_real(text)
                 : std::all_of(text.begin(), text.end(), is_digit))) {
      fail(fmt::format("'{}' is not a number", text));
    }
    push(real ? TokenKind::real : TokenKind::integer, end - at_);
  }

  static bool is_hex(std::string_view text) {
    text.remove_prefix(2);
    return !text.empty() && text.find_first_not_of("0123456789abcdefABCDEF") == text.npos;
  }

  static bool is_real(std::string_view text) {
    auto digits = [&] {
      auto end = std::min(text.find_first_not_of("0123456789"), text.size());
      text.remove_prefix(end);
      return end;
    };
    auto count = digits();
    if (text.starts_with('.')) {
      text.remove_prefix(1);
      count += digits();
    }
    if (count > 0 && !text.empty() && (text[0] | 32) == 'e') {
      text.remove_prefix(1);
      if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
      count = digits();
    }
    return count > 0 && text.empty();
  }

  void symbol() {
    auto rest = text_.substr(at_);
    for (auto [spelling, instead] : foreign) {
      bool unequal = rest.starts_with("!=");
      if (rest.starts_with(spelling) && !unequal) {
        fail(fmt::format("'{}' is not of this language; {}", spelling, instead));
      }
    }
    for (auto spelling : symbols) {
      if (!rest.starts_with(spelling)) continue;
      if (spelling == "(" || spelling == "[") ++brackets_;
      if ((spelling == ")" || spelling == "]") && brackets_ > 0) --brackets_;
      return push(TokenKind::symbol, spelling.size());
    }
    unexpected();
  }

  void push(TokenKind kind, std::size_t length) {
    tokens_.push_back({kind, text_.substr(at_, length), place()});
    at_ += length;
  }

  static bool is_ascii(char c) { return (c >= 32 && c <= 126) || c == '\t' || c == '\r'; }

  [[noreturn]] void unexpected() const {
    char c = text_[at_];
    if (is_ascii(c)) fail(fmt::format("'{}' is not of this language", c));
    fail(fmt::format("byte 0x{:02x} is not printable ASCII", static_cast<unsigned char>(c)));
  }
  [[noreturn]] void fail(const std::string& message) const {
    throw diagnose(text_, {origin_, place().line, place().column}, message);
  }
  Place place() const { return {line_, static_cast<int>(at_ - line_begin_) + 1}; }

  const std::string& origin_;
  std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0, line_begin_ = 0;
  int line_ = 1, brackets_ = 0;
};

}  // namespace

std::vector<Token> lex(const std::string& origin, std::string_view text) {
  if (text.size() > max_text) {
    throw diagnose(
        text, {origin},
        fmt::format("the text has {} bytes; at most {} are allowed", text.size(), max_text));
  }
  return Lexer(origin, text).run();
}

std::string one_line(std::string_view slice) {
  std::string line;
  bool comment = false, gap = false;
  for (char c : slice) {
    comment = c != '\n' && (comment || c == '#');
    bool blank = comment || c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!blank && gap && !line.empty()) line += ' ';
    if (!blank) line += c;
    gap = blank;
  }
  return line;
}

}  // namespace lacuna::lang
