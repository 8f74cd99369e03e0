#include "lacuna/pattern.hpp"

#include "compiler/ir/pattern.h"
#include "tests/catch.h"

#include <fmt/format.h>

#include <string>

using namespace lacuna;

namespace {

std::string message(const std::string& text) {
  try {
    Pattern::parse(text, "t.lac");
  } catch (const Error& error) {
    REQUIRE(error.kind() == ErrorKind::pattern);
    std::string what = error.what();
    return what.substr(0, what.find('\n'));
  }
  return "";
}

template <class Line>
std::string repeated(int count, Line line) {
  std::string text = "attention a {\n";
  for (int i = 0; i < count; ++i) text += line(i);
  return text + "}\n";
}

}  // namespace

TEST_CASE("limits: 64 KiB of text") {
  std::string text = "attention a { mask causal }\n";
  CHECK(message(text + std::string(65536 - text.size(), '#')) == "");
  CHECK(message(text + std::string(65537 - text.size(), '#')) ==
        "t.lac: the text has 65537 bytes; at most 65536 are allowed");
}

TEST_CASE("limits: 10 000 nodes") {
  auto masks = [](int count) {
    return repeated(count, [](int i) { return fmt::format("mask k^{}<q\n", i + 2); });
  };
  CHECK(message(masks(3300)) == "");
  CHECK(message(masks(3400)).ends_with("the expressions of a pattern have more than 10000 nodes"));
  CHECK(message(masks(3400)).starts_with("t.lac:33"));  // the line that goes over
}

TEST_CASE("limits: 64 params, 32 tensors, 6 axes") {
  auto params = [](int i) { return fmt::format("param p{}: i32\n", i); };
  auto tensors = [](int i) { return fmt::format("tensor t{}: i32[]\n", i); };
  CHECK(message(repeated(64, params)) == "");
  CHECK(message(repeated(65, params)) == "t.lac:66:7: more than 64 params");
  CHECK(message(repeated(32, tensors)) == "");
  CHECK(message(repeated(33, tensors)) == "t.lac:34:8: more than 32 tensors");
  CHECK(message("attention a { tensor t: i32[batch, head, query, key, 3, _] }") == "");
  CHECK(message("attention a { tensor t: i32[batch, head, query, key, 3, _, _] }") ==
        "t.lac:1:22: 't' has 7 axes; at most 6 are allowed");
}

TEST_CASE("limits: depth counts what defs expand to") {
  auto nested = [](int count) {
    std::string text = "def d0(x) = x + h\n";
    for (int i = 1; i < count; ++i)
      text += fmt::format("def d{}(x) = d{}(x) ^ {}\n", i, i - 1, i + 1);
    return text + fmt::format("attention a {{ mask d{}(q) < k }}\n", count - 1);
  };
  CHECK(message(nested(90)) == "");
  CHECK(message(nested(120)).find("nests deeper than 200") != std::string::npos);
  // A chain of defs without parameters costs no depth where the result has none.
  std::string flat = "def d0 = q + k\n";
  for (int i = 1; i < 1500; ++i) flat += fmt::format("def d{} = d{}\n", i, i - 1);
  CHECK(message(flat + "attention a { mask d1499 < 3 }") == "");
  CHECK(message(flat + "attention a {\n mask causal\n score d1499\n}") == "");
}

TEST_CASE("limits: defs cannot take exponential time") {
  std::string text = "def d0(x) = min(x, x)\n";
  for (int i = 1; i < 60; ++i) text += fmt::format("def d{}(x) = d{}(d{}(x))\n", i, i - 1, i - 1);
  CHECK(message(text + "attention a { mask d59(q) < k }") == "");
}

TEST_CASE("limits: a pattern longer than a text when its defs are expanded is refused") {
  std::string name(3000, 'n');
  std::string sum = "(t + 1)";
  for (int i = 2; i < 30; ++i) sum += fmt::format(" ^ (t + {})", i);
  std::string text =
      fmt::format("attention a {{\nparam {}: i32\ndef t = {}\nmask {} < 3\n}}\n", name, name, sum);
  CHECK(message(text).find("bytes with its defs expanded; at most 65536 are allowed") !=
        std::string::npos);
}
