#include "lacuna/pattern.hpp"

#include "tests/catch.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

/// One file per mistake: its first line says `# error: LINE:COLUMN: MESSAGE`.
namespace {

using namespace lacuna;

std::vector<std::filesystem::path> mistakes() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator("tests/error")) {
    if (entry.path().extension() == ".lac") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool printable(const std::string& line) {
  return std::ranges::all_of(line, [](char c) { return c >= 32 && c <= 126; });
}

}  // namespace

TEST_CASE("every mistake is answered with its place and what was expected") {
  const std::string mark = "# error: ";
  auto files = mistakes();
  REQUIRE(files.size() >= 150);
  for (const auto& file : files) {
    std::string text = read(file), name = file.filename().string();
    INFO(name);
    REQUIRE(text.starts_with(mark));
    auto source = lines_of(text);
    try {
      Pattern::parse(text, name);
      FAIL("the program is accepted");
    } catch (const Error& error) {
      auto said = lines_of(error.what());
      CHECK(said[0] == name + ":" + source[0].substr(mark.size()));
      CHECK(error.kind() == ErrorKind::pattern);
      CHECK(error.span().file == name);

      std::size_t line = error.span().line, column = error.span().column;
      REQUIRE(line >= 1);
      REQUIRE(said.size() == 3);
      if (line > source.size()) continue;  // the end of the text
      std::string wrong = source[line - 1];
      if (wrong.size() > 100 || !printable(wrong)) continue;  // shown in part
      CHECK(said[1] == "  " + wrong);
      CHECK(said[2] == std::string(column + 1, ' ') + "^");
    }
  }
}

TEST_CASE("the caret stays under the mistake in a long line and behind tabs") {
  std::string long_line =
      "attention a { mask " + std::string(300, ' ') + "windw(4) " + std::string(300, ' ') + "}";
  for (const std::string& text : {long_line, std::string("attention a {\n\t\tmask\twindw(4)\n}")}) {
    try {
      Pattern::parse(text, "a.lac");
      FAIL("the program is accepted");
    } catch (const Error& error) {
      auto said = lines_of(error.what());
      REQUIRE(said.size() == 3);
      CHECK(said[1].size() < 200);
      auto caret = said[2].find('^');
      REQUIRE(caret != std::string::npos);
      CHECK(said[1].substr(caret, 5) == "windw");
      for (std::size_t i = 0; i < caret; ++i) CHECK((said[1][i] == '\t') == (said[2][i] == '\t'));
    }
  }
}
