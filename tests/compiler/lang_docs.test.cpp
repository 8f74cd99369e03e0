#include "lacuna/pattern.hpp"

#include "tests/catch.h"

#include <fstream>
#include <iterator>
#include <string>

using namespace lacuna;

TEST_CASE("docs: every program of the language's page is one") {
  std::ifstream stream("docs/language.md");
  std::string page((std::istreambuf_iterator<char>(stream)), {});
  const std::string open = "\n```lac\n", close = "\n```\n";
  int programs = 0;
  for (auto at = page.find(open); at != page.npos; at = page.find(open, at)) {
    at += open.size();
    std::string text = page.substr(at, page.find(close, at) + 1 - at);
    INFO(text);
    for (const std::string& name : Pattern::names(text, "language.md")) {
      CHECK_NOTHROW(Pattern::parse(text, "language.md", name));
    }
    ++programs;
  }
  CHECK(programs >= 6);
}
