#include "tests/catch.h"
#include "tests/tool/command.h"
#include "tests/tool/tensors.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>

using namespace lacuna::test;
using lacuna::DType;
using lacuna::tool::Array;

namespace {

const char* const pattern =
    "attention docs {\n param reach: i32 = 20\n tensor doc: i32[batch, key]\n mask causal\n mask "
    "window(reach)\n"
    " mask document(doc)\n}\n";

struct Bench {
  Folder folder;
  std::map<std::string, std::string> variables = {{"LACUNA_CACHE_DIR", folder / "cache"},
                                                  {"LACUNA_DEVICE", device()}};

  Bench() {
    folder.write("p.lac", pattern);
    random_file(folder, "q.npy", {1, 4, 33, 16}, std::random_device()());
    random_file(folder, "k.npy", {1, 2, 50, 16}, std::random_device()());
    random_file(folder, "v.npy", {1, 2, 50, 8}, std::random_device()());
    std::vector<std::int64_t> ids(50);
    for (int i = 0; i < 50; ++i) ids[i] = i / 19;
    integer_file(folder, "doc.npy", DType::i64, {1, 50}, ids);
  }
  Ran run(std::vector<std::string> more) const {
    std::vector<std::string> words = {"run",      folder / "p.lac",
                                      "--q",      folder / "q.npy",
                                      "--k",      folder / "k.npy",
                                      "--v",      folder / "v.npy",
                                      "--tensor", "doc=" + folder / "doc.npy",
                                      "--out",    folder / "out"};
    words.insert(words.end(), more.begin(), more.end());
    return lacuna::test::lacuna(words, variables);
  }
};

/// The same attention by numpy, in float64.
std::string numpy_distance(const Bench& bench, double bound) {
  return python("import numpy as np\nf = '" + bench.folder.path().string() +
                "/'\n"
                "q, k, v = (np.load(f + n + '.npy').astype('f8') for n in 'qkv')\n"
                "d = np.load(f + 'doc.npy')[0]\n"
                "k, v = np.repeat(k, 2, 1), np.repeat(v, 2, 1)\n"
                "z = q @ k.swapaxes(2, 3) / 4\n"
                "i, j = np.arange(33)[:, None] + 17, np.arange(50)[None]\n"
                "z = np.where((j <= i) & (i - j < 20) & (d[i] == d[j]), z, -np.inf)\n"
                "m = z.max(-1, keepdims=True)\np = np.exp(z - m)\ns = p.sum(-1, keepdims=True)\n"
                "o, lse = np.load(f + 'out/o.npy'), np.load(f + 'out/lse.npy')\n"
                "assert o.dtype == 'f4' and lse.dtype == 'f4' and o.shape == (1, 4, 33, 8) and "
                "lse.shape == (1, 4, 33)\n"
                "e = max(abs(o - (p / s) @ v).max(), abs(lse - (m + np.log(s))[..., 0]).max())\n"
                "print('near' if e < " +
                std::to_string(bound) + " else e)");
}

}  // namespace

TEST_CASE("run: what numpy computes, written as float32") {
  Bench bench;
  Ran ran = bench.run({"--lse", "--check"});
  INFO(ran.err << ran.out);
  REQUIRE(ran.code == 0);
  CHECK(numpy_distance(bench, 1e-4) == "near\n");
  for (const char* said : {"device   ", "compiler ", "kernel   ", "stages   ", "read ", "launch ",
                           "check ", "write ", " ms in all", "max error"}) {
    CHECK(ran.out.find(said) != std::string::npos);
  }
}

TEST_CASE("run: --dtype rounds the inputs, and --json says where everything is") {
  Bench bench;
  Ran ran = bench.run({"--statistic", "--dtype", "bf16", "--json"});
  INFO(ran.err << ran.out);
  REQUIRE(ran.code == 0);
  auto json = nlohmann::json::parse(ran.out);
  CHECK(json["ok"] == true);
  CHECK(json["dtype"] == "bf16");
  CHECK(json["shape"]["G"] == 2);
  CHECK(json["outputs"]["o"] == bench.folder / "out/o.npy");
  CHECK(json["stages_ms"]["launch"].get<double>() > 0);
  CHECK(json["stages_ms"]["total"].get<double>() >= json["stages_ms"]["launch"].get<double>());
  CHECK(numpy_distance(bench, 0.1) == "near\n");
}

TEST_CASE("run: a second run reads its kernel from the disk cache") {
  Bench bench;
  auto first = nlohmann::json::parse(bench.run({"--json"}).out);
  auto second = nlohmann::json::parse(bench.run({"--json"}).out);
  CHECK(first["kernel_from"] == "compiler");
  CHECK(second["kernel_from"] == "disk cache");
  auto list =
      nlohmann::json::parse(lacuna::test::lacuna({"cache", "list", "--json"}, bench.variables).out);
  CHECK(list["entries"].size() == 2);  // what makes lists of tiles, and what reads them
  CHECK(lacuna::test::lacuna({"cache", "verify"}, bench.variables).code == 0);
  std::string file = bench.folder / "cache/" + list["entries"][0]["file"].get<std::string>();
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(200).put('!');
  CHECK(lacuna::test::lacuna({"cache", "verify"}, bench.variables).code == 1);
  CHECK(lacuna::test::lacuna({"cache", "clear"}, bench.variables).code == 0);
  CHECK(nlohmann::json::parse(bench.run({"--json"}).out)["kernel_from"] == "compiler");
}

TEST_CASE("run: a dump holds every stage, and replay brings the same bits") {
  Bench bench;
  std::string dump = bench.folder / "stages";
  Ran ran = bench.run(
      {"--statistic", "--dtype", "f16", "--param", "reach=7", "--offset", "17", "--dump", dump});
  INFO(ran.err << ran.out);
  REQUIRE(ran.code == 0);
  CHECK(ran.out.find(dump + "/source.cu") != std::string::npos);
  for (const char* name :
       {"pattern.lac", "plan.txt", "source.cu", "templates/flash_forward.cuh", "options.txt",
        "call.json", "inputs/q.npy", "inputs/tensor_doc.npy", "outputs/o.npy", "outputs/lse.npy"}) {
    INFO(name);
    CHECK(!read(dump + "/" + name).empty());
  }
  CHECK((std::filesystem::exists(dump + "/kernel.ptx") ||
         std::filesystem::exists(dump + "/kernel.cubin")));
  CHECK(read(dump + "/pattern.lac") == pattern);
  Ran again = lacuna::test::lacuna({"replay", dump, "--json"}, bench.variables);
  INFO(again.err << again.out);
  REQUIRE(again.code == 0);
  auto json = nlohmann::json::parse(again.out);
  CHECK(json["edited"] == false);
  CHECK(json["outputs"]["o"]["differing"] == 0);
  CHECK(json["outputs"]["lse"]["differing"] == 0);
}

TEST_CASE("replay: a dump brings its own schedule back, and its one kernel") {
  Bench bench;
  // 4 heads over 2 and few queries: without a dump this call is decode's.
  random_file(bench.folder, "q.npy", {1, 4, 3, 16}, std::random_device()());
  random_file(bench.folder, "k.npy", {1, 2, 2000, 16}, std::random_device()());
  random_file(bench.folder, "v.npy", {1, 2, 2000, 8}, std::random_device()());
  integer_file(bench.folder, "doc.npy", DType::i64, {1, 2000}, std::vector<std::int64_t>(2000));
  const std::string dump = bench.folder / "stages";
  const Ran decode = bench.run({"--dtype", "f16", "--json"});
  REQUIRE(decode.code == 0);
  const nlohmann::json split = nlohmann::json::parse(decode.out);
  CHECK(split["splits"].get<int>() > 1);
  CHECK(split["kernels"] ==
        nlohmann::json{fmt::format("flash_forward over {} splits", split["splits"].get<int>()),
                       "combine"});
  for (const char* schedule : {"32x32w2s2", "64x16w4s3"}) {
    std::filesystem::remove_all(dump);
    bench.variables["LACUNA_SCHEDULE"] = "16x32w1s2";  // what the flag overrides
    const Ran ran = bench.run({"--dtype", "f16", "--schedule", schedule, "--dump", dump, "--json"});
    INFO(ran.err << ran.out);
    REQUIRE(ran.code == 0);
    CHECK(nlohmann::json::parse(ran.out)["splits"] == 1);
    CHECK(nlohmann::json::parse(ran.out)["kernels"].back() == "flash_forward");
    CHECK(nlohmann::json::parse(read(dump + "/call.json"))["schedule"] == schedule);
    // A comment makes it an edited source, which has to be the kernel that ran.
    std::ofstream(dump + "/source.cu", std::ios::app) << "// as it was\n";
    const Ran again = lacuna::test::lacuna({"replay", dump, "--json"}, bench.variables);
    INFO(again.err << again.out);
    REQUIRE(again.code == 0);
    CHECK(nlohmann::json::parse(again.out)["edited"] == true);
    CHECK(nlohmann::json::parse(again.out)["outputs"]["o"]["differing"] == 0);
  }
}

TEST_CASE("replay: an edited source is what runs") {
  Bench bench;
  std::string dump = bench.folder / "stages";
  REQUIRE(bench.run({"--dump", dump}).code == 0);
  std::string source = read(dump + "/source.cu");
  auto at = source.find("(k <= q)");
  REQUIRE(at != source.npos);
  std::ofstream(dump + "/source.cu") << source.replace(at, 8, "(k <= q - 1)");
  Ran ran = lacuna::test::lacuna({"replay", dump, "--json"}, bench.variables);
  INFO(ran.err << ran.out);
  CHECK(ran.code == 1);
  auto json = nlohmann::json::parse(ran.out);
  CHECK(json["edited"] == true);
  CHECK(json["outputs"]["o"]["differing"].get<int>() > 0);
  std::ofstream(dump + "/source.cu") << source << "\nthis is no C++\n";
  Ran broken = lacuna::test::lacuna({"replay", dump}, bench.variables);
  CHECK(broken.code == 1);
  CHECK(broken.err.find("this is no C++") != std::string::npos);
}

TEST_CASE("run: --check counts what is not finite in the reference") {
  Bench bench;
  Array q = lacuna::tool::read_npy(bench.folder / "q.npy", "q");
  q.set_real((2 * 33 + 5) * 16 + 3, NAN);
  bench.folder.write("q.npy", lacuna::tool::format_npy(q));
  Ran ran = bench.run({"--check"});
  INFO(ran.err << ran.out);
  CHECK(ran.code == 0);
  CHECK(ran.out.find("8 of 1056 elements are not finite in the reference: nothing is proved") !=
        std::string::npos);
  auto json = nlohmann::json::parse(bench.run({"--check", "--json"}).out);
  CHECK(json["check"]["o"]["not_finite"] == 8);
  CHECK(json["check"]["lse"]["not_finite"] == 1);
}

TEST_CASE("run: a cache that cannot be written is named in one line, and the result is there") {
  Bench bench;
  bench.variables["LACUNA_CACHE_DIR"] = bench.folder.write("taken", "x") + "/cache";
  Ran ran = bench.run({});
  INFO(ran.err << ran.out);
  CHECK(ran.code == 0);
  CHECK(ran.err.find("lacuna: cache: cannot write to " + bench.folder.path().string()) == 0);
  CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
}

TEST_CASE("replay: call.json that --dump did not write is told what it lacks") {
  Bench bench;
  std::string dump = bench.folder / "stages";
  REQUIRE(bench.run({"--dump", dump}).code == 0);
  auto record = nlohmann::json::parse(read(dump + "/call.json"));
  auto said = [&](const std::string& text) {
    std::ofstream(dump + "/call.json") << text;
    Ran ran = lacuna::test::lacuna({"replay", dump}, bench.variables);
    CHECK(ran.code == 2);
    CHECK(ran.err.find("json.exception") == std::string::npos);
    return ran.err;
  };
  CHECK(said("{\"origin\": ").find("it is not JSON from byte ") != std::string::npos);
  CHECK(said("[]").find("'origin' is missing or of another type") != std::string::npos);
  auto less = record;
  less.erase("statistic");
  CHECK(said(less.dump()).find("'statistic' is missing or of another type") != std::string::npos);
  auto other = record;
  other["arrays"]["zz"] = "f32";
  CHECK(said(other.dump()).find("zz") != std::string::npos);
}

TEST_CASE("replay: an edit of anything but source.cu is refused, by name") {
  Bench bench;
  std::string dump = bench.folder / "stages";
  REQUIRE(bench.run({"--dump", dump}).code == 0);
  std::string kernel =
      std::filesystem::exists(dump + "/kernel.ptx") ? "kernel.ptx" : "kernel.cubin";
  for (std::string name :
       {kernel, std::string("templates/flash_forward.cuh"), std::string("pattern.lac")}) {
    std::string before = read(dump + "/" + name);
    std::ofstream(dump + "/" + name, std::ios::binary) << before << "// more\n";
    Ran ran = lacuna::test::lacuna({"replay", dump}, bench.variables);
    INFO(name << "\n" << ran.err << ran.out);
    CHECK(ran.code == 2);
    CHECK(ran.err.find(name + "' was edited; ") != std::string::npos);
    CHECK(ran.err.find(name == "pattern.lac" ? "use lacuna run" : "source.cu: edit that") !=
          std::string::npos);
    std::ofstream(dump + "/" + name, std::ios::binary) << before;
  }
  CHECK(lacuna::test::lacuna({"replay", dump}, bench.variables).code == 0);
}

TEST_CASE("run: what fails leaves no file, and what was there stays") {
  Bench bench;
  auto out = std::filesystem::path(bench.folder / "out");
  SECTION("an index outside of a tensor, found while running") {
    bench.folder.write("p.lac",
                       "attention a {\n tensor doc: i32[batch, _]\n mask doc[b, q + 3] >= 0\n}\n");
    Ran ran = bench.run({});
    INFO(ran.err << ran.out);
    CHECK(ran.code != 0);
    CHECK(ran.err.rfind("lacuna: ", 0) == 0);
    CHECK(!std::filesystem::exists(out));
  }
  SECTION("an earlier result") {
    REQUIRE(bench.run({}).code == 0);
    std::string before = read(out / "o.npy");
    CHECK(bench.run({"--param", "reach=x"}).code == 2);
    CHECK(read(out / "o.npy") == before);
  }
  SECTION("a directory that cannot be made") {
    std::ofstream(bench.folder / "file") << "x";
    std::vector<std::string> words = {"run",      bench.folder / "p.lac",
                                      "--q",      bench.folder / "q.npy",
                                      "--k",      bench.folder / "k.npy",
                                      "--v",      bench.folder / "v.npy",
                                      "--tensor", "doc=" + bench.folder / "doc.npy",
                                      "--out",    bench.folder / "file/out"};
    Ran ran = lacuna::test::lacuna(words, bench.variables);
    INFO(ran.err);
    CHECK(ran.code != 0);
    CHECK(ran.err.find("file/out") != std::string::npos);
  }
}

TEST_CASE("run: lengths, packed and padded, are those of the sequences") {
  Bench bench;
  bench.folder.write("p.lac", "attention a {\n mask causal\n}\n");
  SECTION("padded") {
    random_file(bench.folder, "q.npy", {2, 2, 9, 8}, 1);
    random_file(bench.folder, "k.npy", {2, 2, 12, 8}, 2);
    random_file(bench.folder, "v.npy", {2, 2, 12, 8}, 3);
    auto q_lens = integer_file(bench.folder, "ql.npy", DType::i64, {2}, {9, 4});
    auto k_lens = integer_file(bench.folder, "kl.npy", DType::i32, {2}, {7, 12});
    std::vector<std::string> words = {"run",      bench.folder / "p.lac",
                                      "--q",      bench.folder / "q.npy",
                                      "--k",      bench.folder / "k.npy",
                                      "--v",      bench.folder / "v.npy",
                                      "--out",    bench.folder / "out",
                                      "--q-lens", q_lens,
                                      "--k-lens", k_lens,
                                      "--lse",    "--check"};
    Ran ran = lacuna::test::lacuna(words, bench.variables);
    INFO(ran.err << ran.out);
    REQUIRE(ran.code == 0);
    Array lse = lacuna::tool::read_npy(bench.folder / "out/lse.npy", "lse");
    for (int row = 4; row < 9; ++row) CHECK(lse.real((1 * 2 + 0) * 9 + row) == -INFINITY);
    CHECK(std::isfinite(lse.real((1 * 2 + 0) * 9 + 3)));
  }
  SECTION("packed") {
    random_file(bench.folder, "q.npy", {1, 2, 15, 8}, 1);
    random_file(bench.folder, "k.npy", {1, 1, 20, 8}, 2);
    random_file(bench.folder, "v.npy", {1, 1, 20, 8}, 3);
    auto q = integer_file(bench.folder, "cq.npy", DType::i32, {4}, {0, 5, 5, 15});
    auto k = integer_file(bench.folder, "ck.npy", DType::i32, {4}, {0, 7, 9, 20});
    std::vector<std::string> words = {"run",
                                      bench.folder / "p.lac",
                                      "--q",
                                      bench.folder / "q.npy",
                                      "--k",
                                      bench.folder / "k.npy",
                                      "--v",
                                      bench.folder / "v.npy",
                                      "--out",
                                      bench.folder / "out",
                                      "--cu-seqlens-q",
                                      q,
                                      "--cu-seqlens-k",
                                      k,
                                      "--check"};
    Ran ran = lacuna::test::lacuna(words, bench.variables);
    INFO(ran.err << ran.out);
    CHECK(ran.code == 0);
  }
}
