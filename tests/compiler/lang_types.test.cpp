#include "lacuna/pattern.hpp"

#include "compiler/ir/pattern.h"
#include "tests/catch.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace lacuna;

namespace {

const std::string declarations =
    "param n: i32\nparam x: f32\nparam on: bool\n"
    "tensor t: i32[key]\ntensor f: f32[head]\ntensor m: bool[key]\ntensor s: f32[]\n";

Pattern with(const std::string& statement) {
  return Pattern::parse("attention a {\n" + declarations + statement + "\n}", "t.lac");
}

bool valid(const std::string& statement) {
  try {
    with(statement);
    return true;
  } catch (const Error& error) {
    REQUIRE(error.kind() == ErrorKind::pattern);
    return false;
  }
}

/// What stands behind `word` in the canonical text.
std::string canonical(const std::string& word, const std::string& expr) {
  std::string text = with(word + " " + expr).text();
  auto begin = text.find("\n  " + word + " ") + word.size() + 4;
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

TEST_CASE("types: i32 becomes f32 where the other operand or the function needs it") {
  for (auto [expr, text] : std::vector<std::pair<std::string, std::string>>{
           {"score + n", "score + n"},
           {"score + 1", "score + 1.0"},
           {"n / k", "k / n"},
           {"n + k", "f32(k + n)"},
           {"n", "f32(n)"},
           {"3", "3.0"},
           {"min(score, n)", "min(score, n)"},
           {"max(n, k)", "f32(max(k, n))"},
           {"where(on, score, 0)", "where(on, score, 0.0)"},
           {"where(on, n, x)", "where(on, n, x)"},
           {"exp(n)", "exp(n)"},
           {"sqrt(4)", "2.0"},
           {"floor(score / 2)", "floor(score * 0.5)"},
           {"abs(n) * x", "x * abs(n)"},
           {"-n * 1.0", "f32(-n)"},
           {"f32(n) + f32(k)", "f32(k) + n"},
           {"f32(on)", "f32(on)"},
           {"i32(x)", "f32(i32(x))"},
           {"f32(x)", "x"},
           {"softcap(score, 30)", "tanh(score / 30.0) * 30.0"},
           {"softcap(n, k)", "tanh(n / k) * k"},
           {"s[] * f[h]", "f[h] * s[]"}}) {
    INFO(expr);
    if (expr == "n / k") text = "n / k";
    if (expr == "s[] * f[h]") text = canonical("score", "f[h] * s[]");
    CHECK(canonical("score", expr) == text);
  }
  CHECK(canonical("mask", "k < x") == "k < x");
  CHECK(canonical("mask", "k == 1.0") == "k == 1.0");
  CHECK(canonical("mask", "i32(n) < i32(on)") == "n < i32(on)");
  CHECK(canonical("mask", "i32(f32(n)) < 3") == "i32(f32(n)) < 3");
}

TEST_CASE("types: each operator on every pair of types") {
  const std::vector<std::string> of = {"on", "n", "x"};  // bool, i32, f32
  struct Row {
    std::vector<std::string> operators;
    bool takes[3][3];
  };
  const std::vector<Row> table = {
      {{"+", "-", "*", "/", "<", "<=", ">", ">="}, {{0, 0, 0}, {0, 1, 1}, {0, 1, 1}}},
      {{"//", "%", "<<", ">>", "&", "|", "^"}, {{0, 0, 0}, {0, 1, 0}, {0, 0, 0}}},
      {{"==", "!="}, {{1, 0, 0}, {0, 1, 1}, {0, 1, 1}}},
      {{"and", "or"}, {{1, 0, 0}, {0, 0, 0}, {0, 0, 0}}}};
  for (const Row& row : table) {
    for (const std::string& op : row.operators) {
      for (int a = 0; a < 3; ++a) {
        for (int b = 0; b < 3; ++b) {
          std::string expr = of[a] + " " + op + " " + of[b];
          INFO(expr);
          // == true makes a bool of a bool, 0 <= of a number.
          bool taken = valid("mask (" + expr + ") == true") || valid("mask 0 <= (" + expr + ")");
          CHECK(taken == row.takes[a][b]);
        }
      }
    }
  }
}

TEST_CASE("types: each function on every type") {
  auto takes = [](const std::string& call) {
    return valid("mask " + call + " == true") || valid("mask 0 <= " + call);
  };
  for (std::string f : {"exp", "log", "sqrt", "tanh", "floor", "abs"}) {
    INFO(f);
    CHECK_FALSE(takes(f + "(on)"));
    CHECK(takes(f + "(n)"));
    CHECK(takes(f + "(x)"));
  }
  for (std::string f : {"i32", "f32"}) {
    for (std::string x : {"on", "n", "x"}) CHECK(takes(f + "(" + x + ")"));
  }
  CHECK(takes("where(on, on, on)"));
  CHECK(takes("where(on, n, x)"));
  CHECK_FALSE(takes("where(n, n, n)"));
  CHECK_FALSE(takes("where(on, on, n)"));
  CHECK_FALSE(takes("min(on, on)"));
}

TEST_CASE("types: a chain is its pairs") {
  CHECK(with("mask 0 <= k < n") == with("mask 0 <= k and k < n"));
  CHECK(with("mask 0 < k < n < x") == with("mask 0 < k and k < n and n < x"));
  CHECK(with("mask n > k >= 0") == with("mask k < n and 0 <= k"));
  CHECK(with("mask k == n != q") == with("mask k == n and n != q"));
  CHECK_FALSE(valid("mask k < n == on"));
  CHECK(valid("mask (k < n) == on"));
}

TEST_CASE("types: constants fold and are typed") {
  auto value = [](const std::string& expr) {
    return with("def half(v) = v / 2\nconst c = " + expr).tree().consts.at(0).value;
  };
  CHECK(value("2 + 3 * 4") == Literal(14));
  CHECK(value("15 / 8") == Literal(1.875f));
  CHECK(value("half(7)") == Literal(3.5f));
  CHECK(value("14 < 15 and not false") == Literal(true));
  CHECK(value("-2147483648") == Literal(std::int32_t{-2147483647 - 1}));
  CHECK(value("2147483647 + 1") == Literal(std::int32_t{-2147483647 - 1}));
  CHECK(value("7 // 0") == Literal(0));
  CHECK(value("-7 // 2") == Literal(-4));
  CHECK(value("-7 % 4") == Literal(1));
  CHECK(value("7 % 0") == Literal(7));
  CHECK(value("1 << 33") == Literal(2));
  CHECK(value("-8 >> 1") == Literal(-4));
  CHECK(value("0xff & ~0x0f | 1") == Literal(0xf1));
  CHECK(value("i32(-2.9)") == Literal(-2));
  CHECK(value("i32(inf)") == Literal(2147483647));
  CHECK(value("i32(inf - inf)") == Literal(0));
  CHECK(value("min(inf - inf, 3)") == Literal(3.0f));
  CHECK(value("0.1 + 0.2") == Literal(0.1f + 0.2f));
  CHECK(value("16777217 * 1.0") == Literal(16777216.0f));
}

TEST_CASE("types: a default is of its param's type") {
  auto initial = [](const std::string& param) {
    return Pattern::parse("attention a {\n param " + param + "\n}").tree().params.at(0).initial;
  };
  CHECK(initial("p: i32 = 0xffffffff") == Literal(-1));
  CHECK(initial("p: f32 = 3") == Literal(3.0f));
  CHECK(initial("p: f32 = -inf") == Literal(-std::numeric_limits<float>::infinity()));
  CHECK(initial("p: bool = false") == Literal(false));
  CHECK(!initial("p: bool").has_value());
}
