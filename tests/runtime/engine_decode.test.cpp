// Which route a call takes, what its passes are launched with, and whose memory lies between them.
#include "compiler/plan/explain.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/runtime/engine_fakes.h"

#include <fmt/format.h>

namespace {

using namespace lacuna;
using test::FakeEngine;

constexpr Shape decode{.batch = 2, .heads = 8, .kv_heads = 2, .queries = 3, .keys = 2000};

Spec spec_of(const std::string& body = "mask causal") {
  return {.pattern = Pattern::parse("attention a {\n" + body + "\n}\n"),
          .dtype = DType::bf16,
          .head_dim = 64,
          .value_dim = 72};
}

struct Call {
  explicit Call(const Shape& shape) {
    const auto view = [&](std::int64_t heads, std::int64_t rows, std::int64_t width) {
      memory.emplace_back(static_cast<std::size_t>(shape.batch * heads * rows * width * 2) + 16);
      return TensorView::contiguous(memory.back().data(), DType::bf16,
                                    {shape.batch, heads, rows, width});
    };
    args.q = view(shape.heads, shape.queries, 64);
    args.k = view(shape.kv_heads, shape.keys, 64);
    args.v = view(shape.kv_heads, shape.keys, 72);
    args.o = view(shape.heads, shape.queries, 72);
  }
  void give_workspace(std::size_t bytes, std::size_t beyond = 0) {
    auto* start = reinterpret_cast<std::byte*>(
        (reinterpret_cast<std::uintptr_t>(memory.emplace_back(bytes + 64).data()) + 15) / 16 * 16);
    args.workspace =
        TensorView::contiguous(start + beyond, DType::u8, {static_cast<std::int64_t>(bytes)});
  }
  std::vector<std::vector<std::byte>> memory;
  Args args;
};

std::string refused(const Program& program, const Args& args) {
  try {
    program.forward(args);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::argument);
    return error.what();
  }
  return "";
}

TEST_CASE("the shape alone decides the route") {
  FakeEngine fake;  // an sm_90 with 132 SMs
  const Program program = fake.engine.program(spec_of());
  const plan::Plan& plan = program.state().planned->plan;
  const auto splits = [&](Shape shape) {
    const plan::Route route = plan::route(plan, shape);
    CHECK(route.decode == (route.splits > 1));
    CHECK(program.workspace(shape) == plan::workspace_bytes(plan, shape, route));
    return route.splits;
  };
  CHECK(splits(decode) > 1);
  CHECK(splits({1, 8, 8, 1, 100'000}) > splits({4, 8, 8, 1, 100'000}));
  CHECK(splits({1, 8, 8, 1, 1}) == 1);           // no keys to share out
  CHECK(splits({1, 8, 8, 1000, 100'000}) == 1);  // queries enough to fill tiles
  CHECK(splits({100, 8, 8, 1, 100'000}) == 1);   // heads enough to fill the GPU
  CHECK(splits({1, 64, 1, 1, 100'000}) > 1);
  CHECK(splits({1, 64, 1, 2, 100'000}) == 1);  // 128 rows share K and V
  for (Shape nothing : {Shape{0, 8, 8, 1, 9999}, Shape{1, 0, 0, 1, 9999}, Shape{1, 8, 8, 0, 9999},
                        Shape{1, 8, 8, 1, 0}, Shape{1, 8, 3, 1, 9999}})
    CHECK(splits(nothing) == 1);
  const std::string text = program.explain(decode);
  INFO(text);
  CHECK(text.find(fmt::format("route decode, {} splits", splits(decode))) != text.npos);
  CHECK(text.find(fmt::format("workspace {} bytes", program.workspace(decode))) != text.npos);
  CHECK(program.explain(Shape{1, 8, 8, 1, 1}).find("route plain") != text.npos);
}

TEST_CASE("heads share a tile unless a band or a choice of keys reads the head") {
  const auto unpacked_by = [](const std::string& body) {
    const plan::Plan plan = plan::plan(spec_of(body), {.arch = {90}});
    CHECK(plan.passes.at(1).packed_heads == plan.unpacked_by.empty());
    return plan.unpacked_by;
  };
  CHECK(unpacked_by("mask causal or h % 2 == 0") == "");
  CHECK(unpacked_by("tensor t: f32[head]\nscore score * t[h]") == "");
  CHECK(unpacked_by("tensor n: i32[kv_head]\nmask k < n[g]") == "");
  CHECK(unpacked_by("tensor n: i32[head]\nmask causal\nmask k < n[h]") == "k < n[h]");
  CHECK(unpacked_by("tensor t: bool[batch, head, key]\nmask t[b, h, k]") == "t[b, h, k]");
  const std::string text = plan::explain(plan::plan(spec_of("mask k < h * 9"), {.arch = {90}}));
  INFO(text);
  CHECK(text.find("'k < h * 9' reads the head") != text.npos);
}

TEST_CASE("decode launches its two passes over the workspace that the caller gave") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of());
  Call call(decode);
  const std::size_t bytes = program.workspace(decode);
  call.give_workspace(bytes);
  program.forward(call.args);
  REQUIRE(fake.device->launches.size() == 2);
  const plan::Plan& plan = program.state().planned->plan;
  const plan::Route route = plan::route(plan, decode);
  for (std::size_t i = 0; i < 2; ++i) {
    const test::Launched& launch = fake.device->launches[i];
    const plan::Grid grid = plan::grid(plan.passes[i + 1], plan.spec, decode, route.splits);
    CHECK(launch.blocks == grid.blocks);
    CHECK(launch.call().q_tiles == grid.q_tiles);
    CHECK(launch.call().splits == route.splits);
    CHECK(launch.call().parts == reinterpret_cast<std::uintptr_t>(call.args.workspace.data));
    const runtime::Region* region = launch.region("workspace");
    REQUIRE(region);
    CHECK(region->writable);
    CHECK(static_cast<std::size_t>(region->view.elements()) * 4 == bytes);
  }
  // 3 queries of the 4 heads of a group are one tile of 16 rows, in 2 groups of 2 sequences.
  CHECK(fake.device->launches[0].blocks == static_cast<std::uint64_t>(4 * route.splits));
  CHECK(fake.device->allocations == 0);
}

TEST_CASE("a workspace that does not do is refused before anything runs") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of());
  Call call(decode);
  const std::size_t bytes = program.workspace(decode);
  call.give_workspace(bytes - 1);
  CHECK(refused(program, call.args) ==
        fmt::format("workspace: it has {} bytes, this call needs {}", bytes - 1, bytes));
  call.give_workspace(bytes, 4);
  CHECK(refused(program, call.args) == "workspace: it starts 4 bytes beyond a multiple of 16");
  call.give_workspace(bytes);
  call.args.workspace.dtype = DType::f32;
  CHECK(refused(program, call.args) == "workspace: dtype is f32, expected u8");
  call.give_workspace(2 * bytes);
  call.args.workspace.strides[0] = 2;
  CHECK(refused(program, call.args) == "workspace: expected one contiguous axis of bytes");
  call.give_workspace(bytes);
  call.args.workspace.shape[0] = -1;
  CHECK(refused(program, call.args).find("its extent -1") != std::string::npos);
  call.give_workspace(bytes);
  call.args.workspace.data = nullptr;
  CHECK(refused(program, call.args).starts_with("workspace: its memory is"));
  CHECK(fake.device->launches.empty());
}

TEST_CASE("without a workspace the device lends one, also while a graph is recorded") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of());
  program.prepare();
  Call call(decode);
  fake.device->capturing = true;
  program.forward(call.args);
  REQUIRE(fake.device->launches.size() == 2);
  CHECK(fake.device->launches[0].call().parts != 0);
  CHECK(fake.device->launches[1].call().parts == fake.device->launches[0].call().parts);
  CHECK(fake.device->allocations == 0);  // given back
  Call plain({1, 8, 8, 1, 1});
  program.forward(plain.args);
  CHECK(fake.device->launches.size() == 3);
  CHECK(fake.device->launches[2].call().parts == 0);
  CHECK(fake.device->launches[2].call().splits == 1);
}

}  // namespace
