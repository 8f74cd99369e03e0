// Lists of tiles that outlive a call, over a device that remembers launches: who makes them, who
// reads them, and what is refused.
#include "compiler/plan/lists.h"
#include "runtime/tiles.h"
#include "tests/catch.h"
#include "tests/runtime/engine_fakes.h"

#include <fmt/format.h>

#include <cstring>

namespace {

using namespace lacuna;
using test::FakeEngine;

const std::string documents =
    "tensor doc: i32[batch, key]\nparam reach: i32 = 100\nmask causal\n"
    "mask document(doc) and q - k < reach";

Spec spec_of(const std::string& body, DType dtype = DType::bf16, int head_dim = 64) {
  return {.pattern = Pattern::parse("attention a {\n" + body + "\n}\n"),
          .dtype = dtype,
          .head_dim = head_dim,
          .value_dim = head_dim};
}

/// Tensors of one call; of their memory only the addresses matter.
struct Call {
  explicit Call(
      Shape extents = {.batch = 2, .heads = 4, .kv_heads = 2, .queries = 300, .keys = 500},
      DType dtype = DType::bf16, int head_dim = 64)
      : shape(extents) {
    const auto view = [&](std::int64_t heads, std::int64_t rows) {
      return TensorView::contiguous(memory, dtype, {shape.batch, heads, rows, head_dim});
    };
    args.q = view(shape.heads, shape.queries);
    args.k = view(shape.kv_heads, shape.keys);
    args.v = view(shape.kv_heads, shape.keys);
    args.o = view(shape.heads, shape.queries);
    doc = {"doc", TensorView::contiguous(documents_of, DType::i32, {shape.batch, shape.keys})};
    args.tensors = {&doc, 1};
  }
  Call(const Call&) = delete;
  Args with(const Tiles& tiles) const {
    Args all = args;
    all.tiles = &tiles;
    return all;
  }

  alignas(256) static inline std::byte memory[256];
  static inline std::int32_t documents_of[4096];
  Shape shape;
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

template <class Work>
std::string error_of(Work work, ErrorKind kind = ErrorKind::argument) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "nothing was thrown";
}

TEST_CASE("tiles are made once; then a call is one launch and takes no memory") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of(documents));
  const Call call;
  Args masks = call.args;  // neither V nor O, and of Q and K only the shapes
  masks.v = masks.o = {};
  masks.q.data = masks.k.data = nullptr;
  const auto& launches = fake.device->launches;
  {
    const Tiles tiles = program.tiles(masks);
    REQUIRE(launches.size() == 5);
    CHECK(fake.device->allocations == 1);  // lent
    const Tiles copy = tiles;
    for (int layer = 0; layer < 3; ++layer) program.forward(call.with(copy));
    REQUIRE(launches.size() == 8);
    CHECK(fake.device->allocations == 1);
    const auto made = tail<TileBuildArg>(launches[0]).rows;
    for (std::size_t i = 5; i < 8; ++i) {
      const auto read = tail<TileReadArg>(launches[i]);
      CHECK(read.rows.offsets == made.offsets);
      CHECK(read.rows.indices == made.indices);
      CHECK(read.rows.order == made.order);
      CHECK(read.rows.list_batch == 2);
      CHECK(read.copies == 4);
    }
    const plan::Plan& plan = program.state().planned->plan;
    CHECK(launches[5].blocks == plan::grid(plan.passes.back(), plan.spec, call.shape).blocks);
  }
  CHECK(fake.device->allocations == 0);  // given back
}

TEST_CASE("tiles lie in the memory that the caller gave, and refreshing them takes no other") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of(documents));
  const Call call;
  const std::size_t bytes = program.tiles_bytes(call.shape);
  std::vector<std::byte> block(bytes + 16);
  auto* start =
      reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(block.data()) + 15) / 16 * 16);
  const auto memory = [&](std::size_t size) {
    return TensorView::contiguous(start, DType::u8, {static_cast<std::int64_t>(size)});
  };
  CHECK(error_of([&] {
          program.tiles(call.args, memory(64));
        }).starts_with("tiles: memory: it has 64 bytes, this call needs "));
  CHECK(fake.device->launches.empty());
  Tiles tiles = program.tiles(call.args, memory(bytes));
  tiles.refresh(call.args);
  CHECK(fake.device->allocations == 0);
  REQUIRE(fake.device->launches.size() == 10);
  for (const test::Launched& launch : fake.device->launches) {
    const auto arg = tail<TileBuildArg>(launch);
    for (const unsigned long long address :
         {arg.rows.offsets, arg.rows.indices, arg.rows.order, arg.spans, arg.states, arg.order}) {
      const auto at = address - reinterpret_cast<std::uintptr_t>(start);
      CHECK(at < bytes);
    }
  }
}

TEST_CASE("a graph records refreshing and reading; memory is not lent then") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of(documents));
  program.prepare();
  const Call call;
  Tiles tiles = program.tiles(call.args);
  std::vector<std::byte> block(program.tiles_bytes(call.shape) + 16);
  const auto at = (reinterpret_cast<std::uintptr_t>(block.data()) + 15) / 16 * 16;
  const TensorView memory =
      TensorView::contiguous(reinterpret_cast<void*>(at), DType::u8,
                             {static_cast<std::int64_t>(program.tiles_bytes(call.shape))});
  fake.device->launches.clear();
  fake.device->capturing = true;
  tiles.refresh(call.args);
  program.forward(call.with(tiles));
  CHECK(fake.device->launches.size() == 6);
  CHECK(error_of([&] { program.tiles(call.args); }, ErrorKind::device) ==
        "tiles: memory is not lent while a CUDA graph is being captured on the stream; give some");
  const Tiles in_graph = program.tiles(call.args, memory);
  CHECK(fake.device->launches.size() == 11);
  CHECK(error_of([&] { in_graph.read(); }, ErrorKind::device) ==
        "tiles: reading waits for the stream, on which a CUDA graph is being captured");
  CHECK(fake.device->allocations == 1);
}

TEST_CASE("what has no lists says why") {
  FakeEngine fake;
  const Call call;
  const auto why = [&](const std::string& body, Call&& of = Call()) {
    of.args.tensors = {};
    const Program program = fake.engine.program(spec_of(body));
    const std::string bytes = error_of([&] { program.tiles_bytes(of.shape); });
    CHECK(error_of([&] { program.tiles(of.args); }) == bytes);
    return bytes;
  };
  CHECK(why("mask causal") ==
        "tiles: there is nothing to make for attention 'a': its masks are bands alone, whose tiles "
        "are known in closed form");
  CHECK(why("score score + 1.0") ==
        "tiles: there is nothing to make for attention 'a': it has no mask");
  CHECK(why("mask causal\nmask chunked(64) plan elements") ==
        "tiles: there is nothing to make for attention 'a': mask q // 64 == k // 64 (line 3) asks "
        "for `plan elements`, and the others are bands");

  EngineOptions options;
  options.validate = true;
  FakeEngine checked(options);
  const Program program = checked.engine.program(
      spec_of("tensor doc: i32[batch, key]\nmask doc[b, q + 1] == doc[b, k]"));
  CHECK(error_of([&] { program.tiles(call.args); }) ==
        "tiles: mask doc[b, k] == doc[b, q + 1] (line 3) is not proved to read inside its tensors, "
        "and with checks such a call has no lists: every read is tested where it is made");
  CHECK(checked.device->launches.empty());
}

TEST_CASE("programs with the same masks share tiles, whatever else they are") {
  EngineOptions options;
  options.schedule = "64x64w4s2";
  FakeEngine fake(options);
  const Call call;
  const Tiles tiles = fake.engine.program(spec_of(documents)).tiles(call.args);
  fake.device->launches.clear();
  const auto reads = [&](const Program& program, const Call& of) {
    program.forward(of.with(tiles));
    return fake.device->launches.size();
  };
  CHECK(reads(fake.engine.program(spec_of("param bias: f32 = 1.0\n" + documents +
                                          "\nscore softcap(score, 30.0) + bias")),
              call) == 1);
  CHECK(reads(fake.engine.program(spec_of(documents, DType::f16, 128)),
              Call(call.shape, DType::f16, 128)) == 2);
  Spec stored = spec_of(documents);
  stored.storage["doc"] = DType::i64;
  Call narrow;
  narrow.doc.view.dtype = DType::i64;
  CHECK(reads(fake.engine.program(stored), narrow) == 3);
}

TEST_CASE("tiles of something else are refused, and nothing runs") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of(documents));
  const Call call;
  Tiles tiles = program.tiles(call.args);
  fake.device->launches.clear();
  const auto refused = [&](const Program& by, const Call& of) {
    const std::string text = error_of([&] { by.forward(of.with(tiles)); });
    CHECK(fake.device->launches.empty());
    return text;
  };

  const std::string wider =
      "tensor doc: i32[batch, key]\nparam reach: i32 = 100\nmask causal\n"
      "mask document(doc) and q - k <= reach";
  CHECK(refused(fake.engine.program(spec_of(wider)), call) ==
        "tiles: made for attention 'a' with mask q - k < reach, attention 'a' has mask q - k <= "
        "reach");
  Call by_query;
  by_query.doc.view = TensorView::contiguous(Call::documents_of, DType::i32, {1, 500});
  CHECK(refused(fake.engine.program(spec_of("tensor doc: i32[head, key]\nparam reach: i32 = 100\n"
                                            "mask causal\nmask doc[h, q] == doc[h, k]")),
                by_query)
            .starts_with("tiles: made for attention 'a' with mask doc[b, q] == doc[b, k], "));

  for (const auto& [change, text] :
       {std::pair{Shape{2, 4, 2, 301, 500}, "tiles: made for queries = 300, this call has 301"},
        std::pair{Shape{2, 4, 4, 300, 500}, "tiles: made for kv_heads = 2, this call has 4"},
        std::pair{Shape{1, 4, 2, 300, 500}, "tiles: made for batch = 2, this call has 1"}})
    CHECK(refused(program, Call(change)) == text);

  Call other_param, other_offset, offsets;
  const NamedValue reach{"reach", 64};
  other_param.args.params = {&reach, 1};
  CHECK(refused(program, other_param) ==
        "tiles: made with param 'reach' = 100, this call has 64; refresh them");
  other_offset.args.offset = 7;
  CHECK(refused(program, other_offset) ==
        "tiles: made with offset 200, this call has 7; refresh them");
  offsets.args.offsets = TensorView::contiguous(Call::documents_of, DType::i32, {2});
  CHECK(refused(program, offsets) ==
        "tiles: made without offsets of each sequence, this call has them");
  CHECK(error_of([&] { tiles.refresh(offsets.args); }) ==
        "tiles: made without offsets of each sequence, this call has them");
  CHECK(error_of([&] {
          tiles.refresh(Call(Shape{2, 4, 2, 300, 400}).args);
        }) == "tiles: made for keys = 500, this call has 400");

  Call same_offset;
  same_offset.args.offset = 200;  // that of the last query at the last key
  program.forward(same_offset.with(tiles));
  tiles.refresh(other_param.args);
  program.forward(other_param.with(tiles));
  CHECK(fake.device->launches.size() == 7);
  fake.device->launches.clear();
  CHECK(refused(program, call) ==
        "tiles: made with param 'reach' = 64, this call has 100; refresh them");

  Spec padded = spec_of(documents);
  padded.lengths = Lengths::padded;
  CHECK(refused(fake.engine.program(padded), call) ==
        "tiles: made for uniform lengths, this program has padded ones");
}

TEST_CASE("tiles of another size, or on another device, are refused") {
  EngineOptions options;
  options.schedule = "64x64w4s2";
  FakeEngine small(options);
  options.schedule = "128x64w8s2";
  FakeEngine large(options);
  FakeEngine host({}, DeviceKind::host);
  const Call call;
  const Tiles tiles = small.engine.program(spec_of(documents)).tiles(call.args);
  CHECK(tiles.tile_q() == 64);
  CHECK(error_of([&] { large.engine.program(spec_of(documents)).forward(call.with(tiles)); }) ==
        "tiles: made for 64x64 tiles, this pass reads 128x64; EngineOptions::schedule can give "
        "programs the same");
  CHECK(error_of([&] {
          host.engine.program(spec_of(documents)).forward(call.with(tiles));
        }).starts_with("tiles: made on fake, this program runs on fake"));
}

TEST_CASE("lists are read to the host by tile of queries, and nonsense is not") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of("mask chunked(64)"));
  Call call({.batch = 1, .heads = 2, .kv_heads = 2, .queries = 300, .keys = 500});
  call.args.tensors = {};
  const Tiles tiles = program.tiles(call.args);
  const plan::TileLists& lists = tiles.state().layout;
  REQUIRE(lists.rows >= 3);
  auto* base = static_cast<std::byte*>(tiles.state().memory.data);
  auto* offsets = reinterpret_cast<std::int32_t*>(base + lists.row_offsets.at);
  auto* indices = reinterpret_cast<std::int32_t*>(base + lists.row_indices.at);
  auto* order = reinterpret_cast<std::int32_t*>(base + lists.row_order.at);
  std::fill_n(offsets, 2 * lists.rows + 1, 3);  // row 0: FULL 1, PARTIAL 0 and 2; others: none
  offsets[0] = 0;
  offsets[1] = 1;
  const std::int32_t tiles_of_row[] = {1, 0, 2};
  std::copy_n(tiles_of_row, 3, indices);
  for (int i = 0; i < lists.rows; ++i) order[i] = i;
  const TileRows read = tiles.read();
  CHECK(read.tile_q == tiles.tile_q());
  CHECK(read.list_heads == 1);
  REQUIRE(read.rows.size() == static_cast<std::size_t>(lists.rows));
  CHECK(read.rows.back() == TileRows::Row{{1}, {0, 2}});  // slots go from the last row on
  CHECK(read.rows.front() == TileRows::Row{});
  CHECK(read.order.front() == lists.rows - 1);
  offsets[1] = lists.capacity + 1;
  CHECK(error_of([&] { tiles.read(); }, ErrorKind::device).find("holds no lists") !=
        std::string::npos);
}

TEST_CASE("tiles of calls without rows or keys are empty, and cost nothing") {
  FakeEngine fake;
  const Program program = fake.engine.program(spec_of("mask chunked(64)"));
  for (const Shape& shape : {Shape{2, 4, 2, 0, 9}, Shape{2, 4, 2, 9, 0}, Shape{0, 4, 2, 9, 9}}) {
    Call call(shape);
    call.args.tensors = {};
    fake.device->launches.clear();
    const Tiles tiles = program.tiles(call.args);
    CHECK(fake.device->launches.empty());
    program.forward(call.with(tiles));
    CHECK(fake.device->launches.size() == (shape.keys == 0));  // zeros are written
    for (const TileRows::Row& row : tiles.read().rows) CHECK(row == TileRows::Row{});
  }
}

}  // namespace
