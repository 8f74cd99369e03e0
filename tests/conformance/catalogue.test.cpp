#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

// Every file of examples/patterns, against the reference. `[.]` hides the whole product from a
// usual run: `ctest -L deep`.

namespace {

using namespace lacuna;

struct Choice {
  DType dtype;
  int head_dim;
  Lengths lengths;
  std::int64_t queries;  ///< of 131 keys
};

std::vector<std::string> files() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("examples/patterns"))
    if (entry.path().extension() == ".lac") found.push_back(entry.path().string());
  std::ranges::sort(found);
  return found;
}

void run(const tests::TestEngine& engine, const std::string& file, const Choice& choice,
         fuzz::Random& random) {
  const Spec spec{.pattern = Pattern::load(file),
                  .dtype = choice.dtype,
                  .head_dim = choice.head_dim,
                  .value_dim = 24,
                  .statistic = true,
                  .lengths = choice.lengths};
  const Shape shape{.batch = 2, .heads = 4, .kv_heads = 2, .queries = choice.queries, .keys = 131};
  fuzz::OwnedCall call = fuzz::random_call(random, spec, shape, fuzz::Reliance::positions);
  INFO(fmt::format("{} {} {} D={} lengths={} Nq={} {}", engine.name, file, name_of(spec.dtype),
                   spec.head_dim, static_cast<int>(spec.lengths), shape.queries,
                   fmt::join(call.notes, " ")));
  std::string wrong;
  try {
    wrong = tests::run_and_compare(*engine.state, spec, call);
  } catch (const Error& error) {
    wrong = std::string(error.what()) + "\n" + error.log();
  }
  CHECK(wrong == "");
}

}  // namespace

TEST_CASE("every pattern of the catalogue agrees with the reference") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  const std::vector<std::string> catalogue = files();
  REQUIRE(catalogue.size() > 60);
  for (const std::string& file : catalogue)
    run(tests::engines().front(), file,
        {draw.of({DType::f32, DType::bf16}), draw.of({16, 32}), Lengths::uniform, 67}, random);
}

TEST_CASE("the catalogue in every type, under all lengths, and while decoding", "[.]") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (const tests::TestEngine& engine : tests::engines())
    for (const std::string& file : files())
      for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
        for (const int head_dim : {16, 72})
          for (const auto& [lengths, queries] :
               {std::pair(Lengths::uniform, 1), std::pair(Lengths::uniform, 67),
                std::pair(Lengths::padded, 131), std::pair(Lengths::packed, 131)})
            run(engine, file, {dtype, head_dim, lengths, queries}, random);
}
