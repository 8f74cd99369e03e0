#include "lacuna/error.hpp"

#include "compiler/plan/entmax.h"
#include "compiler/plan/explain.h"
#include "compiler/plan/lists.h"
#include "compiler/plan/route.h"
#include "tests/catch.h"

#include <array>
#include <string>

using namespace lacuna;

namespace {

plan::TileLists lists_of(Lengths lengths, const Shape& shape, const plan::ListTraits& traits,
                         int tile_q = 64, int tile_k = 64, bool packed_heads = false) {
  plan::Pass pass;
  pass.schedule.tile_q = tile_q;
  pass.schedule.tile_k = tile_k;
  pass.packed_heads = packed_heads;
  return plan::tile_lists(pass, {.pattern = Pattern::parse("attention x { }"), .lengths = lengths},
                          shape, traits);
}

std::string error_of(Lengths lengths, const Shape& shape, const plan::ListTraits& traits) {
  try {
    lists_of(lengths, shape, traits);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::argument);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("tile lists: sizes of a document mask of 128k tokens") {
  const Shape shape{1, 8, 8, 131072, 131072};
  const plan::TileLists lists = lists_of(Lengths::uniform, shape, {.key_values = 1});
  CHECK(lists.list_batch * lists.list_heads == 1);
  CHECK(lists.rows == 2048);
  CHECK(lists.columns == 2048);
  CHECK(lists.capacity == 2048 * 2048);
  CHECK(lists.row_offsets.bytes == 4 * (2 * 2048 + 1));
  CHECK(lists.row_indices.bytes == 4 * 2048 * 2048);
  CHECK(lists.states.bytes == 2048 * 2048 / 4);  // two bits each
  CHECK(lists.spans.bytes == 8 * (2048 + 64));
  CHECK(lists.column_offsets.bytes == 0);
  CHECK(plan::blocks(lists, TilePhase::classify) == 2048 / 16);
  CHECK(plan::blocks(lists, TilePhase::count_columns) == 0);
}

TEST_CASE("tile lists: several warps share a row where rows are few, no more than it has groups") {
  const auto classify = [](std::int64_t queries, std::int64_t keys) {
    const plan::TileLists lists =
        lists_of(Lengths::uniform, {1, 8, 8, queries, keys}, {.key_values = 1});
    CHECK(plan::build_arg(lists, 0, TilePhase::classify).parts == lists.parts);
    return std::array{std::int64_t{lists.parts},
                      static_cast<std::int64_t>(plan::blocks(lists, TilePhase::classify))};
  };
  CHECK(classify(8192, 8192) == std::array<std::int64_t, 2>{4, 128 * 4 / 16});
  CHECK(classify(32768, 32768) == std::array<std::int64_t, 2>{4, 512 * 4 / 16});
  CHECK(classify(1024, 131072) == std::array<std::int64_t, 2>{16, 16});
  CHECK(classify(131072, 2048) == std::array<std::int64_t, 2>{1, 2048 / 16});
  CHECK(classify(64, 64) == std::array<std::int64_t, 2>{1, 1});
}

TEST_CASE("tile lists: as many as the mask tells apart") {
  const Shape shape{3, 8, 2, 100, 200};
  const auto count = [&](Lengths lengths, const plan::ListTraits& traits) {
    const plan::TileLists lists = lists_of(lengths, shape, traits);
    return std::array{lists.list_batch, lists.list_heads};
  };
  CHECK(count(Lengths::uniform, {}) == std::array{1, 1});
  CHECK(count(Lengths::uniform, {.by_batch = true}) == std::array{3, 1});
  CHECK(count(Lengths::padded, {}) == std::array{3, 1});
  CHECK(count(Lengths::padded, {.by_head = true}) == std::array{3, 8});
  CHECK(count(Lengths::padded, {.by_head = true, .by_kv_head = true}) == std::array{3, 8});
  CHECK(count(Lengths::uniform, {.by_kv_head = true}) == std::array{1, 2});
  // All sequences have slots in the same list.
  CHECK(count(Lengths::packed, {.by_batch = true, .by_head = true}) == std::array{1, 8});
}

TEST_CASE("tile lists: the buffers of a workspace lie apart, on 16 bytes") {
  for (const Lengths lengths : {Lengths::uniform, Lengths::padded, Lengths::packed})
    for (const bool transposed : {false, true}) {
      const plan::TileLists l =
          lists_of(lengths, {3, 4, 2, 101, 1207},
                   {.by_head = true, .key_values = 2, .transposed = transposed}, 16, 32);
      const plan::Buffer all[] = {l.row_offsets,    l.row_order,    l.row_indices,
                                  l.column_offsets, l.column_order, l.column_indices,
                                  l.spans,          l.states,       l.spare_order};
      std::uint64_t end = 0;
      for (const plan::Buffer& buffer : all) {
        if (buffer.bytes == 0) continue;
        CHECK(buffer.at % 16 == 0);
        CHECK(buffer.at >= end);
        end = buffer.at + buffer.bytes;
        if (&buffer < &all[6]) CHECK(end <= l.kept);
      }
      CHECK(end <= l.bytes);
      CHECK(l.bytes < end + 16);
      const TileBuildArg arg = plan::build_arg(l, 4096, TilePhase::classify);
      CHECK(arg.states == 4096 + l.states.at);
      CHECK((arg.columns.offsets != 0) == transposed);
    }
}

TEST_CASE("tile lists: what cannot be numbered by 31 bits is an error that names it") {
  CHECK(error_of(Lengths::uniform, {1, 1, 1, 64LL << 15, 64LL << 16}, {}) ==
        "tile lists: 32768 x 65536 tiles are more than 2147483647");
  CHECK(error_of(Lengths::uniform, {1, 1, 1, 64LL << 15, (64LL << 16) - 64}, {}) == "");
  CHECK(error_of(Lengths::padded, {1LL << 20, 1LL << 20, 1, 1, 1}, {.by_head = true}) ==
        "tile lists: 1048576 x 1048576 lists are more than 2147483647");
  CHECK(error_of(Lengths::packed, {0x7fffffff, 1, 1, 128, 0}, {}) ==
        "tile lists: 2147483649 x 1 tiles of queries are more than 2147483647");
  CHECK_THROWS_AS(lists_of(Lengths::uniform, {1, 8, 2, 1, 64}, {}, 64, 64, true), Error);
}

TEST_CASE("tile lists: a call without queries or keys needs next to nothing, and no error") {
  for (const Shape& shape : {Shape{2, 2, 2, 0, 300}, Shape{2, 2, 2, 300, 0}, Shape{0, 2, 2, 9, 9}})
    for (const Lengths lengths : {Lengths::uniform, Lengths::padded, Lengths::packed}) {
      const plan::TileLists lists = lists_of(lengths, shape, {.key_values = 1, .transposed = true});
      CHECK(lists.bytes < 4096);
      CHECK(plan::blocks(lists, TilePhase::order_rows) == 1);
    }
}

TEST_CASE(
    "a shape with more tiles than lists can number takes the plain route, which explain says") {
  const Spec spec{.pattern = Pattern::parse("attention x { mask chunked(64) }"),
                  .dtype = DType::bf16,
                  .head_dim = 64,
                  .value_dim = 64};
  const plan::Plan plan = plan::plan(spec, {.arch = {90}});
  const std::int64_t rows = std::int64_t{1} << 22;  // 2^15 or more tiles either way
  const Shape few{1, 8, 8, rows / 16, rows / 16}, many{64, 8, 8, rows, rows};
  CHECK(plan::route(plan, few).listed);
  CHECK(plan::list_limit(plan, few) == "");
  const std::string limit = plan::list_limit(plan, many);
  CHECK(limit.starts_with("tile lists: "));
  CHECK(limit.ends_with(" tiles are more than 2147483647"));
  CHECK(plan::route(plan, many) == plan::Route{});
  CHECK(plan::workspace_bytes(plan, many, plan::route(plan, many)) == 0);
  CHECK(plan::explain(plan, many).find("route plain; " + limit + "\n") != std::string::npos);
  CHECK(plan::explain(plan, few).find("route listed\n") != std::string::npos);
  CHECK_THROWS_AS(plan::list_bytes(plan, many), Error);  // what asks for lists by name
}

TEST_CASE(
    "each pass of entmax stands once, and routes with and without lists share what they can") {
  const Spec spec{
      .pattern = Pattern::parse("attention x { mask chunked(64)\n  weights sparsemax }"),
      .dtype = DType::bf16,
      .head_dim = 64,
      .value_dim = 64};
  const plan::Plan plan = plan::plan(spec, {.arch = {90}});
  const Shape shape{1, 8, 8, 8192, 8192};
  const auto kinds = [&](const plan::Route& route) {
    std::string names;
    for (const std::size_t pass : plan::passes_of(plan, route))
      names += std::string(name_of(plan.passes[pass].kind)) + " ";
    return names;
  };
  CHECK(kinds({.listed = true}) == "tile_lists threshold live_tiles accumulate ");
  CHECK(kinds({}) == "threshold live_tiles accumulate ");
  CHECK(kinds({.decode = true, .splits = 2}) == "materialise gather ");
  for (std::size_t i = 7; i < plan.passes.size(); ++i)
    CHECK(kinds({.short_rows = i}) == "short_rows ");
  CHECK(plan.passes.size() == 10);
  CHECK(plan.passes[plan::accumulate_at].kind == plan::PassKind::accumulate);
  const std::string text = plan::explain(plan, shape);
  // 64 tiles of queries of 8 heads; two CTAs reside on each of 132 SMs.
  CHECK(text.find("threshold over lists: 512 tiles of queries, by 264 CTAs\n") !=
        std::string::npos);
  CHECK(text.find("tiles are classified before threshold:") != std::string::npos);
  CHECK(text.find("flash_forward") == std::string::npos);
}

TEST_CASE("accumulate finds O and the escort in one walk where registers do for both sums") {
  struct Expected {
    int dim;
    DType dtype;
    const char* schedule;
    bool one_walk;
    const char* said;
  };
  const Expected all[] = {{64, DType::bf16, "", true, "one walk for O and the escort"},
                          {128, DType::f16, "", true, "one walk for O and the escort"},
                          {64, DType::bf16, "48x64w3s2", true, "one walk for O and the escort"},
                          {64, DType::bf16, "128x64w4s4", false, "a warp has more than 16 rows"},
                          {128, DType::bf16, "128x64w8s4", false, "two times 128 values"},
                          {256, DType::bf16, "", false, "two times 256 values"},
                          {64, DType::f32, "", false, "f32 has no products"}};
  for (const Expected& e : all)
    for (const bool sparsity : {false, true}) {
      const Spec spec{
          .pattern = Pattern::parse("attention a {\n  mask causal\n  weights entmax(1.5)\n}\n"),
          .dtype = e.dtype,
          .head_dim = e.dim,
          .value_dim = e.dim,
          .escort = true,
          .sparsity = sparsity};
      plan::Facts facts{.arch = plan::parse_arch("sm_80")};
      if (*e.schedule) facts.schedule = plan::parse_schedule(e.schedule);
      const plan::Plan plan = plan::plan(spec, facts);
      const plan::Pass &threshold = plan.passes.front(),
                       &accumulate = plan.passes[plan::accumulate_at];
      INFO(e.dim << ' ' << name_of(e.dtype) << ' ' << accumulate.schedule.name());
      CHECK(plan::takes_one_walk(accumulate.machine, spec, accumulate.schedule) == e.one_walk);
      CHECK(plan::explain(plan).find(e.said) != std::string::npos);
      // Of sums only accumulate has twice as many: rows of threshold's warps are 32 where they can.
      const int warps = accumulate.schedule.warps;
      CHECK(threshold.schedule.tile_q == accumulate.schedule.tile_q);
      CHECK(threshold.schedule.warps == (e.one_walk && warps % 2 == 0 ? warps / 2 : warps));
    }
}
