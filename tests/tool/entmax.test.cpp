#include "tests/catch.h"
#include "tests/tool/command.h"
#include "tests/tool/tensors.h"
#include "tools/lacuna/npy.h"

#include <nlohmann/json.hpp>

#include <algorithm>

using namespace lacuna::test;
using lacuna::tool::Array;

TEST_CASE("entmax: weights of an array's rows, from file to file") {
  Folder folder;
  const std::map<std::string, std::string> variables = {{"LACUNA_CACHE_DIR", folder / "cache"},
                                                        {"LACUNA_DEVICE", device()}};
  random_file(folder, "x.npy", {2, 3, 40}, std::random_device()());
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"entmax", "--x", folder / "x.npy", "--out", folder / "p.npy"};
    words.insert(words.end(), more.begin(), more.end());
    return lacuna::test::lacuna(words, variables);
  };
  const Ran ran = run({"--alpha", "2", "--json"});
  CHECK(ran.err == "");
  REQUIRE(ran.code == 0);
  const auto json = nlohmann::json::parse(ran.out);
  CHECK(json["rows"] == 6);
  CHECK(json["n"] == 40);
  const Array x = lacuna::tool::read_npy(folder / "x.npy", "--x"),
              p = lacuna::tool::read_npy(folder / "p.npy", "--p");
  REQUIRE(p.shape == x.shape);
  std::int64_t live = 0;
  for (int row = 0; row < 6; ++row) {
    // Sparsemax by its definition: tau from the k greatest, as many as lie above it.
    std::vector<double> sorted;
    for (int k = 0; k < 40; ++k) sorted.push_back(x.real(row * 40 + k));
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = 0, tau = 0;
    for (int k = 0; k < 40; ++k) {
      sum += sorted[static_cast<std::size_t>(k)];
      if (1 + (k + 1) * sorted[static_cast<std::size_t>(k)] > sum) tau = (sum - 1) / (k + 1);
    }
    for (int k = 0; k < 40; ++k) {
      const double expected = std::max(x.real(row * 40 + k) - tau, 0.0);
      CHECK(std::abs(p.real(row * 40 + k) - expected) < 1e-5);
      live += p.real(row * 40 + k) != 0;
    }
  }
  CHECK(json["not_zero"] == live);
  CHECK(run({}).out.find("entmax(1.5) of 6 rows of 40, f32:") == 0);
  CHECK(run({"--dtype", "bf16"}).out.find("rows of 40, bf16:") != std::string::npos);
}

TEST_CASE("entmax: what is wrong is said, and nothing written") {
  Folder folder;
  random_file(folder, "x.npy", {2, 5}, 1);
  integer_file(folder, "i.npy", lacuna::DType::i32, {3}, {1, 2, 3});
  const auto refused = [&](const std::string& x, const std::string& alpha) {
    const Ran ran = lacuna::test::lacuna(
        {"entmax", "--x", folder / x, "--alpha", alpha, "--out", folder / "p.npy"},
        {{"LACUNA_DEVICE", device()}});
    CHECK(ran.code == 2);
    CHECK(folder.files() == std::vector<std::string>{"i.npy", "x.npy"});
    return ran.err;
  };
  CHECK(refused("x.npy", "3") == "lacuna: alpha is 3, expected 1 or from 1.01 to 2\n");
  CHECK(refused("x.npy", "nan").find("alpha") != std::string::npos);
  CHECK(refused("i.npy", "1.5").find("i.npy: dtype is i32, expected float32 or float16") !=
        std::string::npos);
  CHECK(refused("no.npy", "1.5").find("no.npy") != std::string::npos);
}
