#include "lacuna/pattern.hpp"

#include "compiler/lang/compact.h"
#include "compiler/lang/text.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace lacuna;

namespace {

/// Parses its own text to an equal pattern with the same text.
void check_round_trip(const Pattern& pattern) {
  std::string text = pattern.text();
  INFO(text.substr(0, 4000));
  Pattern again = Pattern::parse(text, "again.lac");
  CHECK(again == pattern);
  CHECK(again.digest() == pattern.digest());
  CHECK(again.text() == text);
  CHECK(again.name() == pattern.name());
}

Pattern parse(const std::string& text) {
  return Pattern::parse(text, "t.lac");
}
Pattern attention(const std::string& body) {
  return parse("attention a {\n" + body + "\n}");
}

}  // namespace

TEST_CASE("text: what canonical text looks like") {
  auto pattern = parse(R"(
def near(w) = q - k < w   # a def
attention local_docs {
  const   first = 2 * 2
  param   reach: i32 = 1024
  param   cap:f32
  tensor  doc:   i32 [ batch , key ]
  tensor  scalar: bool[]
  tensor  table: f32[0x10, _, kv_head]
  mask    causal
  mask    (near(reach)) or ((k < first))  plan tiles hint 0.25
  mask    document(doc)
  score   score * 1
  score   softcap(score, cap) - table[first, k, g] * f32(q - k)
  weights sparsemax
})");
  CHECK(pattern.text() == R"(attention local_docs {
  param reach: i32 = 1024
  param cap: f32
  tensor doc: i32[batch, key]
  tensor scalar: bool[]
  tensor table: f32[16, _, kv_head]
  mask k <= q
  mask q - k < reach or k < 4 hint 0.25 plan tiles
  mask doc[b, q] == doc[b, k]
  score cap * tanh(score / cap) - table[4, k, g] * (q - k)
  weights entmax(2.0)
}
)");
  check_round_trip(pattern);
}

TEST_CASE("text: minimal parentheses") {
  for (std::string expr :
       {"q - (k - 1) < 3", "q - k - h < 3", "not (k < q and q < 3)", "(k < q) == (q < 3)",
        "-(q + k) < 3", "-q * k < 3", "~(q & k) == q", "(q | k) & h == 4", "q | k & h == 4",
        "q << (k + 1) < 3", "(q << k) + 1 < 3", "(k < 3 or q < 3) and h < 3",
        "k < 3 or q < 3 and h < 3", "k < 3 and (q < 3 and h < 3)", "q // (k // h) < 3",
        "q * (k // h) < 3", "where(k < 3, q, h) < 3", "not (k / q < 0.5)", "k % (q - 3) == 1"}) {
    INFO(expr);
    auto text = attention("mask " + expr).text();
    CHECK(std::count(text.begin(), text.end(), '(') <= std::count(expr.begin(), expr.end(), '('));
    check_round_trip(attention("mask " + expr));
  }
}

TEST_CASE("text: every constant is written so that it reads the same") {
  for (std::string literal :
       {"0.1", "1e-45", "3.4028234e38", "1e10", "1e-10", "16777216.0", "-0.0", "0.0", "inf", "-inf",
        "inf - inf", "123456789.0", "2147483647", "-2147483648", "0", "-1", "1.17549435e-38"}) {
    INFO(literal);
    check_round_trip(attention("score score + where(k < q, " + literal + ", score)"));
  }
}

TEST_CASE("text: equality is of structure") {
  auto same = [](const std::string& a, const std::string& b) {
    return attention(a) == attention(b) && attention(a).digest() == attention(b).digest();
  };
  CHECK(same("mask causal", "mask (k <= q)  # by hand"));
  CHECK(same("mask k <= q", "mask q >= k"));
  CHECK(same("def f(x) = x < q\nmask f(k)", "mask k < q"));
  CHECK(same("const n = 4\nmask k < n", "mask k < 8 // 2"));
  CHECK(same("weights entmax(1)", "weights softmax"));
  CHECK(same("weights entmax(2)", "weights sparsemax"));
  CHECK(same("weights entmax(alpha = 1.5)", "weights entmax(1.5)"));
  CHECK(same("tensor al: f32[head]\nweights entmax(al)",
             "tensor al: f32[head]\nweights entmax(al[h])"));
  CHECK(same("score softcap(score, 30.0)", "score 30 * tanh(score / 30)"));
  CHECK(same("", "weights softmax"));

  CHECK_FALSE(same("mask causal", "mask k < q"));
  CHECK_FALSE(same("mask causal\nmask k < 3", "mask k < 3\nmask causal"));
  CHECK_FALSE(same("mask causal\nmask k < 3", "mask causal and k < 3"));
  CHECK_FALSE(same("param a: i32\nmask k < a", "param c: i32\nmask k < c"));
  CHECK_FALSE(same("param a: i32\nmask k < a", "param a: i32 = 3\nmask k < a"));
  CHECK_FALSE(same("param a: i32 = 2\nmask k < a", "param a: i32 = 3\nmask k < a"));
  CHECK_FALSE(same("tensor t: i32[key]", "tensor t: i32[query]"));
  CHECK_FALSE(same("tensor t: i32[4]", "tensor t: i32[5]"));
  CHECK_FALSE(same("tensor t: i32[key]", "tensor t: f32[key]"));
  CHECK_FALSE(same("tensor t: i32[key]", ""));
  CHECK_FALSE(same("mask causal hint 0.5", "mask causal"));
  CHECK_FALSE(same("mask causal plan tiles", "mask causal"));
  CHECK_FALSE(same("weights entmax(1.5)", "weights softmax"));
  CHECK_FALSE(same("weights softmax(sink = 1.0)", "weights softmax"));
  CHECK_FALSE(same("score score + 0.0", ""));
  CHECK(parse("attention a { mask causal }") == parse("attention z { mask causal }"));
}

TEST_CASE("text: random typed programs parse back to themselves") {
  auto seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (int i = 0; i < 4000; ++i) {
    fuzz::Options options{.max_masks = 4, .max_depth = 2 + i % 6, .entmax = true};
    options.tame_score = i % 2 == 0;
    ir::Pattern made = lang::compacted(fuzz::random_pattern(random, options));
    const auto alpha = made.weights.alpha;  // the language writes entmax(1) as softmax
    bool one =
        alpha != ir::no_node && made.graph.is_constant(alpha) && made.graph.float_value(alpha) == 1;
    if (one) made.weights = {};
    made.digest = lang::digest(made);
    std::string text = lang::text(made);
    INFO(text);
    Pattern parsed = Pattern::parse(text, "random.lac");
    REQUIRE(parsed.digest() == made.digest);
    REQUIRE(parsed.text() == text);
  }
}

TEST_CASE("text: a graph of exponentially long text is written with defs") {
  std::string body = "def d0 = q * k + 1\n";
  for (int i = 1; i < 60; ++i) {
    body += fmt::format("def d{} = (d{} ^ 3) * (d{} + 5)\n", i, i - 1, i - 1);
  }
  auto pattern = attention("param s1: i32\n" + body + "mask d59 < s1\nscore score + d59 * d58");
  CHECK(pattern.text().size() < 8000);
  CHECK(pattern.text().find("def s1 ") == std::string::npos);  // that name is taken
  check_round_trip(pattern);
}

TEST_CASE("text: a graph as deep as allowed is written with defs") {
  auto deep = [](int defs) {  // 2 * defs + 2 nodes deep
    std::string body = "def d0 = q\n";
    for (int i = 1; i <= defs; ++i) {
      body += fmt::format("def d{} = k // (d{} ^ 7)\n", i, i - 1);
    }
    return attention(body + fmt::format("mask d{} < 4", defs));
  };
  for (int defs : {40, 48, 52, 80, 94, 95, 96, 97, 98, 99}) {
    INFO(defs);
    check_round_trip(deep(defs));
  }
  CHECK_THROWS_AS(deep(100), Error);
}
