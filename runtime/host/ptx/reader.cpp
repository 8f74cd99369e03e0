#include "runtime/host/ptx/reader.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstring>

namespace lacuna::runtime::host::ptx {
namespace {

constexpr std::uint64_t max_variable_bytes = std::uint64_t{1} << 31;
constexpr std::uint64_t max_files = 1 << 16;
constexpr std::uint64_t max_initial_bytes = std::uint64_t{1} << 26;

std::string_view shown(const Token& token) {
  return token.kind == Token::Kind::end ? std::string_view("the end of the text") : token.text;
}

template <class T>
bool read_number(std::string_view digits, T& value, int base) {
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, value, base);
  return result.ec == std::errc() && result.ptr == end;
}

bool read_real(std::string_view digits, double& value) {
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

Literal prefixed_literal(std::string_view digits) {
  const char letter = digits[1];
  const std::string_view rest = digits.substr(2);
  Literal literal;
  if (letter == 'f' || letter == 'F') {
    if (rest.size() == 8 && read_number(rest, literal.value, 16))
      literal.kind = Literal::Kind::single_bits;
  } else if (letter == 'd' || letter == 'D') {
    if (rest.size() == 16 && read_number(rest, literal.value, 16))
      literal.kind = Literal::Kind::real_bits;
  } else if (read_number(letter == 'x' || letter == 'X' || letter == 'b' || letter == 'B'
                             ? rest
                             : digits.substr(1),
                         literal.value,
                         letter == 'x' || letter == 'X'   ? 16
                         : letter == 'b' || letter == 'B' ? 2
                                                          : 8)) {
    literal.kind = Literal::Kind::integer;
  }
  return literal;
}

}  // namespace

Literal parse_literal(std::string_view digits) {
  if (!digits.empty() && digits.back() == 'U') digits.remove_suffix(1);
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return {};
  if (digits.size() > 1 && digits[0] == '0' && digits[1] != '.') return prefixed_literal(digits);
  Literal literal;
  double real = 0;
  if (read_number(digits, literal.value, 10)) {
    literal.kind = Literal::Kind::integer;
  } else if (digits.find_first_of(".eE") != digits.npos && read_real(digits, real)) {
    literal = {Literal::Kind::real_bits, std::bit_cast<std::uint64_t>(real)};
  }
  return literal;
}

std::uint32_t bytes_of_type(std::string_view directive) {
  if (directive.size() < 3 || directive[0] != '.') return 0;
  if (directive == ".f16x2" || directive == ".bf16x2") return 4;
  if (directive == ".bf16") return 2;
  if (std::string_view("busf").find(directive[1]) == std::string_view::npos) return 0;
  const std::string_view bits = directive.substr(2);
  const bool real = directive[1] == 'f';
  if (bits == "8") return real ? 0 : 1;
  if (bits == "16") return 2;
  if (bits == "32") return 4;
  if (bits == "64") return 8;
  return bits == "128" && directive[1] == 'b' ? 16 : 0;
}

Token Reader::advance() {
  const Token previous = token_;
  token_ = lexer_.next();
  return previous;
}

bool Reader::accept(char mark) {
  if (!token_.is(mark)) return false;
  advance();
  return true;
}

bool Reader::accept(std::string_view directive) {
  if (!token_.is(directive)) return false;
  advance();
  return true;
}

Token Reader::expect(char mark) {
  if (!token_.is(mark)) fail(fmt::format("expected '{}' but found '{}'", mark, shown(token_)));
  return advance();
}

Token Reader::expect(Token::Kind kind, std::string_view what) {
  if (token_.kind != kind) fail(fmt::format("expected {} but found '{}'", what, shown(token_)));
  return advance();
}

std::string_view Reader::text_between(const Token& first, const Token& end) {
  std::string_view text(first.text.data(),
                        static_cast<std::size_t>(end.text.data() - first.text.data()));
  while (!text.empty() &&
         (text.back() == ' ' || text.back() == '\t' || text.back() == '\n' || text.back() == '\r'))
    text.remove_suffix(1);
  return text;
}

void Reader::fail(int line, const std::string& message) const {
  throw Error(ErrorKind::device, fmt::format("ptx line {}: {}", line, message));
}

/// Compilers write `.file` last; a message about an earlier line still wants the name.
void Reader::find_files() const {
  Lexer rest = lexer_;
  try {
    for (Token token = rest.next(); token.kind != Token::Kind::end; token = rest.next()) {
      if (!token.is(".file")) continue;
      const Literal number = parse_literal(rest.next().text);
      const Token name = rest.next();
      if (number.value > max_files || name.kind != Token::Kind::string) return;
      if (module_.files.size() <= number.value) module_.files.resize(number.value + 1);
      module_.files[number.value] = name.text;
    }
  } catch (const Error&) {  // the text is broken further down; this error comes first
  }
}

void Reader::unknown(const std::string& what) const {
  if (location.line != 0) find_files();
  const std::string source = module_.source_place(location);
  throw Error(ErrorKind::unsupported,
              fmt::format("the host device does not know {} (ptx line {}{}{})", what, token_.line,
                          source.empty() ? "" : ", ", source));
}

std::uint64_t Reader::integer(std::string_view what, std::uint64_t limit) {
  const Token token = expect(Token::Kind::number, what);
  const Literal literal = parse_literal(token.text);
  if (literal.kind != Literal::Kind::integer)
    fail(token.line, fmt::format("'{}' is not {}", token.text, what));
  if (literal.value > limit)
    fail(token.line, fmt::format("{} is {}; the limit is {}", what, literal.value, limit));
  return literal.value;
}

void Reader::skip_block() {
  expect('{');
  for (int depth = 1; depth > 0; advance()) {
    if (token_.kind == Token::Kind::end) fail("a '{' is never closed");
    depth += token_.is('{') - token_.is('}');
  }
}

void Reader::file() {
  const std::uint64_t number = integer("a file number", max_files);
  const Token name = expect(Token::Kind::string, "a file name");
  if (module_.files.size() <= number) module_.files.resize(number + 1);
  module_.files[number] = name.text;
  while (accept(',')) integer("a time stamp or size", ~std::uint64_t{0});
}

void Reader::parameter_attributes() {
  if (!accept(".ptr")) return;
  for (std::string_view space : {".global", ".shared", ".const", ".local"})
    if (accept(space)) break;
  if (accept(".align")) integer("an alignment", 1 << 20);
}

Variable Reader::variable(Space space, bool external) {
  Variable result{.space = space, .external = external, .writable = space != Space::constant};
  std::uint64_t align = 0;
  if (accept(".align")) {
    align = integer("an alignment", 1 << 16);
    if (!std::has_single_bit(align))
      fail(fmt::format("the alignment {} is no power of two", align));
  }
  if (token_.kind != Token::Kind::directive || bytes_of_type(token_.text) == 0)
    unknown(fmt::format("the variable type '{}'", shown(token_)));
  const Token type = advance();
  const std::uint32_t element = bytes_of_type(type.text);
  result.align = static_cast<std::uint32_t>(align != 0 ? align : element);
  if (space == Space::param) parameter_attributes();
  const Token name = expect(Token::Kind::word, "a variable name");
  result.name = name.text;
  result.line = name.line;
  extents(result, element);
  if (accept('=')) initial_values(result, type.text, element);
  return result;
}

void Reader::extents(Variable& variable, std::uint32_t element) {
  variable.bytes = element;
  while (accept('[')) {
    if (accept(']')) {
      if (!variable.external) fail(fmt::format("the array '{}' has no extent", variable.name));
      variable.bytes = 0;
      continue;
    }
    const std::uint64_t extent = integer("an array extent", max_variable_bytes);
    if (variable.bytes * extent > max_variable_bytes)
      fail(fmt::format("'{}' is larger than {} bytes", variable.name, max_variable_bytes));
    variable.bytes *= extent;
    expect(']');
  }
}

/// One number as the type of the variable wants it.
std::uint64_t Reader::initial_value(const Variable& variable, std::string_view type,
                                    std::uint32_t element) {
  const bool negative = accept('-');
  if (token_.kind != Token::Kind::number)
    unknown(fmt::format("the initial value '{}' of '{}'", shown(token_), variable.name));
  const Token token = advance();
  Literal literal = parse_literal(token.text);
  if (literal.kind == Literal::Kind::real_bits && type == ".f32")
    literal = {
        Literal::Kind::single_bits,
        std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(literal.value)))};
  const bool single = literal.kind == Literal::Kind::single_bits,
             real = literal.kind == Literal::Kind::real_bits;
  if (literal.kind == Literal::Kind::none || element > 8 || (single && element != 4) ||
      (real && element != 8))
    fail(token.line, fmt::format("'{}' is no value of type {}", token.text, type));
  if (!negative) return literal.value;
  return single || real ? literal.value ^ std::uint64_t{1} << (single ? 31 : 63)
                        : 0 - literal.value;
}

void Reader::initial_values(Variable& variable, std::string_view type, std::uint32_t element) {
  if (variable.space != Space::global && variable.space != Space::constant)
    fail(fmt::format("'{}' may not have an initial value in its state space", variable.name));
  if (variable.bytes > max_initial_bytes)
    fail(fmt::format("'{}' has an initial value and more than {} bytes", variable.name,
                     max_initial_bytes));
  variable.initial.resize(variable.bytes);
  std::uint64_t at = 0;
  for (int depth = 0;;) {
    while (accept('{')) ++depth;
    const std::uint64_t bits = initial_value(variable, type, element);
    if (at + element > variable.bytes)
      fail(fmt::format("'{}' has more initial values than its {} bytes", variable.name,
                       variable.bytes));
    std::memcpy(variable.initial.data() + at, &bits, element);
    at += element;
    while (depth > 0 && accept('}')) --depth;
    if (depth == 0) return;
    expect(',');
  }
}

}  // namespace lacuna::runtime::host::ptx
