#include "compiler/lang/cursor.h"
#include "compiler/lang/words.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

namespace lacuna::lang {
namespace {

using Spellings = std::span<const std::string_view>;
constexpr std::array<std::string_view, 6> comparisons = {"==", "!=", "<", "<=", ">", ">="};

/// The binary operators that associate to the left and bind tighter than comparisons, loosest
/// first.
constexpr std::array<std::string_view, 1> bit_or = {"|"}, bit_xor = {"^"}, bit_and = {"&"};
constexpr std::array<std::string_view, 2> shifts = {"<<", ">>"}, sums = {"+", "-"};
constexpr std::array<std::string_view, 4> products = {"*", "/", "//", "%"};
constexpr std::array<Spellings, 6> levels = {bit_or, bit_xor, bit_and, shifts, sums, products};

/// Null where no literal stands here.
ExprPtr plain_literal(Cursor& cursor) {
  const Token& token = cursor.peek();
  if (token.is("true") || token.is("false")) {
    cursor.take();
    return make_boolean(token.is("true"), token.place);
  }
  if (cursor.take_if("inf")) {
    return make_real(std::numeric_limits<float>::infinity(), token.place);
  }
  if (token.kind == TokenKind::integer) {
    return make_integer(parse_integer(cursor, cursor.take()), token.place);
  }
  if (token.kind == TokenKind::real) {
    return make_real(parse_real<float>(cursor, cursor.take()), token.place);
  }
  return nullptr;
}

class ExpressionParser {
 public:
  explicit ExpressionParser(Cursor& cursor) : cursor_(cursor) {}

  ExprPtr expression() {
    Nesting nesting(*this);
    ExprPtr left = conjunction();
    while (cursor_.at("or")) left = binary(left, &ExpressionParser::conjunction);
    return left;
  }

 private:
  /// One level of recursion; the text decides how many there are, so they are counted.
  struct Nesting {
    explicit Nesting(ExpressionParser& parser) : parser_(parser) {
      if (++parser_.nesting_ > max_depth) parser_.too_deep(parser_.cursor_.peek().place);
    }
    ~Nesting() { --parser_.nesting_; }
    ExpressionParser& parser_;
  };

  using Rule = ExprPtr (ExpressionParser::*)();

  ExprPtr binary(ExprPtr left, Rule operand) {
    const Token& op = cursor_.take();
    ExprPtr right = (this->*operand)();
    return checked(make_binary(op.text, std::move(left), std::move(right), op.place));
  }

  ExprPtr conjunction() {
    ExprPtr left = negation();
    while (cursor_.at("and")) left = binary(left, &ExpressionParser::negation);
    return left;
  }

  ExprPtr negation() {
    if (!cursor_.at("not")) return comparison();
    Nesting nesting(*this);
    const Token& op = cursor_.take();
    return checked(make_unary(op.text, negation(), op.place));
  }

  ExprPtr comparison() {
    std::vector<ExprPtr> operands = {level(0)};
    std::vector<std::string> operators;
    std::vector<Place> places;
    while (at_any(comparisons)) {
      const Token& op = cursor_.take();
      operators.emplace_back(op.text);
      places.push_back(op.place);
      operands.push_back(level(0));
    }
    if (cursor_.at("=")) cursor_.fail(cursor_.peek().place, "'=' defines; '==' compares");
    if (operators.empty()) return operands.front();
    return checked(make_chain(std::move(operands), std::move(operators), std::move(places)));
  }

  ExprPtr level(std::size_t index) {
    if (index == levels.size()) return unary();
    ExprPtr left = level(index + 1);
    while (at_any(levels[index])) {
      const Token& op = cursor_.take();
      left = checked(make_binary(op.text, std::move(left), level(index + 1), op.place));
    }
    return left;
  }

  ExprPtr unary() {
    if (!cursor_.at("-") && !cursor_.at("~")) return primary();
    Nesting nesting(*this);
    const Token& op = cursor_.take();
    return checked(make_unary(op.text, unary(), op.place));
  }

  ExprPtr primary() {
    const Token& token = cursor_.peek();
    if (token.is("(")) {
      cursor_.take();
      ExprPtr inside = expression();
      cursor_.expect_close(")", token);
      return inside;
    }
    if (token.kind == TokenKind::name || token.is("score")) return named();
    if (ExprPtr literal = plain_literal(cursor_)) return literal;
    cursor_.expected("an expression");
  }

  ExprPtr named() {
    const Token& name = cursor_.take();
    const Token& open = cursor_.peek();
    if (cursor_.take_if("(")) {
      auto arguments = list(")");
      cursor_.expect_close(")", open);
      return checked(make_call(name.text, std::move(arguments), name.place));
    }
    if (cursor_.take_if("[")) {
      auto indices = list("]");
      cursor_.expect_close("]", open);
      return checked(make_read(name.text, std::move(indices), name.place));
    }
    return make_name(name.text, name.place);
  }

  std::vector<ExprPtr> list(std::string_view close) {
    std::vector<ExprPtr> items;
    if (cursor_.at(close)) return items;
    do {
      items.push_back(expression());
    } while (cursor_.take_if(","));
    return items;
  }

  bool at_any(Spellings spellings) const {
    for (auto spelling : spellings) {
      if (cursor_.at(spelling)) return true;
    }
    return false;
  }

  ExprPtr checked(ExprPtr expr) const {
    if (expr->depth > max_depth) too_deep(expr->place);
    return expr;
  }

  [[noreturn]] void too_deep(Place place) const {
    cursor_.fail(place, fmt::format("the expression nests deeper than {}", max_depth));
  }

  Cursor& cursor_;
  int nesting_ = -1;  // the whole expression is not nested in anything
};

}  // namespace

ExprPtr parse_expression(Cursor& cursor) {
  return ExpressionParser(cursor).expression();
}

ExprPtr parse_literal(Cursor& cursor) {
  const Token& first = cursor.peek();
  bool minus = cursor.take_if("-");
  if (minus && (cursor.at("true") || cursor.at("false"))) cursor.expected("a number or inf");
  ExprPtr value = plain_literal(cursor);
  if (!value) cursor.expected("a number, inf, true or false");
  return minus ? make_unary("-", value, first.place) : value;
}

template <class Real>
Real parse_real(const Cursor& cursor, const Token& token) {
  Real value = 0;
  auto end = token.text.data() + token.text.size();
  auto [stopped, error] = std::from_chars(token.text.data(), end, value);
  bool fits = error == std::errc{} && stopped == end && value <= std::numeric_limits<Real>::max();
  if (!fits) cursor.fail(token.place, fmt::format("'{}' does not fit f32", token.text));
  return value;
}
template float parse_real<float>(const Cursor&, const Token&);
template double parse_real<double>(const Cursor&, const Token&);

std::int64_t parse_integer(const Cursor& cursor, const Token& token) {
  bool hex = token.text.size() > 2 && (token.text[1] | 32) == 'x';
  const char* begin = token.text.data() + (hex ? 2 : 0);
  std::uint64_t value = 0;
  auto [stopped, error] =
      std::from_chars(begin, token.text.data() + token.text.size(), value, hex ? 16 : 10);
  std::uint64_t most = hex ? 0xffffffffu : 0x80000000u;
  if (error != std::errc{} || value > most) {
    cursor.fail(token.place, fmt::format("'{}' does not fit i32", token.text));
  }
  // Hexadecimal digits are the bits: 0xffffffff is -1.
  if (hex) return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
  return static_cast<std::int64_t>(value);
}

}  // namespace lacuna::lang
