// What a call weighed by entmax is launched as: its passes in their order, over a device that
// remembers them, and what it compiles and takes.
#include "compiler/plan/entmax.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/runtime/engine_fakes.h"

#include <array>
#include <cstddef>
#include <vector>

namespace {

using namespace lacuna;
using test::FakeEngine;

constexpr Shape shape{.batch = 2, .heads = 4, .kv_heads = 2, .queries = 300, .keys = 2500};

Spec spec_of(const std::string& body, bool statistic = false) {
  return {.pattern = Pattern::parse("attention a {\n" + body + "\n}\n"),
          .dtype = DType::bf16,
          .head_dim = 64,
          .value_dim = 64,
          .statistic = statistic};
}

struct Call {
  explicit Call(std::int64_t keys = shape.keys) {
    const auto view = [&](std::int64_t heads, std::int64_t rows) {
      return TensorView::contiguous(memory.data(), DType::bf16, {shape.batch, heads, rows, 64});
    };
    args.q = args.o = view(shape.heads, shape.queries);
    args.k = args.v = view(shape.kv_heads, keys);
  }
  std::vector<std::uint64_t> memory = std::vector<std::uint64_t>(2);
  Args args;
};

/// The passes of the launches, and "clear" where memory was cleared before one.
std::vector<std::string> passes(const test::FakeDevice& device) {
  std::vector<std::string> names;
  const auto clears = [&](std::size_t launch) {
    for (const test::Cleared& cleared : device.cleared)
      if (cleared.before_launch == launch) names.emplace_back("clear");
  };
  for (std::size_t i = 0; i < device.launches.size(); ++i) {
    clears(i);
    std::string name = "flash_forward";  // has no name of its own
    for (const char* pass : {"tile_lists", "live_tiles", "threshold", "accumulate", "materialise",
                             "gather", "short_rows_64"})
      if (device.launches[i].entry.find(pass) != std::string::npos) name = pass;
    names.push_back(name);
  }
  clears(device.launches.size());
  return names;
}

/// The launches of a call with lists that were made before.
std::vector<std::string> passes_with_lists(FakeEngine& fake, const Program& program, Call& call) {
  const Tiles tiles = program.tiles(call.args);
  fake.device->launches.clear();
  fake.device->cleared.clear();
  call.args.tiles = &tiles;
  program.forward(call.args);
  return passes(*fake.device);
}

using Names = std::vector<std::string>;
const Names own = {"clear", "threshold", "live_tiles", "live_tiles", "accumulate"};

TEST_CASE("entmax is three passes: thresholds, lists of what is live, and the sums over those") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of("mask causal\nweights entmax(1.5)"));
  program.forward(Call().args);
  CHECK(passes(*fake.device) == own);
  CHECK(fake.device->allocations == 0);  // lent, and given back
  const plan::Plan& plan = program.state().planned->plan;
  const auto& launches = fake.device->launches;
  CHECK(launches[0].blocks == plan::threshold_ctas(plan, plan.passes[0], shape));
  CHECK(launches[3].blocks == plan::grid(plan.passes[2], plan.spec, shape).blocks);
}

TEST_CASE("short rows are one launch with as much memory as they need, but for lists made before") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of("mask chunked(64)\nweights sparsemax"));
  const Shape rows{.batch = 2, .heads = 4, .kv_heads = 2, .queries = 300, .keys = 200};
  Call call(rows.keys);
  program.forward(call.args);
  CHECK(passes(*fake.device) == Names{"short_rows_64"});
  CHECK(fake.device->launches[0].blocks == 2 * 4 * 5);
  CHECK(program.workspace(rows) > 0);  // of calls with lists
  CHECK(passes_with_lists(fake, program, call) == own);
}

TEST_CASE("lists of the masks come first, and once made are made no more") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of("mask chunked(64)\nweights sparsemax"));
  Call call;
  program.forward(call.args);
  const Names with_masks = {"tile_lists", "tile_lists", "tile_lists", "clear",
                            "threshold",  "live_tiles", "live_tiles", "accumulate"};
  CHECK(passes(*fake.device) == with_masks);
  CHECK(passes_with_lists(fake, program, call) == own);
}

TEST_CASE("the workspace of few queries is also enough for lists that were made before") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of("mask chunked(64)\nweights sparsemax"));
  Call call;
  call.args.q.shape[2] = call.args.o.shape[2] = 4;
  Shape few = shape;
  few.queries = 4;
  REQUIRE(plan::route(program.state().planned->plan, few).decode);
  const Tiles tiles = program.tiles(call.args);
  std::vector<std::max_align_t> memory(program.workspace(few) / sizeof(std::max_align_t) + 2);
  call.args.workspace = TensorView::contiguous(memory.data(), DType::u8,
                                               {static_cast<std::int64_t>(program.workspace(few))});
  program.forward(call.args);
  fake.device->launches.clear();
  fake.device->cleared.clear();
  call.args.tiles = &tiles;
  program.forward(call.args);
  CHECK(passes(*fake.device) == own);
}

TEST_CASE("a param decides between softmax and entmax when the call runs") {
  FakeEngine fake;
  const std::string body = "param al: f32\nmask causal\nweights entmax(al)";
  const Program program = fake.engine.program(spec_of(body));
  Call call;
  const auto launched = [&](float alpha) {
    const NamedValue value{"al", alpha};
    call.args.params = {&value, 1};
    fake.device->launches.clear();
    fake.device->cleared.clear();
    program.forward(call.args);
    return passes(*fake.device);
  };
  CHECK(launched(1.5f) == own);
  CHECK(launched(1.0f) == Names{"flash_forward"});
  const Program by_head =
      fake.engine.program(spec_of("tensor al: f32[head]\nmask causal\nweights entmax(al[h])"));
  std::array<float, 4> alphas = {1, 2, 1, 1.5f};
  const NamedTensor tensor{"al", TensorView::contiguous(alphas.data(), DType::f32, {4})};
  call.args.params = {};
  call.args.tensors = {&tensor, 1};
  fake.device->launches.clear();
  fake.device->cleared.clear();
  by_head.forward(call.args);
  Names both = own;
  both.emplace_back("flash_forward");
  CHECK(passes(*fake.device) == both);
}

TEST_CASE("few queries are two passes, over as many splits as their route says") {
  const Spec spec = spec_of("param al: f32\nmask causal\nweights entmax(al)");
  FakeEngine fake;
  const Program program = fake.engine.program(spec);
  const plan::Plan& plan = program.state().planned->plan;
  Call call;
  const auto rows = [&](TensorView& view, std::int64_t count) { view.shape[2] = count; };
  const NamedValue value{"al", 1.5f};
  call.args.params = {&value, 1};
  // 8 rows share K and V, 16, and 17 of them.
  for (const std::int64_t queries : {4, 8, 9, 32, 33}) {
    INFO(queries << " queries");
    rows(call.args.q, queries);
    rows(call.args.o, queries);
    Shape extents = shape;
    extents.queries = queries;
    const plan::Route route = plan::route(plan, extents);
    CHECK(route.decode == (queries <= 32));
    fake.device->launches.clear();
    fake.device->cleared.clear();
    program.forward(call.args);
    const auto& launches = fake.device->launches;
    if (!route.decode) {
      CHECK(passes(*fake.device) == own);
      continue;
    }
    REQUIRE(passes(*fake.device) == Names{"materialise", "gather"});
    CHECK(launches[0].blocks ==
          static_cast<std::uint64_t>(2 * 2 * ((2 * queries + 15) / 16) * route.splits));
    CHECK(launches[1].blocks == static_cast<std::uint64_t>(2 * 4 * queries));
    // Lists have room for every key, and the workspace is theirs alone.
    std::uint64_t bytes = 0;
    for (const char* name : {"candidates", "found"})
      bytes += static_cast<std::uint64_t>(launches[0].region(name)->view.elements()) * 4;
    CHECK(bytes == plan::workspace_bytes(plan, extents, route));
    CHECK(launches[0].region("candidates")->view.elements() >= 2 * 4 * queries * shape.keys * 2);
  }
}

TEST_CASE("lists of candidates do not outgrow K and V") {
  FakeEngine fake;
  Spec spec = spec_of("weights entmax(1.5)");
  const auto decodes = [&](std::int64_t sequences, std::int64_t keys) {
    const Shape one{sequences, 32, 8, sequences, keys};
    return plan::route(fake.engine.program(spec).state().planned->plan, one).decode;
  };
  spec.lengths = Lengths::packed;
  CHECK(decodes(4, 8192));
  CHECK(!decodes(512, 512 * 4096));  // room of each row for all keys
  spec.lengths = Lengths::uniform;
  const Shape many{512, 32, 8, 1, 4096};
  CHECK(plan::route(fake.engine.program(spec).state().planned->plan, many).decode);
}

TEST_CASE("once prepared, entmax compiles and loads nothing, and a graph records it") {
  for (const std::string body :
       {"mask causal\nweights entmax(1.5)", "mask chunked(64)\nweights sparsemax",
        "param al: f32\nmask chunked(64)\nweights entmax(al)"}) {
    INFO(body);
    FakeEngine fake;
    const Program program = fake.engine.program(spec_of(body));
    program.prepare();
    const int compiles = fake.compiler->compiles, loads = fake.device->loads;
    fake.device->capturing = true;
    const bool has_alpha = body.find("param") != body.npos;
    for (const float alpha : {1.0f, 1.5f}) {
      const NamedValue value{"al", alpha};
      for (const std::int64_t keys : {shape.keys, std::int64_t{0}})
        for (const std::size_t misaligned : {0, 2}) {
          Call call(keys);
          call.args.o.data = reinterpret_cast<std::byte*>(call.memory.data()) + misaligned;
          if (has_alpha) call.args.params = {&value, 1};
          program.forward(call.args);
        }
    }
    CHECK(fake.compiler->compiles == compiles);
    CHECK(fake.device->loads == loads);
  }
}

TEST_CASE("every pass of entmax stays in the workspace that the caller gave") {
  for (const std::string body : {"weights entmax(1.5)", "mask chunked(64)\nweights entmax(1.5)"})
    for (const std::int64_t keys : {shape.keys, std::int64_t{1}, std::int64_t{0}}) {
      INFO(body << ", " << keys << " keys");
      FakeEngine fake;
      const Program program = fake.engine.program(spec_of(body));
      Shape extents = shape;
      extents.keys = keys;
      const std::size_t bytes = program.workspace(extents);
      std::vector<std::byte> memory(bytes + 16);
      const auto begin = (reinterpret_cast<std::uintptr_t>(memory.data()) + 15) / 16 * 16;
      Call call(keys);
      call.args.workspace = TensorView::contiguous(reinterpret_cast<void*>(begin), DType::u8,
                                                   {static_cast<std::int64_t>(bytes)});
      program.forward(call.args);
      CHECK(fake.device->allocated == 0);
      for (const test::Cleared& cleared : fake.device->cleared) {
        const auto at = reinterpret_cast<std::uintptr_t>(cleared.memory) - begin;
        CHECK((at < bytes && cleared.bytes <= bytes - at));
      }
      for (const test::Launched& launch : fake.device->launches)
        for (const char* name : {"candidates", "tile list indices"})
          if (const runtime::Region* region = launch.region(name)) {
            const auto at = reinterpret_cast<std::uintptr_t>(region->view.data) - begin;
            const auto size = static_cast<std::size_t>(region->view.elements()) * 4;
            CHECK((at < bytes && size <= bytes - at));
          }
    }
}

}  // namespace
