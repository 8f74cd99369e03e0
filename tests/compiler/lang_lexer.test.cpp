#include "lacuna/error.hpp"

#include "compiler/lang/lexer.h"
#include "tests/catch.h"

#include <string>

using namespace lacuna;
using lang::TokenKind;

namespace {

const std::string origin = "t.lac";

/// Kinds as letters: n name, k keyword, i integer, r real, s symbol, ; newline, . end.
std::string kinds(std::string_view text) {
  std::string result;
  for (const auto& token : lang::lex(origin, text)) {
    result += "nkirs;."[static_cast<int>(token.kind)];
  }
  return result;
}

std::string spellings(std::string_view text) {
  std::string result;
  for (const auto& token : lang::lex(origin, text)) {
    if (!result.empty() && !token.text.empty()) result += ' ';
    result += token.text;
  }
  return result;
}

}  // namespace

TEST_CASE("lexer: words, numbers and symbols") {
  CHECK(kinds("") == ".");
  CHECK(kinds("mask window _x x9 score") == "knnnk.");
  CHECK(kinds("0 12 0x1F 0Xff 2147483648") == "iiiii.");
  CHECK(kinds("1.5 1. .5 1e3 1E-3 1.5e+3 0.0") == "rrrrrrr.");
  CHECK(spellings("a<=b<<c//d!=e>>f>=g==h<i") == "a <= b << c // d != e >> f >= g == h < i");
  CHECK(spellings("x-1e-3-4") == "x - 1e-3 - 4");
  CHECK(spellings("0x1e-3") == "0x1e - 3");
  CHECK(spellings("~a|b^c&d%e*f/g") == "~ a | b ^ c & d % e * f / g");
}

TEST_CASE("lexer: a line ends a statement outside ( ) and [ ]") {
  CHECK(kinds("a\nb") == "n;n.");
  CHECK(kinds("\n\n a \n\n\n b\n\n") == "n;n;.");
  CHECK(kinds("(a\nb)\nc") == "snns;n.");
  CHECK(kinds("t[a\n,\nb]\nc") == "nsnsns;n.");
  CHECK(kinds("{\na\n}\n") == "s;n;s;.");
  CHECK(kinds("a)\nb") == "ns;n.");
  CHECK(kinds("a\r\nb\r\n") == "n;n;.");
}

TEST_CASE("lexer: comments go to the end of the line") {
  CHECK(kinds("a # b ( \nc") == "n;n.");
  CHECK(kinds("# only\n# comments") == ".");
  CHECK(lang::one_line("a  # one\n\t\r\n <\n b") == "a < b");
  CHECK(lang::one_line(" a # one") == "a");
}

TEST_CASE("lexer: places are 1-based") {
  auto tokens = lang::lex(origin, "a\n  bc <= 4 # d\n\te");
  CHECK(tokens[0].place == lang::Place{1, 1});
  CHECK(tokens[2].place == lang::Place{2, 3});
  CHECK(tokens[3].place == lang::Place{2, 6});
  CHECK(tokens[4].place == lang::Place{2, 9});
  CHECK(tokens[6].place == lang::Place{3, 2});
}

TEST_CASE("lexer: every byte outside printable ASCII is refused, in comments too") {
  for (int byte = 0; byte < 256; ++byte) {
    bool allowed = (byte >= 32 && byte <= 126) || byte == '\t' || byte == '\r' || byte == '\n';
    std::string text = std::string("# ") + static_cast<char>(byte);
    INFO(byte);
    if (allowed) {
      CHECK_NOTHROW(lang::lex(origin, text));
    } else {
      CHECK_THROWS_AS(lang::lex(origin, text), Error);
    }
  }
}

TEST_CASE("lexer: 64 KiB is the limit") {
  CHECK_NOTHROW(lang::lex(origin, std::string(64 * 1024, ' ')));
  try {
    lang::lex(origin, std::string(64 * 1024 + 1, ' '));
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.what() ==
          std::string("t.lac: the text has 65537 bytes; at most 65536 are allowed"));
  }
}
