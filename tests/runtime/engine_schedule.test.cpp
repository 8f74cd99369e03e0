// Schedules: asked for by name, and passed over where the compiler's log shows spills.
#include "tests/catch.h"
#include "tests/runtime/engine_fakes.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace {

using namespace lacuna;

Spec spec() {
  return {.pattern = Pattern::parse("attention a { mask causal }"), .dtype = DType::bf16};
}

/// What generated code says of its tiles.
std::string tiles(const plan::Schedule& s) {
  return fmt::format("tile_q = {}, tile_k = {}, warps = {}, stages = {};", s.tile_q, s.tile_k,
                     s.warps, s.stages);
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

runtime::Compiled compiled(test::FakeEngine& fake) {
  EngineState& state = fake.engine.state();
  return runtime::compiled_for(state, *runtime::planned_for(state, spec()), 0, plan::Variant{});
}

}  // namespace

TEST_CASE("a schedule that spills is passed over for the next best") {
  test::FakeEngine fake;
  const plan::Pass pass = runtime::planned_for(fake.engine.state(), spec())->plan.passes.front();
  REQUIRE(pass.others.size() > 3);
  fake.compiler->spills = [&](const std::string& text) {
    return has(text, tiles(pass.schedule)) ? 64 : has(text, tiles(pass.others[0])) ? 8 : 0;
  };
  const runtime::Compiled found = compiled(fake);
  CHECK(found.pass.schedule == pass.others[1]);
  CHECK(has(found.artifact.source, tiles(pass.others[1])));
  CHECK(found.pass.shared_bytes == plan::needs(pass.machine, spec(), pass.others[1]).shared_bytes);
  CHECK(fake.compiler->compiles == 3);
}

TEST_CASE("where all that are tried spill, the one that spills least is taken") {
  test::FakeEngine fake;
  const plan::Pass pass = runtime::planned_for(fake.engine.state(), spec())->plan.passes.front();
  fake.compiler->spills = [&](const std::string& text) {
    return has(text, tiles(pass.others[0])) ? 4 : 100;
  };
  CHECK(compiled(fake).pass.schedule == pass.others[0]);
}

TEST_CASE("a call is launched with the grid of the schedule that was compiled") {
  test::FakeEngine fake;
  const plan::Pass pass = runtime::planned_for(fake.engine.state(), spec())->plan.passes.front();
  plan::Schedule other = pass.schedule;
  fake.compiler->spills = [&](const std::string& text) {
    for (const plan::Schedule& s : pass.others)
      if (s.tile_q != pass.schedule.tile_q && has(text, tiles(s))) {
        other = s;
        return 0;
      }
    return 16;
  };
  const int n = 4096;
  std::vector<std::uint16_t> memory(static_cast<std::size_t>(n) * 64);
  const TensorView view = TensorView::contiguous(memory.data(), DType::bf16, {1, 1, n, 64});
  fake.engine.program(spec()).forward({.q = view, .k = view, .v = view, .o = view});
  const test::Launched& launched = fake.device->launches.at(0);
  CHECK(has(launched.source, tiles(other)));
  CHECK(launched.blocks == static_cast<std::uint64_t>(n / other.tile_q));
}

TEST_CASE("a schedule by name is the one that is compiled, spills or not") {
  EngineOptions options;
  options.schedule = "64x32w4s2";
  test::FakeEngine fake(options);
  fake.compiler->spills = [](const std::string&) { return 12; };
  CHECK(compiled(fake).pass.schedule == plan::Schedule{64, 32, 4, 2});
  CHECK(fake.compiler->compiles == 1);
}

namespace {

Spec chunks() {
  return {.pattern = Pattern::parse("attention a { mask chunked(64) }"), .dtype = DType::bf16};
}
/// The kernel that makes lists, and the one that reads them.
bool makes_lists(const std::string& text) {
  return has(text, "tile_lists<");
}

}  // namespace

TEST_CASE("lists are compiled while their reader is, for the tiles that it has in the end") {
  test::FakeEngine fake;
  EngineState& state = fake.engine.state();
  const auto planned = runtime::planned_for(state, chunks());
  const std::size_t reader = planned->plan.passes.size() - 1;
  REQUIRE(planned->plan.passes[reader].listed);
  // Each waits until the other has begun: one behind the other they would not meet.
  std::mutex mutex;
  std::condition_variable changed;
  bool lists_begun = false, reader_begun = false, met = true;
  fake.compiler->spills = [&](const std::string& text) {
    std::unique_lock lock(mutex);
    (makes_lists(text) ? lists_begun : reader_begun) = true;
    changed.notify_all();
    met &= changed.wait_for(lock, std::chrono::seconds(60),
                            [&] { return lists_begun && reader_begun; });
    return 0;
  };
  runtime::Stages stages;
  runtime::kernel_for(state, *planned, reader - 1, {}, {}, &stages);
  CHECK(met);
  CHECK(fake.compiler->compiles == 2);
  CHECK(stages.origin == runtime::Stages::Origin::compiler);
}

TEST_CASE("lists are compiled again where their reader spills and takes other tiles") {
  test::FakeEngine fake;
  EngineState& state = fake.engine.state();
  const auto planned = runtime::planned_for(state, chunks());
  const std::size_t reader = planned->plan.passes.size() - 1;
  const plan::Pass& pass = planned->plan.passes[reader];
  plan::Schedule taken;
  for (const plan::Schedule& s : pass.others)
    if (s.tile_q != pass.schedule.tile_q || s.tile_k != pass.schedule.tile_k) {
      taken = s;
      break;
    }
  REQUIRE(taken.tile_q > 0);
  fake.compiler->spills = [&](const std::string& text) {
    return makes_lists(text) || has(text, tiles(taken)) ? 0 : 8;
  };
  const auto lists = runtime::kernel_for(state, *planned, reader - 1, {});
  CHECK(lists->pass.schedule.tile_q == taken.tile_q);
  CHECK(lists->pass.schedule.tile_k == taken.tile_k);
  CHECK(runtime::kernel_for(state, *planned, reader, {})->pass.schedule == taken);
}

TEST_CASE("a compiler that fails beside another is heard, and leaves nothing behind") {
  test::FakeEngine fake;
  EngineState& state = fake.engine.state();
  const auto planned = runtime::planned_for(state, chunks());
  const std::size_t lists = planned->plan.passes.size() - 2;
  for (const int failures : {1, 2}) {
    fake.compiler->failures = failures;
    CHECK_THROWS_AS(runtime::kernel_for(state, *planned, lists, {}), Error);
    CHECK(fake.compiler->failures <= 0);
  }
  CHECK(runtime::kernel_for(state, *planned, lists, {}) != nullptr);
}
