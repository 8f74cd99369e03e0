#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/runtime/cache_fixture.h"
#include "tests/runtime/engine_fakes.h"

#include <thread>

namespace {

using namespace lacuna;
using test::FakeEngine;

Spec causal(int head_dim = 8) {
  return {
      .pattern = Pattern::parse("attention a { mask causal\n param w: i32 = 7\n mask q - k < w }"),
      .dtype = DType::f16,
      .head_dim = head_dim,
      .value_dim = head_dim};
}

/// Memory and views of a call with f16 matrices of 8 columns.
struct Call {
  explicit Call(Shape shape, std::int64_t misalign = 0) : memory(1 << 16) {
    char* base = memory.data() + (16 - reinterpret_cast<std::uintptr_t>(memory.data()) % 16) % 16;
    auto view = [&](std::int64_t heads, std::int64_t rows, int part) {
      return TensorView::contiguous(base + part * 16384 + misalign, DType::f16,
                                    {shape.batch, heads, rows, 8});
    };
    args.q = view(shape.heads, shape.queries, 0);
    args.k = view(shape.kv_heads, shape.keys, 1);
    args.v = view(shape.kv_heads, shape.keys, 2);
    args.o = view(shape.heads, shape.queries, 3);
  }
  std::vector<char> memory;
  Args args;
};

const Shape small{1, 2, 1, 5, 9};

std::string message_of(const std::function<void()>& work, ErrorKind kind) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "nothing was thrown";
}

TEST_CASE("a kernel is compiled and loaded once, whatever changes that is not compiled in") {
  FakeEngine fake;
  Call call(small), other({2, 6, 3, 1, 40});
  Program program = fake.engine.program(causal());
  program.forward(call.args);
  NamedValue w{"w", 3};
  other.args.params = {&w, 1};
  other.args.scale = 0.5f;
  other.args.offset = -4;
  program.forward(other.args);
  fake.engine.program(causal()).forward(call.args);
  CHECK(fake.compiler->compiles == 1);
  CHECK(fake.device->loads == 1);
  CHECK(fake.device->launches.size() == 3);
  fake.engine.program(causal(16));
  CHECK(fake.compiler->compiles == 1);
}

TEST_CASE("another engine finds the artifact on disk, and none without a directory") {
  test::TemporaryDirectory cache;
  EngineOptions options{.cache_dir = cache.path()};
  Call call(small);
  for (int engine = 0; engine < 3; ++engine) {
    FakeEngine fake(options);
    runtime::Stages stages;
    auto planned = runtime::planned_for(fake.engine.state(), causal(), &stages);
    runtime::forward(fake.engine.state(), *planned, call.args, {}, &stages);
    CHECK(fake.compiler->compiles == (engine == 0));
    using Origin = runtime::Stages::Origin;
    CHECK(stages.origin == (engine == 0 ? Origin::compiler : Origin::disk));
    CHECK((stages.disk > 0) == (engine > 0));
    CHECK(stages.plan > 0);
    runtime::Stages again;
    runtime::forward(fake.engine.state(), *planned, call.args, {}, &again);
    CHECK(again.origin == Origin::memory);
    CHECK(again.generate == 0);
  }
  FakeEngine without;
  without.engine.program(causal()).forward(call.args);
  CHECK(without.compiler->compiles == 1);
}

TEST_CASE("threads that want the same kernel wait for one compilation") {
  FakeEngine fake;
  fake.compiler->delay = std::chrono::milliseconds(50);
  Program program = fake.engine.program(causal());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      Call call(small);
      program.forward(call.args);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(fake.compiler->compiles == 1);
  CHECK(fake.device->loads == 1);
  CHECK(fake.device->launches.size() == 8);
}

TEST_CASE("a failure is reported and never remembered") {
  test::TemporaryDirectory cache;
  FakeEngine fake({.cache_dir = cache.path()});
  fake.compiler->failures = 1;
  Call call(small);
  Program program = fake.engine.program(causal());
  auto forward = [&] { program.forward(call.args); };
  CHECK(message_of(forward, ErrorKind::compilation) == "fake failure");
  CHECK(fake.device->launches.empty());
  forward();
  CHECK(fake.compiler->compiles == 2);
  CHECK(fake.device->launches.size() == 1);
}

TEST_CASE("prepare compiles every variant, so that later calls compile nothing") {
  FakeEngine fake;
  Program program = fake.engine.program(causal());
  program.prepare();
  int compiles = fake.compiler->compiles;
  // Flash forward and its split form, aligned and not; combine is the same for both.
  CHECK(compiles == 5);
  Call aligned(small), unaligned(small, 2);
  program.forward(aligned.args);
  program.forward(unaligned.args);
  CHECK(fake.compiler->compiles == compiles);
  REQUIRE(fake.device->launches.size() == 2);
  CHECK(fake.device->launches[0].source != fake.device->launches[1].source);
}

TEST_CASE("prepare says what failed, and leaves what was made") {
  FakeEngine fake;
  fake.compiler->failures = 1;
  Program program = fake.engine.program(causal());
  CHECK(message_of([&] { program.prepare(); }, ErrorKind::compilation) == "fake failure");
  program.prepare();
  CHECK(fake.compiler->compiles == 6);  // one of five twice
  CHECK(fake.device->brought == 5);
}

TEST_CASE("nothing is compiled, loaded or allocated while a stream records a graph") {
  FakeEngine fake;
  Call call(small);
  Program program = fake.engine.program(causal());
  fake.device->capturing = true;
  auto forward = [&] { program.forward(call.args); };
  CHECK(message_of(forward, ErrorKind::device) == "not warmed up");
  CHECK(fake.compiler->compiles == 0);
  fake.device->capturing = false;
  program.prepare();
  fake.device->capturing = true;
  forward();
  CHECK(fake.device->launches.size() == 1);
}

TEST_CASE("empty calls launch nothing, and no keys are still a launch that writes zeros") {
  FakeEngine fake;
  Program program = fake.engine.program(causal());
  for (Shape shape : {Shape{0, 2, 1, 5, 9}, Shape{1, 0, 1, 5, 9}, Shape{1, 0, 0, 5, 9},
                      Shape{1, 2, 1, 0, 9}, Shape{1, 2, 1, 0, 0}}) {
    Call call(shape);
    program.forward(call.args);
  }
  CHECK(fake.device->launches.empty());
  CHECK(fake.compiler->compiles == 0);
  Call call({1, 2, 1, 5, 0});
  program.forward(call.args);
  REQUIRE(fake.device->launches.size() == 1);
  CHECK(fake.device->launches[0].call().keys == 0);
  CHECK(program.workspace(small) == 0);
}

TEST_CASE("a wrong call is refused before anything is compiled") {
  FakeEngine fake;
  Program program = fake.engine.program(causal());
  Call call(small);
  call.args.k.shape[1] = 3;
  message_of([&] { program.forward(call.args); }, ErrorKind::argument);
  CHECK(fake.compiler->compiles == 0);
}

TEST_CASE("plans are kept by pattern and choice; those that nobody holds make room") {
  FakeEngine fake;
  EngineState& state = fake.engine.state();
  Spec spec = causal();
  auto first = runtime::planned_for(state, spec);
  CHECK(runtime::planned_for(state, spec) == first);
  Spec other = spec;
  other.statistic = true;
  CHECK(runtime::planned_for(state, other) != first);
  for (std::size_t i = 0; i < runtime::PlanTable::capacity + 10; ++i) {
    runtime::planned_for(state, causal());
    CHECK(state.plans.size() <= runtime::PlanTable::capacity);
  }
  CHECK(runtime::planned_for(state, spec) == first);
}

TEST_CASE("a program outlives its engine object") {
  std::optional<Program> program;
  std::shared_ptr<test::FakeDevice> device;
  {
    FakeEngine fake;
    device = fake.device;
    program = fake.engine.program(causal());
  }
  Call call(small);
  program->forward(call.args);
  CHECK(device->launches.size() == 1);
}

TEST_CASE("the host device does not take NVRTC's output but in tests") {
  EngineOptions options{.device = DeviceKind::host, .compiler = CompilerKind::nvrtc};
  std::string message = message_of([&] { runtime::open_engine(options); }, ErrorKind::unsupported);
  CHECK(message.find("licence") != message.npos);
  CHECK(message.find("llvm") != message.npos);
}

}  // namespace
