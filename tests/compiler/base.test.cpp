#include "compiler/base/diagnostic.h"
#include "compiler/base/digest.h"
#include "tests/catch.h"

#include <array>
#include <set>
#include <string>

using lacuna::Digest;

TEST_CASE("a digest is 32 digits, the same for the same fields") {
  auto make = [] { return Digest().add("name", "causal").add("count", 3).hex(); };
  CHECK(make() == make());
  CHECK(make().size() == 32);
  CHECK(make().find_first_not_of("0123456789abcdef") == std::string::npos);
}

TEST_CASE("no two sequences of fields give the same bytes") {
  std::set<std::string> seen;
  auto unseen = [&](const Digest& digest) { CHECK(seen.insert(digest.hex()).second); };
  unseen(Digest());
  unseen(Digest().add("", ""));
  unseen(Digest().add("ab", "c"));
  unseen(Digest().add("a", "bc"));
  unseen(Digest().add("a", "b").add("c", ""));
  unseen(Digest().add("a", "").add("b", "c"));
  unseen(Digest().add("n", 0));
  unseen(Digest().add("n", std::string_view("\0\0\0\0\0\0\0\0", 8)));
  unseen(Digest().add("n", -1));
  unseen(Digest().add("n", 255));
  unseen(Digest().add("a", "x").add("b", "y"));
  unseen(Digest().add("b", "y").add("a", "x"));
}

TEST_CASE("hex may be asked between fields") {
  Digest digest;
  digest.add("a", 1);
  auto first = digest.hex();
  CHECK(digest.hex() == first);
  digest.add("b", 2);
  CHECK(digest.hex() != first);
  CHECK(digest.hex() == Digest().add("a", 1).add("b", 2).hex());
}

TEST_CASE("the digest of fixed fields never changes: caches outlive versions of this program") {
  CHECK(Digest().add("name", "causal").add("count", 3).hex() == "a96a8da0c5c0f9fd1352684606a39936");
}

TEST_CASE("the nearest name is one that a typist may have meant") {
  constexpr std::array<std::string_view, 6> known = {"window", "band",    "causal",
                                                     "b",      "chunked", "document"};
  auto nearest = [&](std::string_view name) { return lacuna::nearest(name, known); };
  CHECK(nearest("windw") == "window");
  CHECK(nearest("widnow") == "window");
  CHECK(nearest("casual") == "causal");
  CHECK(nearest("bnd") == "band");
  CHECK(nearest("chunks") == "chunked");
  CHECK(nearest("x") == "");
  CHECK(nearest("") == "");
  CHECK(nearest("entirely") == "");
  CHECK(nearest(std::string(100'000, 'x')) == "");
  CHECK(lacuna::suggestion("windw", known) == "; did you mean 'window'?");
  CHECK(lacuna::suggestion("entirely", known) == "");
}

TEST_CASE("a diagnostic shows file, line, column, the line and a caret") {
  auto error = lacuna::diagnose("one\ntwo three\n", {"f.lac", 2, 5}, "wrong");
  CHECK(error.what() == std::string("f.lac:2:5: wrong\n  two three\n      ^"));
  CHECK(error.span() == lacuna::Span{"f.lac", 2, 5});
  CHECK(lacuna::diagnose("", {"local"}, "wrong").what() == std::string("local: wrong"));
}
