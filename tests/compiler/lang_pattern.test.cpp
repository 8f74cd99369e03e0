#include "lacuna/pattern.hpp"

#include "compiler/ir/pattern.h"
#include "tests/catch.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace lacuna;

namespace {

const std::string two = "attention one { mask causal }\nattention two { mask k < 3 }\n";

std::string message(const std::function<void()>& run, ErrorKind kind) {
  try {
    run();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "no error";
}

/// A file that goes when the test does.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& text) {
    path = std::filesystem::temp_directory_path() /
           ("lacuna_lang_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".lac");
    std::ofstream(path, std::ios::binary) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

}  // namespace

TEST_CASE("pattern: a text of several attentions") {
  CHECK(Pattern::names(two) == std::vector<std::string>{"one", "two"});
  CHECK(Pattern::parse(two, "t.lac", "two").text().find("k < 3") != std::string::npos);
  CHECK(Pattern::parse("attention only { }").name() == "only");
  auto argument = ErrorKind::argument;
  CHECK(message([] { Pattern::parse(two, "t.lac"); }, argument) ==
        "t.lac has 2 attentions; name one of one, two");
  CHECK(message([] { Pattern::parse(two, "t.lac", "tow"); }, argument) ==
        "t.lac has no attention 'tow'; it has one, two");
  CHECK(message([] { Pattern::names("mask k", "t.lac"); }, ErrorKind::pattern)
            .starts_with("t.lac:1:1: "));
}

TEST_CASE("pattern: only the attention that is asked for is resolved") {
  const std::string text = "attention good { mask causal }\nattention bad { mask nonsense }\n";
  CHECK_NOTHROW(Pattern::parse(text, "t.lac", "good"));
  CHECK_THROWS_AS(Pattern::parse(text, "t.lac", "bad"), Error);
  CHECK_NOTHROW(Pattern::names(text));
}

TEST_CASE("pattern: a file") {
  TemporaryFile file("attention local {\n  mask windw(3)\n}\n");
  auto said = message([&] { Pattern::load(file.path); }, ErrorKind::pattern);
  CHECK(said.starts_with(file.path.string() + ":2:8: 'windw' is not defined"));
  CHECK(Pattern::load(TemporaryFile(two).path, "one").name() == "one");
  auto missing = file.path.string() + ".missing";
  CHECK(message([&] { Pattern::load(missing); }, ErrorKind::io) == "cannot read " + missing);
  auto folder = std::filesystem::temp_directory_path();
  CHECK(message([&] { Pattern::load(folder); }, ErrorKind::io) == "cannot read " + folder.string());
  TemporaryFile large(std::string(1 << 20, '#'));
  CHECK_THROWS_AS(Pattern::load(large.path), Error);
}

TEST_CASE("pattern: what a mask remembers of its text") {
  auto pattern = Pattern::parse(
      "def near(w) = q - k < w\nattention a {\n  mask near(3)  or  k < 1 # x\n}", "t.lac");
  const ir::Mask& mask = pattern.tree().masks.at(0);
  CHECK(mask.text == "near(3) or k < 1");
  CHECK(mask.where == Span{"t.lac", 3, 8});
  CHECK(pattern.tree().source.size() > 60);
  CHECK(pattern.tree().origin == "t.lac");
  CHECK(pattern.tree().digest == pattern.digest());
}

TEST_CASE("pattern: consts are replaced, with what follows from them") {
  auto pattern = Pattern::parse(
      "attention a {\n const n = 4\n const half = n / 2\n const on = true\n"
      " mask k < n and on\n score score * half\n}",
      "t.lac");
  auto text_of = [](const Pattern& p) { return p.text(); };
  CHECK(text_of(pattern).find("score score * 2.0") != std::string::npos);
  auto six = pattern.with_const("n", 6);
  CHECK(text_of(six).find("mask k < 6") != std::string::npos);
  CHECK(text_of(six).find("score score * 3.0") != std::string::npos);
  CHECK(six.tree().consts[1].value == Literal(3.0f));
  CHECK_FALSE(six == pattern);
  CHECK(six.with_const("n", 4) == pattern);

  auto chained = pattern.with_const("half", 9.0f).with_const("n", 5);
  CHECK(text_of(chained).find("mask k < 5") != std::string::npos);
  CHECK(text_of(chained).find("score score * 9.0") != std::string::npos);
  CHECK(text_of(pattern.with_const("on", false)).find("mask false") != std::string::npos);

  auto argument = ErrorKind::argument;
  CHECK(message([&] { pattern.with_const("m", 6); }, argument) == "'a' has no const 'm'");
  CHECK(message([&] { pattern.with_const("hafl", 6); }, argument) ==
        "'a' has no const 'hafl'; did you mean 'half'?");
  CHECK(message([&] { pattern.with_const("n", 6.0f); }, argument) ==
        "const 'n' of 'a' is i32; found f32");
  CHECK(message([&] { pattern.with_const("half", 6); }, argument) ==
        "const 'half' of 'a' is f32; found i32");
  CHECK(message([&] { pattern.with_const("on", 1); }, argument) ==
        "const 'on' of 'a' is bool; found i32");
}

TEST_CASE("pattern: a const may make the program wrong") {
  auto pattern = Pattern::parse("attention a {\n const al = 1.5\n weights entmax(al)\n}", "t.lac");
  CHECK_NOTHROW(pattern.with_const("al", 2.0f));
  CHECK(message([&] { pattern.with_const("al", 3.0f); }, ErrorKind::pattern)
            .starts_with("t.lac:3:17: alpha is 1 or from 1.01 to 2; found 3.0"));
}

TEST_CASE("pattern: the range of alpha, in f32") {
  auto with = [](const std::string& alpha) {
    return Pattern::parse("attention a { weights entmax(" + alpha + ") }");
  };
  for (std::string good : {"1", "1.0", "1.01", "1.5", "2", "2.0", "1 + 0.5"})
    CHECK_NOTHROW(with(good));
  for (std::string bad :
       {"1.0000001", "1.0099999", "2.0000002", "0", "-1.5", "inf", "inf - inf", "3"}) {
    INFO(bad);
    CHECK_THROWS_AS(with(bad), Error);
  }
}
