#include "lacuna/pattern.hpp"

#include "compiler/lang/lexer.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using namespace lacuna;

namespace {

const std::vector<std::string> vocabulary = {
    "def",  "attention", "param",  "const",  "tensor", "mask",       "score",    "weights",
    "hint", "plan",      "and",    "or",     "not",    "true",       "false",    "inf",
    "bool", "i32",       "f32",    "batch",  "head",   "query",      "key",      "_",
    "(",    ")",         "[",      "]",      "{",      "}",          "=",        ":",
    ",",    "\n",        "\n",     "+",      "-",      "*",          "/",        "//",
    "%",    "<",         "<=",     "==",     "!=",     ">",          ">>",       "<<",
    "&",    "|",         "^",      "~",      "q",      "k",          "b",        "h",
    "x",    "y",         "w",      "causal", "window", "band",       "document", "global",
    "keep", "softmax",   "entmax", "sink",   "min",    "where",      "exp",      "softcap",
    "0",    "1",         "1.5",    "0x7f",   "1e9",    "2147483648", "# c",      "tiles",
    "abs"};

const std::vector<std::string> valid_programs = {
    "def near(w) = q - k < w\nattention x {\n param reach: i32 = 1024\n const first = 4\n"
    " tensor doc: i32[batch, key]\n tensor slope: f32[head]\n mask causal\n"
    " mask near(reach) or k < first hint 0.5 plan tiles\n mask document(doc)\n"
    " score softcap(score, 30.0) - slope[h] * (q - k)\n weights entmax(1.5)\n}\n",
    "attention x {\n tensor t: bool[batch, key]\n tensor u: f32[3, _, kv_head]\n mask global(t)\n"
    " mask 0 <= q - k < 9 and (q - k) % 3 == 0\n score where(t[b, k], score, u[2, k & 7, g])\n"
    " weights softmax(sink = f32(q))\n}\n",
    "attention x {\n param w: i32\n param y: f32\n mask band(w, 3) and not (k < 1 or y > 1.5)\n"
    " mask min(q, k) * 2 // 3 << 1 | 0x7f != abs(k ^ w) & ~1\n score max(score, y) / exp(w)\n}\n"};

/// Wrong programs to damage: each is one step from a valid one.
std::vector<std::string> wrong_programs() {
  std::vector<std::string> texts;
  for (const auto& entry : std::filesystem::directory_iterator("tests/error")) {
    if (entry.path().extension() != ".lac" || entry.file_size() > 2000) continue;
    std::ifstream stream(entry.path(), std::ios::binary);
    texts.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return texts;
}

/// Whatever the text: a pattern that survives its own text, or an Error{pattern} of the promised
/// form.
bool survives(const std::string& text) {
  INFO(text);
  try {
    for (const std::string& name : Pattern::names(text, "f.lac")) {
      Pattern pattern = Pattern::parse(text, "f.lac", name);
      Pattern again = Pattern::parse(pattern.text(), "again.lac");
      REQUIRE(again == pattern);
      REQUIRE(again.text() == pattern.text());
    }
    return true;
  } catch (const Error& error) {
    REQUIRE(error.kind() == ErrorKind::pattern);
    REQUIRE(error.span().file == "f.lac");
    REQUIRE(std::string(error.what()).starts_with("f.lac:"));
    return false;
  }
}

std::string soup(fuzz::Draw& draw) {
  std::string text = draw.chance(0.7) ? "attention x {\n" : "";
  for (int i = draw.between(1, 60); i > 0; --i) text += draw.of(vocabulary) + " ";
  return draw.chance(0.7) ? text + "\n}\n" : text;
}

/// A word of a text, where it stands.
std::pair<std::size_t, std::size_t> token_of(fuzz::Draw& draw, const std::string& text) {
  std::vector<lang::Token> tokens;
  try {
    tokens = lang::lex("f.lac", text);
  } catch (const Error&) {
  }
  std::erase_if(tokens, [](const lang::Token& token) { return token.text.empty(); });
  if (tokens.empty()) return {0, 0};
  auto token = draw.of(tokens);
  return {static_cast<std::size_t>(token.text.data() - text.data()), token.text.size()};
}

/// A word of the same kind, so that the grammar lets it pass.
std::string like(fuzz::Draw& draw, const std::string& word) {
  auto kind = [](std::string_view text) {
    try {
      return lang::lex("f.lac", text).front().kind;
    } catch (const Error&) {
      return lang::TokenKind::end;
    }
  };
  std::string other = draw.of(vocabulary);
  for (int tries = 0; tries < 100 && kind(other) != kind(word); ++tries)
    other = draw.of(vocabulary);
  return other;
}

void damage(fuzz::Draw& draw, std::string& text) {
  if (text.empty()) text.push_back('x');
  auto at = static_cast<std::size_t>(draw.below(static_cast<int>(text.size())));
  auto [begin, length] = token_of(draw, text);
  switch (draw.below(12)) {
    case 0:
      text[at] = static_cast<char>(draw.below(256));
      break;
    case 1:
      text.erase(at, static_cast<std::size_t>(draw.between(1, 20)));
      break;
    case 2:
      text.insert(at, text.substr(at, static_cast<std::size_t>(draw.between(1, 40))));
      break;
    case 3:
      text.insert(begin, draw.of(vocabulary) + " ");
      break;
    case 4:
      text.erase(begin, length);
      break;
    case 5:
      text.replace(begin, length, draw.of(vocabulary));
      break;
    default:
      text.replace(begin, length, like(draw, text.substr(begin, length)));
      break;
  }
}

}  // namespace

TEST_CASE("fuzz: no soup of tokens does more than give an error") {
  auto seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int i = 0; i < 4000; ++i) survives(soup(draw));
}

TEST_CASE("fuzz: no damage to a program does more than give an error") {
  auto seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  const auto wrong = wrong_programs();
  int valid = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string text = draw.of(draw.chance(0.7) ? valid_programs : wrong);
    for (int times = draw.between(1, 3); times > 0; --times) damage(draw, text);
    valid += survives(text);
  }
  CHECK(valid > 100);  // else the damage is too great to reach beyond the parser
}

TEST_CASE("fuzz: no bytes do more than give an error") {
  auto seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int length = draw.below(200); length > 0; --length)
      text += static_cast<char>(draw.below(256));
    survives(text);
  }
}
