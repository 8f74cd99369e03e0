#include "tests/catch.h"
#include "tests/tool/command.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <random>

using namespace lacuna::test;

namespace {

const char* const pattern =
    "attention documents {\n  param reach: i32\n  tensor doc: i32[batch, key]\n"
    "  mask window(reach)\n  mask doc[b, q] == doc[b, k]\n}\n";

/// What documents of 50 tokens, whose ids come back, leave of 200 x 200 pairs in tiles of 64 x 64,
/// by a loop of numpy's.
nlohmann::json expected(const Folder& folder, int reach) {
  return nlohmann::json::parse(python(fmt::format(
      "import numpy as n, json\n"
      "doc = n.repeat([5, 9, 5, 2], 50)[None].astype(n.int32)\n"
      "n.save('{}', doc)\n"
      "q, k = n.arange(200)[:, None], n.arange(200)\n"
      "live = (q - k <= {}) & (doc[0][q] == doc[0][k])\n"
      "tiles = [live[i:i + 64, j:j + 64] for i in range(0, 200, 64) for j in range(0, 200, 64)]\n"
      "print(json.dumps([sum(bool(t.all()) for t in tiles), sum(bool(t.any()) for t in tiles), "
      "len(tiles)]))",
      folder / "doc.npy", reach - 1)));
}

}  // namespace

TEST_CASE("explain: tiles of a call's tensors, beside the fewest possible") {
  Folder folder;
  auto file = folder.write("p.lac", pattern);
  auto seed = std::random_device()();
  INFO("seed " << seed);
  const int reach = 1 + static_cast<int>(seed % 200);
  const nlohmann::json expect = expected(folder, reach);
  Ran ran = lacuna::test::lacuna({"explain", file, "--shape", "N=200", "--schedule", "64x64w4s2",
                                  "--tensor", "doc=" + folder / "doc.npy", "--param",
                                  "reach=" + std::to_string(reach), "--minimum", "--json"});
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const auto json = nlohmann::json::parse(ran.out);
  CHECK(json["route"] == "listed");
  CHECK(json["elements"]["tested"] == true);
  CHECK(json["elements"]["for"] == "doc[b, q] == doc[b, k]");
  CHECK(json["conjuncts"][0]["decided"] == true);
  CHECK(json["conjuncts"][1]["left_open"] == "rows of one value need not lie together");
  const auto& tiles = json["tiles"];
  const auto& fewest = tiles["fewest"];
  CHECK(fewest["full"] == expect[0]);
  CHECK(fewest["full"].get<int>() + fewest["partial"].get<int>() == expect[1]);
  // Elements are tested: no more are visited.
  CHECK(tiles["full"].get<int>() + tiles["partial"].get<int>() == expect[1]);
  CHECK(tiles["skipped"].get<int>() == expect[2].get<int>() - expect[1].get<int>());
  CHECK(json["text"].get<std::string>().find("visited are 1.000 times as many") !=
        std::string::npos);
}

TEST_CASE("explain: what only the score needs keeps no tiles from being counted") {
  Folder folder;
  auto file = folder.write(
      "p.lac",
      "attention p {\n  param a: f32\n  tensor bias: f32[batch, head, query, key]\n"
      "  tensor t: f32[_, 7]\n  mask (q ^ k) % 2 == 0\n  score score * a + bias[b, h, q, k] + t[0, "
      "0]\n}\n");
  Ran ran = lacuna::test::lacuna({"explain", file, "--shape", "B=2,H=4,N=100000", "--json"});
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const auto tiles = nlohmann::json::parse(ran.out)["tiles"];
  CHECK(tiles["partial"].get<int>() > 0);
  CHECK(tiles["full"] == 0);
}

TEST_CASE("explain: what the tiles of a mask need is named, with the flags that bring it") {
  Folder folder;
  auto file = folder.write("p.lac", pattern);
  Ran ran = lacuna::test::lacuna({"explain", file, "--shape", "N=200", "--json"});
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const auto json = nlohmann::json::parse(ran.out);
  CHECK(json["tiles"].is_null());
  CHECK(
      json["text"].get<std::string>().find(
          "tiles depend on param 'reach', tensor 'doc': 'lacuna explain' counts them with --param "
          "reach=X --tensor doc=F.npy") != std::string::npos);
  const std::pair<std::vector<std::string>, const char*> wrong[] = {
      {{"--head", "1"}, "--head 1 is not one of 0 to 0"},
      {{"--batch", "-1"}, "--batch -1 is not one of 0 to 0"},
      {{"--tensor", "dok=x.npy"}, "doc"},
  };
  for (const auto& [words, text] : wrong) {
    std::vector<std::string> all = {"explain", file, "--shape", "N=200"};
    all.insert(all.end(), words.begin(), words.end());
    Ran failed = lacuna::test::lacuna(all);
    CHECK(failed.code == 2);
    INFO(failed.err);
    CHECK(failed.err.find(text) != std::string::npos);
  }
}
