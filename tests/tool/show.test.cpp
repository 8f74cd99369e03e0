#include "tests/catch.h"
#include "tests/tool/command.h"
#include "tests/tool/tensors.h"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <random>

using namespace lacuna::test;

namespace {

struct Golden {
  const char* name;
  std::vector<std::string> words;
};

/// The terminal pictures beside this file; LACUNA_UPDATE=1 writes them anew.
const Golden goldens[] = {
    {"causal", {"--shape", "Nq=24,Nk=40"}},
    {"window", {"--shape", "N=200", "--param", "reach=48"}},
    {"documents", {"--shape", "B=2,N=160", "--batch", "1"}},
};

const char* const patterns =
    "attention causal { mask causal }\n"
    "attention window { param reach: i32\n mask causal\n mask window(reach) }\n"
    "attention documents { tensor doc: i32[batch, key]\n mask causal\n mask document(doc) }\n";

std::vector<std::string> show(const Golden& golden, const Folder& folder) {
  std::vector<std::string> words = {"show", folder / "p.lac", "--attention", golden.name};
  words.insert(words.end(), golden.words.begin(), golden.words.end());
  return words;
}

}  // namespace

TEST_CASE("show: pictures in the terminal are the ones beside this test") {
  Folder folder;
  folder.write("p.lac", patterns);
  for (const Golden& golden : goldens) {
    INFO(golden.name);
    Ran ran = lacuna::test::lacuna(show(golden, folder));
    CHECK(ran.err == "");
    REQUIRE(ran.code == 0);
    std::string file = std::string(LACUNA_GOLDENS) + "/" + golden.name + ".txt";
    if (std::getenv("LACUNA_UPDATE")) {
      std::ofstream(file) << ran.out;
      continue;
    }
    CHECK(ran.out == read(file));
  }
}

namespace {

/// Of two heads, in the second of which a query asks for the keys of one block of 64 in four: that
/// of its own place among blocks of 128 queries, in scores that leave others no weight.
void write_blocks(const Folder& folder) {
  const int rows = 512, d = 8;
  lacuna::tool::Array q = lacuna::tool::Array::zeros(lacuna::DType::f32, {1, 2, rows, d}), k = q;
  for (int row = 0; row < rows; ++row) {
    q.set_real((rows + row) * d + row / 128, 16);
    k.set_real((rows + row) * d + row / 64 % 4, 4);
  }
  folder.write("q.npy", lacuna::tool::format_npy(q));
  folder.write("k.npy", lacuna::tool::format_npy(k));
}

}  // namespace

TEST_CASE("show --live: the tiles that scores leave, beside those of the mask") {
  Folder folder;
  folder.write("p.lac", "attention p { mask causal\n weights sparsemax }\n");
  write_blocks(folder);
  const std::vector<std::string> words = {
      "show", folder / "p.lac", "--live", "--q", folder / "q.npy",
      "--k",  folder / "k.npy", "--head", "1",   "--device",
      "host"};
  Ran ran = lacuna::test::lacuna(words);
  CHECK(ran.err == "");
  REQUIRE(ran.code == 0);
  const std::string file = std::string(LACUNA_GOLDENS) + "/live.txt";
  if (std::getenv("LACUNA_UPDATE"))
    std::ofstream(file) << ran.out;
  else
    CHECK(ran.out == read(file));

  auto more = words;
  more.insert(more.end(), {"--json", "--svg", folder / "p.svg"});
  ran = lacuna::test::lacuna(more);
  REQUIRE(ran.code == 0);
  const auto json = nlohmann::json::parse(ran.out);
  const int tile_q = json["tile_q"], tile_k = json["tile_k"];
  // By hand: keys of the blocks asked for, of the queries that see one; the first rows of a block
  // that sees none of its own have the keys before them, all alike.
  std::int64_t live = 0, tiles = 0;
  for (int first = 0; first < 512; first += tile_q) {
    std::vector<bool> keys(512);
    for (int q = first; q < first + tile_q; ++q) {
      bool own = false;
      for (int k = 0; k <= q; ++k) own |= k / 64 % 4 == q / 128;
      for (int k = 0; k <= q; ++k) keys[k] = keys[k] || !own || k / 64 % 4 == q / 128;
    }
    for (int q = first; q < first + tile_q; ++q)
      for (int k = 0; k <= q; ++k) live += keys[k];
    for (int k = 0; k < 512; k += tile_k)
      tiles +=
          std::find(keys.begin() + k, keys.begin() + k + tile_k, true) != keys.begin() + k + tile_k;
  }
  CHECK(json["alive"]["live"] == live);
  CHECK(json["alive"]["full"].get<int>() + json["alive"]["partial"].get<int>() == tiles);
  CHECK(json["live"] == 512 * 513 / 2);
  CHECK(python("import xml.etree.ElementTree as e\nt = e.parse('" + folder / "p.svg" +
               "').getroot()\nx = ''.join(t.itertext())\nprint(x.count('FULL'), 'p, live' in x, "
               "'have a live key' in x, 'pairs attend' in x)") == "2 True True True\n");
}

TEST_CASE("show: the mask that is drawn is the mask, in half blocks pair by pair") {
  Folder folder;
  folder.write("p.lac", "attention p { param w: i32\n mask q - k < w and (q ^ k) % 3 != 0 }\n");
  auto seed = std::random_device()();
  INFO("seed " << seed);
  int rows = 2 + static_cast<int>(seed % 40), columns = 2 + static_cast<int>(seed / 64 % 60),
      w = static_cast<int>(seed % 17);
  Ran ran = lacuna::test::lacuna({"show", folder / "p.lac", "--shape",
                                  "Nq=" + std::to_string(rows) + ",Nk=" + std::to_string(columns),
                                  "--param", "w=" + std::to_string(w), "--json"});
  REQUIRE(ran.code == 0);
  auto json = nlohmann::json::parse(ran.out);
  auto mod = [](int a, int b) { return ((a % b) + b) % b; };
  std::int64_t live = 0;
  for (int i = 0; i < rows; ++i) {
    for (int k = 0; k < columns; ++k) {
      int q = i + columns - rows;
      live += q - k < w && mod(q ^ k, 3) != 0;
    }
  }
  CHECK(json["live"] == live);
  CHECK(json["pairs"] == rows * columns);
  CHECK(json["full"].get<int>() + json["partial"].get<int>() + json["skipped"].get<int>() ==
        static_cast<int>(json["tiles"].size() * json["tiles"][0].get<std::string>().size()));
}

TEST_CASE("show: colours only where they are asked for") {
  Folder folder;
  folder.write("p.lac", patterns);
  auto words = show(goldens[0], folder);
  CHECK(lacuna::test::lacuna(words).out.find('\033') == std::string::npos);
  words.insert(words.end(), {"--color", "always"});
  CHECK(lacuna::test::lacuna(words).out.find("\033[38;5;") != std::string::npos);
}

TEST_CASE("show: the SVG is well formed and names what it draws") {
  Folder folder;
  folder.write("p.lac", "attention p { mask k <= q and q - k < 300 & 100 }\n");
  Ran ran = lacuna::test::lacuna(
      {"show", folder / "p.lac", "--shape", "N=300", "--svg", folder / "p.svg"});
  CHECK(ran.err == "");
  REQUIRE(ran.code == 0);
  // An XML parser of its own accord, and what it found.
  CHECK(python("import xml.etree.ElementTree as e\nt = e.parse('" + folder / "p.svg" +
               "').getroot()\nprint(t.tag, 'k <= q' in ''.join(t.itertext()), 'FULL' in "
               "''.join(t.itertext()))") == "{http://www.w3.org/2000/svg}svg True True\n");
  CHECK(folder.files() == std::vector<std::string>{"p.lac", "p.svg"});
}

TEST_CASE("show: the SVG's rectangles are the pairs that attend, each once") {
  Folder folder;
  folder.write("p.lac",
               "attention p { param w: i32\n mask q - k < w and (q // 3 ^ k) % 3 != 0 }\n");
  auto seed = std::random_device()();
  INFO("seed " << seed);
  const std::string rows = std::to_string(2 + seed % 90),
                    columns = std::to_string(2 + seed / 128 % 90), w = std::to_string(seed % 17);
  Ran ran =
      lacuna::test::lacuna({"show", folder / "p.lac", "--shape", "Nq=" + rows + ",Nk=" + columns,
                            "--param", "w=" + w, "--svg", folder / "p.svg"});
  REQUIRE(ran.code == 0);
  // FULL tiles have no rectangles of pairs; a mask that is false for every third key has none.
  CHECK(
      python(
          "import re\nfound = []\n"
          "for d in re.findall(r'fill-opacity=.*? d=\"(.*?)\"', open('" +
          folder / "p.svg" +
          "').read()):\n"
          "  for x, y, w, h in re.findall(r'M(\\d+) (\\d+)h(\\d+)v(\\d+)h-\\d+z', d):\n"
          "    found += [(int(y) + j, int(x) + i) for i in range(int(w)) for j in range(int(h))]\n"
          "off = " +
          columns + " - " + rows +
          "\n"
          "print(sorted(found) == [(i, k) for i in range(" +
          rows + ") for k in range(" + columns + ") if i + off - k < " + w +
          " and ((i + off) // 3 ^ k) % 3 != 0])") == "True\n");
}

TEST_CASE("show: one of packed or padded sequences by itself") {
  Folder folder;
  auto file = folder.write("p.lac",
                           "attention p { tensor doc: i32[batch, key]\n mask causal\n"
                           "mask doc[b, q] == doc[b, k] }\n");
  auto seed = std::random_device()();
  INFO("seed " << seed);
  const auto expect =
      nlohmann::json::parse(python("import numpy as n, json\n"
                                   "r = n.random.default_rng(" +
                                   std::to_string(seed) +
                                   ")\n"
                                   "m, t = int(r.integers(20, 90)), 100\n"
                                   "doc = r.integers(0, 4, (1, t)).astype(n.int32)\n"
                                   "n.save('" +
                                   folder / "doc.npy" +
                                   "', doc)\n"
                                   "n.save('" +
                                   folder / "cu.npy" +
                                   "', n.array([0, t - m, t, t]))\n"
                                   "n.save('" +
                                   folder / "lens.npy" +
                                   "', n.array([m]))\n"
                                   "q, k = n.arange(m)[:, None], n.arange(m)\n"
                                   "own = lambda d: int(((k <= q) & (d[q] == d[k])).sum())\n"
                                   "print(json.dumps([m, own(doc[0, t - m:]), own(doc[0, :m])]))"));
  const auto drawn = [&](std::vector<std::string> flags) {
    std::vector<std::string> all = {"show", file, "--tensor", "doc=" + folder / "doc.npy",
                                    "--json"};
    all.insert(all.end(), flags.begin(), flags.end());
    Ran ran = lacuna::test::lacuna(all);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    return nlohmann::json::parse(ran.out);
  };
  const std::vector<std::string> packed = {"--cu-seqlens-q", folder / "cu.npy", "--cu-seqlens-k",
                                           folder / "cu.npy", "--batch"};
  const auto second = drawn({packed[0], packed[1], packed[2], packed[3], packed[4], "1"});
  CHECK(second["queries"] == expect[0]);
  CHECK(second["keys"] == expect[0]);
  CHECK(second["live"] == expect[1]);
  const auto empty = drawn({packed[0], packed[1], packed[2], packed[3], packed[4], "2"});
  CHECK(empty["pairs"] == 0);
  const auto padded =
      drawn({"--q-lens", folder / "lens.npy", "--k-lens", folder / "lens.npy", "--shape", "N=100"});
  CHECK(padded["pairs"] == expect[0].get<int>() * expect[0].get<int>());
  CHECK(padded["live"] == expect[2]);
  Ran none = lacuna::test::lacuna({"show", file});
  CHECK(none.code == 2);
  CHECK(none.err.find("--shape needs Nq") != std::string::npos);
}

TEST_CASE("show: fewer cells make a smaller picture, and a wrong number of them is named") {
  Folder folder;
  folder.write("p.lac", patterns);
  std::size_t sizes[2];
  for (int i = 0; i < 2; ++i) {
    Ran ran =
        lacuna::test::lacuna({"show", folder / "p.lac", "--attention", "causal", "--shape", "N=300",
                              "--svg", folder / "p.svg", "--cells", i == 0 ? "300" : "20"});
    REQUIRE(ran.code == 0);
    sizes[i] = read(folder / "p.svg").size();
  }
  CHECK(sizes[1] < sizes[0]);
  for (const char* cells : {"0", "-3", "many", "4097"}) {
    Ran ran = lacuna::test::lacuna({"show", folder / "p.lac", "--attention", "causal", "--shape",
                                    "N=30", "--svg", folder / "p.svg", "--cells", cells});
    CHECK(ran.code == 2);
    CHECK(ran.err ==
          "lacuna: --cells '" + std::string(cells) + "' is not a number from 1 to 4096\n");
  }
}

TEST_CASE("show: no text of the SVG's legend begins before the one beside it ends") {
  Folder folder;
  folder.write("p.lac", "attention p { mask window(40) and causal }\n");
  for (const char* shape : {"N=256", "N=4096", "N=16384"}) {
    Ran ran = lacuna::test::lacuna(
        {"show", folder / "p.lac", "--shape", shape, "--svg", folder / "p.svg"});
    INFO(shape << "\n" << ran.err);
    REQUIRE(ran.code == 0);
    // 7 a letter at 12.5 points.
    CHECK(python("import xml.etree.ElementTree as e\nt = e.parse('" + folder / "p.svg" +
                 "').getroot()\nplaces = []\n"
                 "for x in t.iter('{http://www.w3.org/2000/svg}text'):\n"
                 "  s = ''.join(x.itertext())\n"
                 "  if ' tiles, ' in s: places.append((float(x.get('y')), float(x.get('x')), "
                 "len(s)))\n"
                 "print(len(places), all(a[0] < b[0] or a[1] + 7 * a[2] <= b[1] for a, b in "
                 "zip(places, places[1:])))") == "3 True\n");
  }
}

TEST_CASE("show: shapes without rows or keys are drawn as nothing") {
  Folder folder;
  folder.write("p.lac", patterns);
  for (const char* shape : {"Nq=0,Nk=5", "Nq=5,Nk=0", "N=0", "N=1"}) {
    INFO(shape);
    Ran ran = lacuna::test::lacuna({"show", folder / "p.lac", "--attention", "causal", "--shape",
                                    shape, "--svg", folder / "p.svg"});
    CHECK(ran.err == "");
    CHECK(ran.code == 0);
  }
}
