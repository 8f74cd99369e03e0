#include "lacuna/pattern.hpp"

#include "tests/catch.h"

#include <string>

using namespace lacuna;

namespace {

Pattern parse(const std::string& text) {
  return Pattern::parse(text, "t.lac", "a");
}

/// The canonical text of the first mask of an attention.
std::string mask_of(const Pattern& pattern) {
  std::string text = pattern.text();
  auto begin = text.find("  mask ");
  REQUIRE(begin != std::string::npos);
  begin += 7;
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::string mask_of(const std::string& body) {
  return mask_of(parse("attention a {\n" + body + "\n}"));
}

}  // namespace

TEST_CASE("names: what follows decides among call, tensor and value") {
  CHECK(mask_of("param window: i32\nmask window(window)") == "q - k < window");
  CHECK(mask_of("tensor window: i32[key]\nparam window: i32\nmask window[k] < window") ==
        "window[k] < window");
  CHECK(mask_of("tensor near: i32[key]\ndef near(w) = k < w\nmask near(near[k])") == "k < near[k]");
  CHECK(mask_of("param causal: bool\nmask causal") == "causal");
  CHECK(mask_of("def f = k\ntensor f: i32[key]\nmask f[f] == f") == "k == f[k]");
}

TEST_CASE("names: attention before file before patterns.lac") {
  std::string file = "def causal = k < q\n";
  CHECK(mask_of(parse("attention a { mask causal }")) == "k <= q");
  CHECK(mask_of(parse(file + "attention a { mask causal }")) == "k < q");
  CHECK(mask_of(parse(file + "attention a {\n def causal = k == q\n mask causal\n}")) == "q == k");
  CHECK(mask_of(parse(file + "attention a {\n param causal: bool\n mask causal\n}")) == "causal");
}

TEST_CASE("names: a def means what it meant where it stands") {
  std::string outer = "def near = causal\ndef causal = k < q\n";
  CHECK(mask_of(parse(outer + "attention a { mask near }")) == "k <= q");
  CHECK(mask_of(parse(outer + "attention a { mask causal }")) == "k < q");
  CHECK(mask_of(parse("def causal = causal and k < 9\nattention a { mask causal }")) ==
        "k <= q and k < 9");
  CHECK(mask_of(parse("attention a { mask causal }\ndef causal = k < q\n")) == "k <= q");
}

TEST_CASE("names: defs are hygienic") {
  // `w` of the caller and `w` of the def are different names.
  CHECK(mask_of("param w: i32\ndef f(x) = x < w\ndef u(w) = f(w + 1)\nmask u(k)") == "k + 1 < w");
  // A parameter hides what is outside; arguments are read where they are written.
  CHECK(mask_of("param w: i32\ndef f(w) = w < q\nmask f(k + w)") == "k + w < q");
  CHECK(mask_of("param x: i32\ndef swap(x, y) = y - x < 0\nmask swap(k, x)") == "x - k < 0");
  CHECK(mask_of("def twice(f) = f + f\ndef f(twice) = twice < q\nmask f(twice(k))") == "k + k < q");
  // A precedence that the text of the argument does not have.
  CHECK(mask_of("def double(x) = 2 * x\nmask double(q + k) < 9") == "(q + k) * 2 < 9");
  CHECK(mask_of("def no(x) = not x\nmask no(k < q or q < 3)") == "not (k < q or q < 3)");
}

TEST_CASE("names: an argument may be a tensor's name, through several defs") {
  std::string tensor = "tensor doc: i32[batch, key]\n";
  CHECK(mask_of(tensor + "mask document(doc)") == "doc[b, q] == doc[b, k]");
  CHECK(mask_of(tensor + "def same(t) = document(t)\nmask same(doc)") == "doc[b, q] == doc[b, k]");
  // One name that is a tensor and a param is either, by its use.
  CHECK(mask_of(tensor + "param doc: i32\ndef f(x) = x[b, k] == x\nmask f(doc)") ==
        "doc == doc[b, k]");
}

TEST_CASE("names: a score def sees the score of its statement") {
  auto pattern = parse(
      "def capped = tanh(score)\nattention a {\n score capped\n score score + 1\n score capped\n}");
  CHECK(pattern.text().find("score tanh(tanh(score) + 1.0)") != std::string::npos);
}

TEST_CASE("names: declarations at every place of a file count only below it") {
  CHECK_THROWS_AS(parse("attention a { mask near }\ndef near = k < q\n"), Error);
  CHECK_THROWS_AS(parse("attention a {\n mask near\n def near = k < q\n}"), Error);
  CHECK_THROWS_AS(parse("attention b {\n def near = k < q\n}\nattention a { mask near }"), Error);
}

TEST_CASE("names: a mistake in a def is found though nothing uses it") {
  CHECK_THROWS_AS(parse("attention a { }\ndef wrong = kk\n"), Error);
  CHECK_THROWS_AS(parse("attention a { }\ndef wrong(x) = x + kk\n"), Error);
  CHECK_THROWS_AS(parse("attention a { }\ndef wrong = q and k\n"), Error);
}

TEST_CASE("names: every keyword and built-in is refused as a name") {
  for (std::string name :
       {"def",      "attention", "param",   "const", "tensor", "mask",  "score", "weights", "hint",
        "plan",     "and",       "or",      "not",   "true",   "false", "inf",   "bool",    "_",
        "b",        "h",         "g",       "q",     "k",      "q_len", "k_len", "batch",   "heads",
        "kv_heads", "head_dim",  "min",     "max",   "abs",    "where", "floor", "exp",     "log",
        "sqrt",     "tanh",      "softcap", "i32",   "f32"}) {
    INFO(name);
    CHECK_THROWS_AS(parse("attention a {\n param " + name + ": i32\n}"), Error);
    CHECK_THROWS_AS(parse("attention a {\n const " + name + " = 1\n}"), Error);
    CHECK_THROWS_AS(parse("attention a {\n tensor " + name + ": i32[]\n}"), Error);
    CHECK_THROWS_AS(parse("attention a {\n def " + name + " = 1\n}"), Error);
    CHECK_THROWS_AS(parse("attention a {\n def f(" + name + ") = 1\n}"), Error);
    CHECK_THROWS_AS(parse("def " + name + "(x) = x\nattention a { }"), Error);
  }
  // Words that mean something in one place only are free elsewhere.
  for (std::string name : {"head", "query", "key", "softmax", "entmax", "sink", "tiles", "order"}) {
    INFO(name);
    CHECK_NOTHROW(parse("attention a {\n param " + name + ": i32\n mask k < " + name + "\n}"));
  }
}
