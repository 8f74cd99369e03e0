#include "compiler/lang/text.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/fuzz/random.h"

#include <cstdlib>

namespace {

using namespace lacuna;

/// 300 in a usual run; LACUNA_PROGRAMS asks for more.
int programs() {
  const char* given = std::getenv("LACUNA_PROGRAMS");
  return given ? std::atoi(given) : 300;
}

/// With the digest that programs are cached by.
Pattern published(ir::Pattern pattern) {
  pattern.digest = lang::digest(pattern);
  return fuzz::published(std::move(pattern));
}

Spec random_spec(fuzz::Draw& draw, fuzz::Random& random, ir::Pattern pattern) {
  Spec spec{.pattern = published(std::move(pattern))};
  spec.dtype = draw.of({DType::f32, DType::f16, DType::bf16});
  spec.head_dim = draw.of({8, 16, 64});
  spec.value_dim = draw.of({8, 24});
  spec.output = DType::f32;
  spec.statistic = true;
  spec.lengths = draw.of({Lengths::uniform, Lengths::uniform, Lengths::padded, Lengths::packed});
  spec.storage = fuzz::random_storage(random, spec.pattern.tree());
  return spec;
}

/// The message of a run, or what it threw.
std::string outcome(EngineState& engine, const Spec& spec, fuzz::OwnedCall& call,
                    plan::Route route) {
  try {
    return tests::run_and_compare(engine, spec, call, route);
  } catch (const Error& error) {
    return std::string(error.what()) + "\n" + error.log();
  }
}

std::string minimal(EngineState& engine, const Spec& spec, fuzz::OwnedCall& call,
                    plan::Route route) {
  const ir::Pattern small = fuzz::minimise(spec.pattern.tree(), [&](const ir::Pattern& candidate) {
    Spec smaller = spec;
    smaller.pattern = published(candidate);
    return outcome(engine, smaller, call, route) != "";
  });
  return published(small).text();
}

}  // namespace

TEST_CASE("random programs mean the same on a device as in the reference") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  int failures = 0;
  for (int i = 0; i < programs() && failures < 3; ++i) {
    const tests::TestEngine& engine = engines[i % engines.size()];
    const Spec spec = random_spec(draw, random, fuzz::random_pattern(random));
    const Shape shape{draw.between(1, 2), 2, draw.between(1, 2), draw.between(1, 80),
                      draw.between(1, 80)};
    fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
    const bool decode = draw.chance(0.4);
    const plan::Route route{decode, decode ? draw.between(1, 4) : 1};
    const std::string wrong = outcome(*engine.state, spec, call, route);
    if (wrong.empty()) continue;
    ++failures;
    std::string notes;
    for (const std::string& note : call.notes) notes += note + "\n";
    FAIL_CHECK(engine.name << ", program " << i << ", "
                           << (decode ? "decode with splits: " : "plain: ") << route.splits << ": "
                           << wrong << "\n"
                           << spec.pattern.text() << notes << "smallest that still fails:\n"
                           << minimal(*engine.state, spec, call, route));
  }
  CHECK(failures == 0);
}
