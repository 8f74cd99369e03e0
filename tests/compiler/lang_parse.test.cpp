#include "lacuna/error.hpp"

#include "compiler/lang/parser.h"
#include "tests/catch.h"

#include <string>
#include <utility>
#include <vector>

using namespace lacuna;
using lang::ExprKind;

namespace {

/// The tree in prefix form: (+ a (* b c)).
std::string dump(const lang::Expr& e) {
  if (e.kind == ExprKind::boolean) return e.integer ? "true" : "false";
  if (e.kind == ExprKind::integer) return std::to_string(e.integer);
  if (e.kind == ExprKind::real) return "real";
  if (e.kind == ExprKind::name) return e.name;
  std::string head = e.kind == ExprKind::read ? e.name + "[]" : e.name;
  for (const auto& op : e.operators) head += (head.empty() ? "" : " ") + op;
  std::string text = "(" + head;
  for (const auto& operand : e.operands) (text += ' ') += dump(*operand);
  return text + ")";
}

std::string parsed(const std::string& expr) {
  auto file = lang::parse_file("t.lac", "attention a {\nmask " + expr + "\n}");
  return dump(*std::get<lang::MaskStatement>(file->attentions[0].statements[0]).expr);
}

/// Python's table, written down once more: loosest first.
const std::vector<std::vector<std::string>> table = {
    {"or"},       {"and"},    {"==", "!=", "<", "<=", ">", ">="},
    {"|"},        {"^"},      {"&"},
    {"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%"}};

std::vector<std::pair<std::string, int>> operators() {
  std::vector<std::pair<std::string, int>> all;
  for (std::size_t level = 0; level < table.size(); ++level) {
    for (const auto& op : table[level]) all.emplace_back(op, static_cast<int>(level));
  }
  return all;
}

constexpr int comparison = 2;

}  // namespace

TEST_CASE("parser: precedence of every pair of binary operators") {
  for (auto [first, outer] : operators()) {
    for (auto [second, inner] : operators()) {
      std::string text = "a " + first + " b " + second + " c";
      INFO(text);
      std::string left = "(" + second + " (" + first + " a b) c)";
      std::string right = "(" + first + " a (" + second + " b c))";
      std::string chain = "(" + first + " " + second + " a b c)";
      bool chains = outer == comparison && inner == comparison;
      CHECK(parsed(text) == (chains ? chain : inner > outer ? right : left));
    }
  }
}

TEST_CASE("parser: prefix operators against every binary one") {
  for (auto [op, level] : operators()) {
    INFO(op);
    bool looser_than_not = level < comparison;
    CHECK(parsed("not a " + op + " b") ==
          (looser_than_not ? "(" + op + " (not a) b)" : "(not (" + op + " a b))"));
    CHECK(parsed("-a " + op + " b") == "(" + op + " (- a) b)");
    CHECK(parsed("~a " + op + " b") == "(" + op + " (~ a) b)");
    CHECK(parsed("a " + op + " -b") == "(" + op + " a (- b))");
  }
}

TEST_CASE("parser: shapes") {
  CHECK(parsed("0 <= q - k < w * d and (q-k) % d == 0") ==
        "(and (<= < 0 (- q k) (* w d)) (== (% (- q k) d) 0))");
  CHECK(parsed("f(x) + t[i, j - 1]") == "(+ (f x) (t[] i (- j 1)))");
  CHECK(parsed("t[]") == "(t[])");
  CHECK(parsed("not not a") == "(not (not a))");
  CHECK(parsed("- - a") == "(- (- a))");
  CHECK(parsed("-~a") == "(- (~ a))");
  CHECK(parsed("((a))") == "a");
  CHECK(parsed("(a < b) < c") == "(< (< a b) c)");
  CHECK(parsed("a == (not b)") == "(== a (not b))");
  CHECK(parsed("(a\n  +\n  b)") == "(+ a b)");
  CHECK(parsed("window (\n 4 )") == "(window 4)");
}

TEST_CASE("parser: literals") {
  CHECK(parsed("-5") == "-5");
  CHECK(parsed("- 5") == "-5");
  CHECK(parsed("- -5") == "(- -5)");
  CHECK(parsed("-2147483648") == "-2147483648");
  CHECK(parsed("0x7fffffff") == "2147483647");
  CHECK(parsed("0xffffffff") == "-1");
  CHECK(parsed("007") == "7");
  CHECK(parsed("inf") == "real");
  CHECK(parsed("1.5") == "real");
  CHECK(parsed("true") == "true");
}

TEST_CASE("parser: statements end at a line's end or where the next begins") {
  auto count = [](const std::string& body) {
    return lang::parse_file("t.lac", "attention a {" + body + "}")->attentions[0].statements.size();
  };
  CHECK(count("") == 0);
  CHECK(count("mask a") == 1);
  CHECK(count(" mask a mask b ") == 2);
  CHECK(count("\n\nmask a\n\nscore score + 1.0\nweights softmax\n") == 3);
  CHECK(count("mask (a\nor b)\nmask c") == 2);
  CHECK(count("mask a hint 0.5 plan tiles\nmask b plan order hint 1\nmask c hint 0") == 3);
  CHECK(count("param x: i32 = -1 param y: f32 = -inf const z = 3 tensor t: bool[] def f = 1") == 5);
}

TEST_CASE("parser: a file has defs and attentions in any order") {
  auto file = lang::parse_file("t.lac",
                               "def one = k < 1\nattention a\n{ }\ndef two(x) = k < x\n"
                               "attention b { }\n");
  CHECK(file->defs.size() == 2);
  REQUIRE(file->attentions.size() == 2);
  CHECK(file->attentions[0].defs_before == 1);
  CHECK(file->attentions[1].defs_before == 2);
}

TEST_CASE("parser: a mask keeps its text on one line") {
  auto file = lang::parse_file("t.lac",
                               "attention a {\n mask (k <= q  # causal\n   or k < 4)  hint 0.5\n}");
  auto& mask = std::get<lang::MaskStatement>(file->attentions[0].statements[0]);
  CHECK(mask.text == "(k <= q or k < 4)");
  CHECK(mask.place == lang::Place{2, 7});
  CHECK(mask.hint == 0.5);
}

TEST_CASE("parser: depth 200 is allowed, 201 is not") {
  auto around = [](const std::string& before, int times, const std::string& after) {
    std::string text;
    for (int i = 0; i < times; ++i) text += before;
    text += "a";
    for (int i = 0; i < times; ++i) text += after;
    return text;
  };
  CHECK_NOTHROW(parsed(around("(", 200, ")")));
  CHECK_THROWS_AS(parsed(around("(", 201, ")")), Error);
  CHECK_NOTHROW(parsed(around("f(", 199, ")")));
  CHECK_THROWS_AS(parsed(around("f(", 200, ")")), Error);
  CHECK_NOTHROW(parsed(around("not ", 199, "")));
  CHECK_THROWS_AS(parsed(around("not ", 200, "")), Error);
  CHECK_NOTHROW(parsed(around("", 199, " + a")));
  CHECK_THROWS_AS(parsed(around("", 200, " + a")), Error);
  for (std::string open : {"(", "-", "~", "not ", "f(", "t[", "a + (", "where("}) {
    CHECK_THROWS_AS(parsed(around(open, 10'000, "")), Error);
  }
}
