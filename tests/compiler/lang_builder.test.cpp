#include "lacuna/builder.hpp"

#include "tests/catch.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace lacuna;
using namespace lacuna::build;

namespace {

struct Pair {
  std::string body;
  std::function<void(AttentionBuilder&)> build;
};

void check_same(const Pair& pair) {
  INFO(pair.body);
  Pattern text = Pattern::parse("attention pair {\n" + pair.body + "\n}", "t.lac");
  AttentionBuilder builder("pair");
  pair.build(builder);
  Pattern built = builder.build();
  CHECK(built.digest() == text.digest());
  CHECK(built == text);
  CHECK(built.text() == text.text());
  CHECK(built.name() == "pair");
}

/// The message of the error that building gives.
std::string mistake(const std::function<void(AttentionBuilder&)>& build) {
  AttentionBuilder builder("local");
  try {
    build(builder);
    builder.build();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::pattern);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("builder: every named pattern, by name and by hand") {
  const std::string id = "tensor id: i32[batch, key]\n";
  const std::string flags = "tensor t: bool[batch, key]\n";
  const std::string two = "tensor x: i32[batch, head, query]\ntensor y: i32[batch, head, key]\n";
  const std::string keeps =
      "tensor x: bool[batch, head, query]\ntensor y: bool[batch, head, key]\n";
  auto tensor_id = [](auto& a) { return a.tensor("id", build::Type::i32, {batch, key}); };
  auto tensor_t = [](auto& a) { return a.tensor("t", build::Type::boolean, {batch, key}); };
  auto declare = [](auto& a, build::Type type) {
    return std::pair{a.tensor("x", type, {batch, head, query}),
                     a.tensor("y", type, {batch, head, key})};
  };
  for (const Pair& pair : std::vector<Pair>{
           {"mask causal", [](auto& a) { a.mask(call("causal")); }},
           {"mask causal", [](auto& a) { a.mask(k <= q); }},
           {"mask window(64)", [](auto& a) { a.mask(call("window", {64})); }},
           {"mask window(64)", [](auto& a) { a.mask(q - k < 64); }},
           {"mask band(3, 4)",
            [](auto& a) {
              a.mask(call("band", {3, 4}));
            }},
           {"mask band(3, 4)", [](auto& a) { a.mask(-4 <= q - k and q - k <= 3); }},
           {"mask prefix(5)", [](auto& a) { a.mask(call("prefix", {5})); }},
           {"mask sinks(5)", [](auto& a) { a.mask(k < 5); }},
           {id + "mask document(id)", [&](auto& a) { a.mask(call("document", {tensor_id(a)})); }},
           {id + "mask document(id)",
            [&](auto& a) {
              auto doc = tensor_id(a);
              a.mask(doc(b, q) == doc(b, k));
            }},
           {"mask chunked(16)", [](auto& a) { a.mask(floordiv(q, 16) == floordiv(k, 16)); }},
           {"mask chunked(16)", [](auto& a) { a.mask(call("chunked", {16})); }},
           {"mask dilated(8, 2)",
            [](auto& a) {
              a.mask(call("dilated", {8, 2}));
            }},
           {"mask dilated(8, 2)",
            [](auto& a) { a.mask(0 <= q - k and q - k < 16 and (q - k) % 2 == 0); }},
           {flags + "mask global(t)", [&](auto& a) { a.mask(call("global", {tensor_t(a)})); }},
           {flags + "mask global(t)",
            [&](auto& a) {
              auto t = tensor_t(a);
              a.mask(t(b, q) or t(b, k));
            }},
           {keeps + "mask keep(x, y)",
            [&](auto& a) {
              auto [x, y] = declare(a, build::Type::boolean);
              a.mask(call("keep", {x, y}));
            }},
           {keeps + "mask keep(x, y)",
            [&](auto& a) {
              auto [x, y] = declare(a, build::Type::boolean);
              a.mask(x(b, h, q) and y(b, h, k));
            }},
           {two + "mask bucket(x, y)",
            [&](auto& a) {
              auto [x, y] = declare(a, build::Type::i32);
              a.mask(call("bucket", {x, y}));
            }},
           {two + "mask bucket(x, y)",
            [&](auto& a) {
              auto [x, y] = declare(a, build::Type::i32);
              a.mask(x(b, h, q) == y(b, h, k));
            }},
       }) {
    check_same(pair);
  }
}

TEST_CASE("builder: larger programs") {
  check_same({R"(
    param reach: i32 = 1024
    const first = 4
    tensor doc: i32[batch, key]
    tensor slope: f32[head]
    mask causal
    mask q - k < reach or k < first
    mask doc[b, q] == doc[b, k]
    score softcap(score, 30.0) - slope[h] * (q - k)
    weights entmax(1.5))",
              [](auto& a) {
                auto reach = a.param("reach", 1024);
                auto first = a.constant("first", 4);
                auto doc = a.tensor("doc", build::Type::i32, {batch, key});
                auto slope = a.tensor("slope", build::Type::f32, {head});
                a.mask(call("causal"));
                a.mask(q - k < reach or k < first);
                a.mask(call("document", {doc}));
                a.score(softcap(score, 30.f) - slope(h) * (q - k));
                a.weights(entmax(1.5));
              }});
  check_same({R"(
    param n: i32
    param x: f32 = 2
    param on: bool = true
    tensor s: f32[]
    tensor u: i32[7, _, kv_head]
    mask not on or u[k & 7 ^ 2 | 1, k << 2 >> 1, g] != ~n hint 0.5 plan elements
    mask k % 3 > 1
    mask k >= q_len - k_len + batch - heads * kv_heads // head_dim plan tiles
    score min(score, x) + max(s[], -inf) / abs(x)
    score where(on, floor(exp(score)), log(sqrt(tanh(score))))
    score f32(i32(score)) + f32(on) + -n + -(x)
    weights softmax(sink = x + q))",
              [](auto& a) {
                auto n = a.param("n", build::Type::i32);
                auto x = a.param("x", 2.0);
                auto on = a.param("on", true);
                auto s = a.tensor("s", build::Type::f32, {});
                auto u = a.tensor("u", build::Type::i32, {7, any, kv_head});
                a.mask(not on or u((k & 7) ^ 2 | 1, k << 2 >> 1, g) != ~n,
                       {.hint = 0.5, .plan = Strategy::elements});
                a.mask(k % 3 > 1);
                a.mask(k >= q_len - k_len + batch - floordiv(heads * kv_heads, head_dim),
                       {.plan = Strategy::tiles});
                a.score(min(score, x) + max(s(), -std::numeric_limits<float>::infinity()) / abs(x));
                a.score(where(on, floor(exp(score)), log(sqrt(tanh(score)))));
                a.score(f32(i32(score)) + f32(on) + -n + -x);
                a.weights(softmax(x + q));
              }});
  check_same({"tensor alpha: f32[head]\nweights entmax(alpha)",
              [](auto& a) { a.weights(entmax(a.tensor("alpha", build::Type::f32, {head}))); }});
  check_same({"param alpha: f32 = 1.5\nweights entmax(alpha)",
              [](auto& a) { a.weights(entmax(a.param("alpha", 1.5f))); }});
  check_same({"weights sparsemax", [](auto& a) { a.weights(sparsemax()); }});
  check_same({"", [](auto&) {}});
}

TEST_CASE("builder: a builder builds again, and moves") {
  AttentionBuilder a("again");
  a.mask(k <= q);
  Pattern first = a.build();
  a.mask(k < 4);
  Pattern second = a.build();
  CHECK_FALSE(first == second);
  AttentionBuilder moved = std::move(a);
  CHECK(moved.build() == second);
}

TEST_CASE("builder: consts can be replaced in what it builds") {
  AttentionBuilder a("local");
  auto first = a.constant("first", 4);
  auto twice = a.constant("twice", first * 2);
  a.mask(k < twice);
  Pattern eight = a.build();
  CHECK(eight.text().find("k < 8") != std::string::npos);
  CHECK(eight.with_const("first", 5).text().find("k < 10") != std::string::npos);
}

TEST_CASE("builder: mistakes name the attention") {
  CHECK(mistake([](auto& a) { a.mask(call("windw", {4})); }) ==
        "local: 'windw' is not defined; did you mean 'window'?");
  CHECK(mistake([](auto& a) { a.mask(q - k); }) == "local: a mask is bool; found i32");
  CHECK(mistake([](auto& a) { a.mask(score < 1.0); }) ==
        "local: 'score' may be used in score statements only");
  CHECK(mistake([](auto& a) { a.param("mask", 1); }) == "local: 'mask' is a keyword");
  CHECK(mistake([](auto& a) { a.param("a b", 1); }) ==
        "local: 'a b' is not a name: letters, digits and '_'");
  CHECK(mistake([](auto& a) { a.param("x", 1), a.param("x", 1); }) ==
        "local: 'x' is already a param");
  CHECK(mistake([](auto& a) { a.param("x", build::Type::i32, q + 1); }) ==
        "local: 'q' is not constant");
  CHECK(mistake([](auto& a) { a.param("x", build::Type::i32, 1.5); }) ==
        "local: 'x' is i32; its default is f32");
  CHECK(mistake([](auto& a) { a.tensor("x", build::Type::i32, {0}); }) ==
        "local: an axis has 1 to 2147483647 entries; found 0");
  CHECK(mistake([](auto& a) { a.mask(k < q, {.hint = 2.0}); }) ==
        "local: a hint is a fraction from 0 to 1; found 2");
  CHECK(mistake([](auto& a) {
          a.mask(k < q, {.hint = std::numeric_limits<double>::quiet_NaN()});
        }) == "local: a hint is a fraction from 0 to 1; found nan");
  CHECK(mistake([](auto& a) { a.mask(k < 3'000'000'000); }) == "'3000000000' does not fit i32");
  CHECK(mistake([](auto& a) { a.score(score * 1e300); }) == "'1e+300' does not fit f32");
  CHECK(mistake([](auto& a) { a.mask(binary("spaceship", k, q)); }) ==
        "local: 'spaceship' is no operator on 2 operands");
  CHECK(mistake([](auto& a) {
          build::Expr e = q;
          for (int i = 0; i < 1'000'000; ++i) e = e + k;
          a.mask(e < 3);
        }) == "the expression nests deeper than 200");
  CHECK_THROWS_AS(AttentionBuilder("no name").build(), Error);
  CHECK_THROWS_AS(AttentionBuilder("mask").build(), Error);
  CHECK_THROWS_AS(AttentionBuilder("").build(), Error);
}

TEST_CASE("builder: trees may share parts, within reason") {
  auto squared = [](int times) {
    AttentionBuilder a("shared");
    build::Expr e = q;
    for (int i = 0; i < times; ++i) e = (e ^ 3) * e;
    a.mask(e < 4);
    return a.build();
  };
  Pattern pattern = squared(15);
  CHECK(Pattern::parse(pattern.text()) == pattern);
  CHECK_THROWS_AS(squared(90), Error);
}
