#include "tests/catch.h"
#include "tests/tool/command.h"

#include <nlohmann/json.hpp>

using namespace lacuna::test;

namespace {

const char* const pattern =
    "attention local {\n param reach: i32 = 64\n const first = 4\n mask causal\n mask "
    "window(reach) or k < first\n"
    " score softcap(score, 20.0)\n}\n";

bool usable(const char* compiler) {
  return nlohmann::json::parse(
      lacuna::test::lacuna({"doctor", "--json"}).out)["compilers"][compiler]["usable"];
}

}  // namespace

TEST_CASE("compile: each stage is printed, and says where it came from") {
  Folder folder;
  auto file = folder.write("p.lac", pattern);
  const std::pair<const char*, const char*> stages[] = {{"pattern", "attention local {"},
                                                        {"plan", "flash_forward"},
                                                        {"source", "#line 5 \""},
                                                        {"ptx", ".visible .entry"},
                                                        {"ir", "target triple = \"nvptx64"}};
  for (auto [emit, has] : stages) {
    Ran ran = lacuna::test::lacuna({"compile", file, "--emit", emit, "--arch", "sm_80"});
    INFO(emit << "\n" << ran.err);
    CHECK(ran.code == 0);
    CHECK(ran.out.find(has) != std::string::npos);
    std::string out = folder / "out";
    REQUIRE(lacuna::test::lacuna({"compile", file, "--emit", emit, "--arch", "sm_80", "--out", out})
                .code == 0);
    CHECK(read(out) == ran.out);
  }
}

TEST_CASE("compile: the printed pattern parses to itself") {
  Folder folder;
  auto file = folder.write("p.lac", pattern);
  auto again =
      folder.write("again.lac", lacuna::test::lacuna({"compile", file, "--emit", "pattern"}).out);
  auto digest = [](const std::string& of) {
    return nlohmann::json::parse(lacuna::test::lacuna({"explain", of, "--json"}).out)["digest"]
        .get<std::string>();
  };
  CHECK(digest(file) == digest(again));
  CHECK(lacuna::test::lacuna({"compile", again, "--emit", "pattern"}).out == read(again));
}

TEST_CASE("compile: a const is folded, and another value gives another source") {
  Folder folder;
  auto file = folder.write("p.lac", pattern);
  Ran four = lacuna::test::lacuna({"compile", file});
  Ran nine = lacuna::test::lacuna({"compile", file, "--const", "first=9"});
  CHECK(four.out.find("k < 4") != std::string::npos);
  CHECK(nine.out.find("k < 9") != std::string::npos);
  CHECK(nine.out.find("k < 4") == std::string::npos);
}

TEST_CASE(
    "compile: cubin where NVRTC is found, else a sentence that says where it was looked for") {
  Folder folder;
  auto file = folder.write("p.lac", pattern);
  std::string out = folder / "p.cubin";
  Ran ran = lacuna::test::lacuna(
      {"compile", file, "--emit", "cubin", "--arch", "sm_90", "--out", out, "--json"});
  INFO(ran.err);
  if (!usable("nvrtc")) {
    CHECK(ran.code == 1);
    CHECK(ran.err.find("libnvrtc") != std::string::npos);
    CHECK(folder.files() == std::vector<std::string>{"p.lac"});
    return;
  }
  REQUIRE(ran.code == 0);
  CHECK(read(out).substr(1, 3) == "ELF");
  auto json = nlohmann::json::parse(ran.out);
  CHECK(json["registers"].get<int>() > 0);
  CHECK(json["bytes"] == read(out).size());
}

TEST_CASE("explain: strategies, tiles and instructions") {
  Folder folder;
  auto file = folder.write("p.lac", pattern);
  Ran ran = lacuna::test::lacuna({"explain", file, "--shape", "H=2,N=512", "--mix", "--json"});
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  auto json = nlohmann::json::parse(ran.out);
  REQUIRE(json["conjuncts"].size() == 2);
  CHECK(json["conjuncts"][0]["strategy"] == "band");
  CHECK(json["conjuncts"][0]["line"] == 4);
  CHECK(json["conjuncts"][1]["strategy"] == "tiles");
  CHECK(json["passes"][0]["tile_q"].get<int>() > 0);
  int fma = 0;
  for (auto& loop : json["loops"]) {
    for (auto& [name, count] : loop["counts"].items())
      fma += name.find("fma") != name.npos ? count.get<int>() : 0;
  }
  CHECK(fma > 0);
}
