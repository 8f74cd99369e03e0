#include "tests/catch.h"
#include "tests/tool/command.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <random>
#include <utility>
#include <vector>

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

TEST_CASE("explain: tiles of packed and padded sequences, over all of them or of one") {
  Folder folder;
  auto file = folder.write("p.lac",
                           "attention p {\n  tensor doc: i32[batch, key]\n"
                           "  mask causal\n  mask doc[b, q] == doc[b, k]\n}\n");
  auto seed = std::random_device()();
  INFO("seed " << seed);
  // For each sequence FULL tiles, visited ones and all, of its own 64 x 64 tiles.
  const auto expect = nlohmann::json::parse(python(fmt::format(
      "import numpy as n, json\n"
      "r = n.random.default_rng({})\n"
      "lens = [0, 1, int(r.integers(70, 200)), int(r.integers(70, 300))]\n"
      "total = sum(lens)\n"
      "doc = (n.cumsum(r.integers(0, 40, total) == 0) % 4)[None].astype(n.int32)\n"
      "wide = n.zeros((4, 300), n.int32)\n"
      "cu = n.cumsum([0] + lens)\n"
      "out = []\n"
      "for s, m in enumerate(lens):\n"
      "  d = doc[0, cu[s]:cu[s + 1]]\n"
      "  wide[s, :m] = d\n"
      "  q, k = n.arange(m)[:, None], n.arange(m)\n"
      "  live = (k <= q) & (d[q] == d[k]) if m else n.zeros((0, 0), bool)\n"
      "  tiles = [live[i:i + 64, j:j + 64] for i in range(0, m, 64) for j in range(0, m, 64)]\n"
      "  full = sum(bool(t.all()) and t.shape[1] == 64 for t in tiles)\n"
      "  out.append([full, sum(bool(t.any()) for t in tiles), len(tiles)])\n"
      "n.save('{}', doc); n.save('{}', wide); n.save('{}', cu); n.save('{}', n.array(lens))\n"
      "print(json.dumps([out, total]))",
      seed, folder / "doc.npy", folder / "wide.npy", folder / "cu.npy", folder / "lens.npy")));
  const auto counted = [&](std::vector<std::string> flags) {
    std::vector<std::string> all = {"explain", file, "--schedule", "64x64w4s2", "--json"};
    all.insert(all.end(), flags.begin(), flags.end());
    Ran ran = lacuna::test::lacuna(all);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    return nlohmann::json::parse(ran.out);
  };
  const auto check = [&](const nlohmann::json& json, const std::vector<int>& sequences) {
    std::array<int, 3> sum{};
    for (int s : sequences)
      for (std::size_t i = 0; i < 3; ++i) sum[i] += expect[0][s][i].get<int>();
    const auto& tiles = json["tiles"];
    CHECK(tiles["sequences"] == sequences.size());
    CHECK(tiles["full"] == sum[0]);
    CHECK(tiles["full"].get<int>() + tiles["partial"].get<int>() == sum[1]);
    CHECK(tiles["skipped"] == sum[2] - sum[1]);
    const auto& fewest = tiles["fewest"];
    CHECK(fewest["full"].get<int>() + fewest["partial"].get<int>() == sum[1]);
  };
  const std::vector<std::string> packed = {
      "--tensor",       "doc=" + folder / "doc.npy", "--cu-seqlens-q", folder / "cu.npy",
      "--cu-seqlens-k", folder / "cu.npy",           "--minimum"};
  const auto with = [](std::vector<std::string> flags, std::vector<std::string> more) {
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  };
  const auto json = counted(packed);
  check(json, {0, 1, 2, 3});
  CHECK(json["text"].get<std::string>().find(fmt::format(
            "shape     B=4 H=1 G=1 Nq={0} Nk={0}", expect[1].get<int>())) != std::string::npos);
  CHECK(json["text"].get<std::string>().find("tiles of a head in 4 sequences: ") !=
        std::string::npos);
  check(counted(with(packed, {"--batch", "3", "--shape", "H=2,B=4"})), {3});
  const std::vector<std::string> padded = {
      "--tensor", "doc=" + folder / "wide.npy", "--q-lens",  folder / "lens.npy",
      "--k-lens", folder / "lens.npy",          "--minimum", "--shape",
      "N=300,H=2"};
  check(counted(padded), {0, 1, 2, 3});
  check(counted(with(padded, {"--batch", "2", "--head", "1"})), {2});

  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"--shape", "B=3"}, "--shape: B is 3, but lengths are given for 4 sequences"},
      {{"--shape", "N=5000"}, "(key) has extent "},
      {{"--batch", "4"}, "--batch 4 is not one of 0 to 3"},
      {{"--lengths", "padded"},
       "cu_seqlens_q is given, but the lengths of the spec are not packed"},
  };
  for (const auto& [words, text] : wrong) {
    Ran failed = lacuna::test::lacuna(with({"explain", file}, with(packed, words)));
    INFO(failed.err);
    CHECK(failed.code == 2);
    CHECK(failed.err.find(text) != std::string::npos);
  }
  Ran half = lacuna::test::lacuna({"explain", file, "--cu-seqlens-k", folder / "cu.npy"});
  CHECK(half.err.find("--cu-seqlens-q and --cu-seqlens-k go together") != std::string::npos);
  Ran rows = lacuna::test::lacuna({"explain", file, "--k-lens", folder / "lens.npy"});
  CHECK(rows.err.find("need the rows of --shape") != std::string::npos);
}

TEST_CASE("explain: packed sequences without lengths say which flags count them; no sequences") {
  Folder folder;
  auto file = folder.write("p.lac", pattern);
  const auto text = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"explain", file});
    Ran ran = lacuna::test::lacuna(words);
    INFO(ran.err);
    CHECK(ran.code == 0);
    return ran.out;
  };
  CHECK(text({"--shape", "B=2,N=200", "--lengths", "packed"})
            .find("tiles depend on the lengths of packed sequences, param 'reach', tensor 'doc': "
                  "'lacuna explain' counts them with --cu-seqlens-q F.npy --cu-seqlens-k F.npy "
                  "--param reach=X --tensor doc=F.npy") != std::string::npos);
  CHECK(text({"--shape", "B=0,N=200"}).find("tiles are none: there is no sequence") !=
        std::string::npos);
  Ran failed = lacuna::test::lacuna({"explain", file, "--shape", "B=0,N=200", "--batch", "0"});
  CHECK(failed.code == 2);
  CHECK(failed.err.find("--batch 0: --shape has none") != std::string::npos);
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
