// When a call makes lists of tiles, what their passes are launched with, and where the lists lie.
#include "compiler/plan/lists.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/runtime/engine_fakes.h"

#include <fmt/format.h>

#include <cstring>

namespace {

using namespace lacuna;
using test::FakeEngine;

constexpr Shape shape{.batch = 2, .heads = 4, .kv_heads = 2, .queries = 300, .keys = 500};

Spec spec_of(const std::string& body) {
  return {.pattern = Pattern::parse("attention a {\n" + body + "\n}\n"),
          .dtype = DType::bf16,
          .head_dim = 64,
          .value_dim = 64};
}

struct Call {
  Call() {
    const auto view = [&](std::int64_t heads, std::int64_t rows) {
      return bytes(static_cast<std::size_t>(shape.batch * heads * rows * 64 * 2), DType::bf16,
                   {shape.batch, heads, rows, 64});
    };
    args.q = view(shape.heads, shape.queries);
    args.k = view(shape.kv_heads, shape.keys);
    args.v = view(shape.kv_heads, shape.keys);
    args.o = view(shape.heads, shape.queries);
    doc = {"doc", bytes(static_cast<std::size_t>(shape.batch * shape.keys * 4), DType::i32,
                        {shape.batch, shape.keys})};
  }
  TensorView bytes(std::size_t count, DType dtype, std::initializer_list<std::int64_t> extents) {
    auto& block = memory.emplace_back(count + 16);
    auto* start = reinterpret_cast<std::byte*>(
        (reinterpret_cast<std::uintptr_t>(block.data()) + 15) / 16 * 16);
    return TensorView::contiguous(start, dtype, extents);
  }
  void give_workspace(std::size_t size) {
    args.workspace = bytes(size, DType::u8, {static_cast<std::int64_t>(size)});
  }
  std::vector<std::vector<std::byte>> memory;
  Args args;
  NamedTensor doc;
};

template <class T>
T tail(const test::Launched& launch) {
  T value;
  REQUIRE(launch.params.size() >= sizeof value);
  std::memcpy(&value, launch.params.data() + launch.params.size() - sizeof value, sizeof value);
  return value;
}

std::size_t launches_of(const std::string& body, bool with_doc = false,
                        const EngineOptions& options = {}) {
  FakeEngine fake(options);
  Call call;
  if (with_doc) call.args.tensors = {&call.doc, 1};
  fake.engine.program(spec_of(body)).forward(call.args);
  return fake.device->launches.size();
}

const std::string documents = "tensor doc: i32[batch, key]\nmask causal\nmask document(doc)";

TEST_CASE("masks that are not bands alone make lists, unless elements are asked for") {
  CHECK(launches_of("mask causal") == 1);
  CHECK(launches_of("score score + 1.0") == 1);
  CHECK(launches_of("mask chunked(64)") == 4);  // no tensor to summarise
  CHECK(launches_of("mask chunked(64) plan elements") == 1);
  CHECK(launches_of(documents, true) == 6);
}

TEST_CASE("with checks, lists are made where every read of the masks is proved inside") {
  EngineOptions checked;
  checked.validate = true;
  CHECK(launches_of(documents, true, checked) == 6);
  // Position q of a query may be no key's.
  CHECK(launches_of("tensor doc: i32[batch, key]\nmask doc[b, q + 1] == doc[b, k]", true,
                    checked) == 1);
  CHECK(launches_of("tensor doc: i32[batch, key]\nmask doc[b, max(q - 1, 0)] == doc[b, k]", true,
                    checked) == 6);
}

TEST_CASE("with checks, lengths and offsets of each sequence count in that proof") {
  EngineOptions checked;
  checked.validate = true;
  FakeEngine fake(checked);
  Spec spec = spec_of(documents);
  Call call;
  call.args.tensors = {&call.doc, 1};
  std::vector<std::int32_t> q_lens = {300, 20}, k_lens = {400, 20}, offsets = {0, 480};
  const auto vector_of = [](std::vector<std::int32_t>& values) {
    return TensorView::contiguous(values.data(), DType::i32,
                                  {static_cast<std::int64_t>(values.size())});
  };
  const auto launches = [&] {
    fake.device->launches.clear();
    fake.engine.program(spec).forward(call.args);
    return fake.device->launches.size();
  };
  call.args.offsets = vector_of(offsets);
  CHECK(launches() == 1);  // 300 queries from position 480 on, of 500 keys
  offsets[1] = 200;
  CHECK(launches() == 6);
  call.args.offsets = {};
  spec.lengths = Lengths::padded;
  call.args.q_lens = vector_of(q_lens);
  call.args.k_lens = vector_of(k_lens);
  CHECK(launches() == 6);
  k_lens[1] = 19;  // a query before the first key
  CHECK(launches() == 1);
  q_lens[1] = 0;
  CHECK(launches() == 6);
}

TEST_CASE("a call without the lists of its plan says why in the log") {
  std::vector<std::string> log;
  EngineOptions options;
  options.validate = true;
  options.log = [&](std::string_view line) {
    if (line.find("without lists") != line.npos) log.emplace_back(line);
  };
  FakeEngine fake(options);
  Call call;
  fake.engine.program(spec_of("mask chunked(64)")).forward(call.args);
  fake.engine.program(spec_of("mask causal")).forward(call.args);
  CHECK(log.empty());
  const std::int64_t rows = std::int64_t{1} << 22;
  Args many = call.args;
  for (TensorView* view : {&many.q, &many.k, &many.v, &many.o}) {
    view->shape[0] = 64;
    view->shape[2] = rows;
  }
  fake.device->launches.clear();
  fake.engine.program(spec_of("mask chunked(64)")).forward(many);
  CHECK(fake.device->launches.size() == 1);
  REQUIRE(log.size() == 1);
  CHECK(log[0].starts_with("a: flash_forward without lists: tile lists: "));
  call.args.tensors = {&call.doc, 1};
  fake.engine.program(spec_of("tensor doc: i32[batch, key]\nmask doc[b, q + 1] == doc[b, k]"))
      .forward(call.args);
  REQUIRE(log.size() == 2);
  CHECK(log[1] ==
        "a: flash_forward without lists: a read of the masks may lie outside its tensor, and is "
        "checked");
}

TEST_CASE("lists lie in the workspace that the caller gave, and no pass allocates") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of(documents));
  Call call;
  call.args.tensors = {&call.doc, 1};
  const std::size_t bytes = program.workspace(shape);
  call.give_workspace(bytes);
  program.forward(call.args);
  const auto& launches = fake.device->launches;
  REQUIRE(launches.size() == 6);
  const auto begin = reinterpret_cast<std::uintptr_t>(call.args.workspace.data);
  const auto inside = [&](unsigned long long address) {
    return address >= begin && address < begin + bytes;
  };
  for (int i = 0; i < 5; ++i) {
    const auto arg = tail<TileBuildArg>(launches[static_cast<std::size_t>(i)]);
    CHECK(arg.phase == i);
    for (const unsigned long long address :
         {arg.rows.offsets, arg.rows.indices, arg.rows.order, arg.spans, arg.states, arg.order})
      CHECK(inside(address));
    CHECK(arg.rows.list_batch == 2);  // doc[b, ...]
    CHECK(arg.rows.list_heads == 1);
  }
  const auto arg = tail<TileReadArg>(launches[5]);
  CHECK(arg.rows.indices == tail<TileBuildArg>(launches[0]).rows.indices);
  CHECK(arg.copies == 4);
  const plan::Plan& plan = program.state().planned->plan;
  CHECK(launches[5].blocks == plan::grid(plan.passes.back(), plan.spec, shape).blocks);
  CHECK(fake.device->allocations == 0);
}

TEST_CASE("a workspace too small for the lists is refused before anything runs") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of(documents));
  Call call;
  call.args.tensors = {&call.doc, 1};
  call.give_workspace(64);
  CHECK_THROWS_AS(program.forward(call.args), Error);
  CHECK(fake.device->launches.empty());
}

TEST_CASE("lists are made while a graph is recorded, once kernels are loaded") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of("mask chunked(64)"));
  program.prepare();
  Call call;
  fake.device->capturing = true;
  program.forward(call.args);
  CHECK(fake.device->launches.size() == 4);
  CHECK(fake.device->allocations == 0);  // lent, and given back
}

}  // namespace
