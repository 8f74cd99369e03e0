#include "tests/catch.h"
#include "tests/tool/command.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <random>
#include <set>
#include <sstream>

using namespace lacuna::test;

namespace {

/// An attention around each named pattern.
const std::pair<const char*, const char*> attentions[] = {
    {"causal", "mask causal"},
    {"window", "param w: i32 = 24\n mask causal\n mask window(w)"},
    {"band", "mask band(9, 17)"},
    {"prefix", "mask causal or prefix(20)"},
    {"sinks", "mask window(16) or sinks(3)\n mask causal"},
    {"document", "tensor id: i32[batch, key]\n mask document(id)"},
    {"chunked", "mask chunked(13)"},
    {"dilated", "mask dilated(5, 3)"},
    {"global", "tensor t: bool[batch, key]\n mask global(t)\n mask causal"},
    {"keep",
     "tensor mq: bool[batch, head, query]\n tensor mk: bool[batch, head, key]\n mask keep(mq, mk)"},
    {"bucket",
     "tensor hq: i32[batch, head, query]\n tensor hk: i32[batch, head, key]\n mask bucket(hq, hk)"},
    {"strided", "mask strided(5)\n mask causal"},
    {"block_causal", "mask block_causal(16)"},
    {"spans", "tensor id: i32[batch, key]\n mask causal or spans(id)"},
    {"ordered", "tensor rank: i32[batch, key]\n mask ordered(rank)"},
    {"until", "tensor end: i32[batch, head, key]\n mask causal\n mask until(end)"},
    {"stripes",
     "tensor column: bool[batch, head, key]\n tensor diagonal: bool[batch, head, 71]\n mask causal "
     "and stripes(column, diagonal)"},
    {"blocks", "tensor t: bool[batch, head, 9, 9]\n mask blocks(t, 8)"},
    {"neighbours", "mask neighbours(q % 9, k % 9, 9, 3)"},
};

std::set<std::string> named_patterns() {
  std::set<std::string> names;
  std::istringstream in(read(LACUNA_PATTERNS));
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("def ", 0) == 0) names.insert(line.substr(4, line.find_first_of("( ", 4) - 4));
  }
  return names;
}

std::uint64_t fresh_seed() {
  const char* fixed = std::getenv("LACUNA_SEED");
  return fixed ? std::strtoull(fixed, nullptr, 10) : std::random_device()();
}

}  // namespace

TEST_CASE("check: every named pattern agrees with the reference") {
  Folder folder;
  auto seed = fresh_seed();
  std::set<std::string> names = named_patterns();
  REQUIRE(names.size() >= 11);
  const char* const dtypes[] = {"f32", "bf16", "f16"};
  int turn = static_cast<int>(seed % 3);
  for (auto [name, body] : attentions) {
    names.erase(name);
    auto file =
        folder.write(std::string(name) + ".lac", fmt::format("attention a {{\n {}\n}}\n", body));
    Ran ran = lacuna::test::lacuna(
        {"check", file, "--shape", "B=2,H=4,G=2,Nq=37,Nk=71,D=16,Dv=24", "--dtype",
         dtypes[turn++ % 3], "--seed", std::to_string(seed), "--device", device(), "--json"},
        {{"LACUNA_CACHE_DIR", folder / "cache"}});
    INFO(name << " seed " << seed << "\n" << ran.err << ran.out);
    REQUIRE(ran.code == 0);
    auto json = nlohmann::json::parse(ran.out);
    CHECK(json["seed"] == seed);
    CHECK(json["check"]["within"] == true);
    CHECK(json["check"]["o"]["elements"] == 2 * 4 * 37 * 24);
    CHECK(json["check"]["lse"]["elements"] == 2 * 4 * 37);
    CHECK(json["check"]["o"]["share_of_bound"].get<double>() <= 1);
  }
  INFO("named patterns without an attention here");
  CHECK(names == std::set<std::string>{});
}

TEST_CASE("check: scores, sinks and empty shapes") {
  Folder folder;
  auto seed = fresh_seed();
  auto scored = folder.write(
      "scored.lac",
      "attention a {\n tensor slope: f32[head]\n tensor bias: f32[head, _]\n param c: f32 = 30\n"
      " mask causal\n score softcap(score, c) - slope[h] * (q - k)\n"
      " score score + bias[h, min(q - k, 15)]\n weights softmax(sink = 0.25)\n}\n");
  for (const char* shape :
       {"H=3,N=45,D=8", "Nq=0,Nk=3", "Nq=3,Nk=0", "Nq=9,Nk=2", "N=1,D=256,Dv=8"}) {
    Ran ran = lacuna::test::lacuna(
        {"check", scored, "--shape", shape, "--seed", std::to_string(seed), "--device", device()},
        {{"LACUNA_CACHE_DIR", folder / "cache"}});
    INFO(shape << " seed " << seed << "\n" << ran.err << ran.out);
    CHECK(ran.code == 0);
  }
}

TEST_CASE("check: padded and packed sequences") {
  Folder folder;
  auto seed = fresh_seed();
  auto file = folder.write(
      "p.lac",
      "attention a {\n tensor doc: i32[batch, key]\n tensor rel: f32[head, _]\n mask causal\n"
      " mask document(doc)\n score score + rel[h, q - k]\n}\n");
  for (const char* lengths : {"uniform", "padded", "packed"}) {
    Ran ran = lacuna::test::lacuna(
        {"check", file, "--shape", "B=5,H=2,G=1,Nq=60,Nk=60,D=16", "--lengths", lengths, "--axis",
         "rel=60", "--seed", std::to_string(seed), "--device", device()},
        {{"LACUNA_CACHE_DIR", folder / "cache"}});
    INFO(lengths << " seed " << seed << "\n" << ran.err << ran.out);
    CHECK(ran.code == 0);
  }
}

TEST_CASE("check: --check-memory is silent on what is in order, and says that it looked") {
  Folder folder;
  auto seed = fresh_seed();
  auto file = folder.write("p.lac", "attention a {\n mask causal\n}\n");
  for (const char* dtype : {"f32", "bf16"}) {
    Ran ran = lacuna::test::lacuna(
        {"check", file, "--device", "host", "--shape", "H=2,G=1,Nq=40,Nk=70,D=16", "--dtype", dtype,
         "--seed", std::to_string(seed), "--check-memory"},
        {{"LACUNA_CACHE_DIR", folder / "cache"}});
    INFO(dtype << " seed " << seed << "\n" << ran.err << ran.out);
    CHECK(ran.code == 0);
    CHECK(ran.out.find("checking memory") != std::string::npos);
  }
}

TEST_CASE("check: an index outside its tensor is named, and so is the place") {
  Folder folder;
  auto file = folder.write("p.lac", "attention a {\n tensor t: bool[_]\n mask t[q + 3]\n}\n");
  Ran ran = lacuna::test::lacuna(
      {"check", file, "--shape", "N=5", "--axis", "t=6", "--device", device()});
  INFO(ran.err);
  CHECK(ran.code == 2);
  CHECK(ran.err.find("'t'") != std::string::npos);
  CHECK(ran.out == "");
}
