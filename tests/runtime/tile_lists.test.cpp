#include "tests/catch.h"
#include "tests/runtime/compilers_fixture.h"
#include "tests/runtime/random.h"
#include "tests/runtime/tile_lists_fixture.h"

#include <fmt/format.h>

#include <map>

using namespace lacuna;
using namespace lacuna::test;

namespace {

using Random = std::mt19937;

int below(Random& random, int end) {
  return static_cast<int>(random() % static_cast<unsigned>(end));
}

/// Few sequences; some have no row, or one.
std::vector<std::int32_t> lengths(int sequences, int most, Random& random) {
  std::vector<std::int32_t> all;
  for (int s = 0; s < sequences; ++s) {
    const int kind = below(random, 4);
    all.push_back(kind < 2 ? kind : below(random, most + 1));
  }
  return all;
}

std::vector<std::int32_t> sums(const std::vector<std::int32_t>& lengths) {
  std::vector<std::int32_t> all{0};
  for (const std::int32_t length : lengths) all.push_back(all.back() + length);
  return all;
}

struct Most {
  int queries = 330, keys = 400;
};

TileCall random_call(const TilePattern& pattern, Lengths kind, int tile_q, int tile_k,
                     Random& random, Most most = {}) {
  TileCall call{&pattern, kind, tile_q, tile_k};
  const int sequences = 1 + below(random, kind == Lengths::packed ? 6 : 3);
  call.shape = {sequences, 4, 2, 1 + below(random, most.queries), 1 + below(random, most.keys)};
  if (kind == Lengths::padded) {
    if (below(random, 4))
      call.q_lens = lengths(sequences, static_cast<int>(call.shape.queries), random);
    if (below(random, 4))
      call.k_lens = lengths(sequences, static_cast<int>(call.shape.keys), random);
  } else if (kind == Lengths::packed) {
    call.q_lens = sums(lengths(sequences, most.queries, random));
    call.k_lens = sums(lengths(sequences, most.keys, random));
    call.shape.queries = call.q_lens.back();
    call.shape.keys = call.k_lens.back();
  }
  switch (below(random, 4)) {
    case 0:
      call.has_offset = true, call.offset = below(random, 200) - 60;
      break;
    case 1:
      for (int s = 0; s < sequences; ++s) call.offsets.push_back(below(random, 200) - 60);
      break;
    case 2:  // positions wrap within a tile
      call.has_offset = true, call.offset = 2147483647 - below(random, 200);
      break;
    default:
      break;
  }
  call.data = pattern.draw(call.extents(), random);
  call.parts = 1 << below(random, 5);
  return call;
}

std::string describe(const TileCall& call) {
  return fmt::format("{}, lengths {}, tiles {}x{}, {} sequences, {} queries, {} keys, {} parts",
                     call.pattern->name, static_cast<int>(call.lengths), call.tile_q, call.tile_k,
                     call.shape.batch, call.shape.queries, call.shape.keys, call.parts);
}

void compare(const ListSet& got, const ListSet& expected, const char* what) {
  INFO(what);
  CHECK(got.offsets == expected.offsets);
  CHECK(got.indices == expected.indices);
  CHECK(got.order == expected.order);
}

struct Configuration {
  Lengths lengths;
  int tile_q, tile_k;
};
/// Each pattern takes three, so that every pair is met.
constexpr Configuration configurations[] = {
    {Lengths::uniform, 64, 64},  {Lengths::padded, 128, 32}, {Lengths::packed, 16, 64},
    {Lengths::uniform, 16, 64},  {Lengths::padded, 64, 64},  {Lengths::packed, 128, 32},
    {Lengths::uniform, 128, 32}, {Lengths::padded, 16, 64},  {Lengths::packed, 64, 64}};

}  // namespace

TEST_CASE("tile lists, their order and their transpose are those of brute force") {
  const auto device = runtime::open_host();
  const auto available = compilers();
  const unsigned seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  int which = 0;
  std::size_t tiles = 0;
  for (const TilePattern& pattern : tile_patterns()) {
    for (int c = 0; c < 3; ++c) {
      const Configuration& chosen = configurations[(which % 3 * 3 + c) % 9];
      std::vector<std::shared_ptr<const runtime::Kernel>> kernels;
      for (const auto& compiler : available)
        kernels.push_back(device->load(compile_ptx(
            *compiler, tile_list_source(pattern, chosen.lengths, chosen.tile_q, chosen.tile_k))));
      for (int round = 0; round < 6; ++round) {
        const TileCall call =
            random_call(pattern, chosen.lengths, chosen.tile_q, chosen.tile_k, random);
        INFO(describe(call));
        const BothLists expected = expected_lists(call);
        tiles += expected.rows.indices.size();
        for (const auto& kernel : kernels) {
          TileRun run(call);
          const BothLists got = run.run(*kernel);
          compare(got.rows, expected.rows, "rows");
          compare(got.columns, expected.columns, "columns");
        }
      }
    }
    ++which;
  }
  CHECK((available.empty() || tiles > 1000));
}

TEST_CASE("lists of many tiles, of which most are decided 32 together, are those of brute force") {
  const auto compiler = llvm_or_warn();
  if (!compiler) return;
  const auto device = runtime::open_host();
  const unsigned seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  for (const char* name : {"window", "documents", "buckets", "ranges"}) {
    const TilePattern& pattern = tile_pattern(name);
    for (const Lengths kind : {Lengths::uniform, Lengths::packed}) {
      const auto kernel =
          device->load(compile_ptx(*compiler, tile_list_source(pattern, kind, 16, 16)));
      // Several rounds of 32 groups of key tiles; several rounds of 32 row tiles. As planned, and
      // by one warp to a row.
      for (const Most most : {Most{50, 40000}, Most{2500, 1500}}) {
        TileCall call = random_call(pattern, kind, 16, 16, random, most);
        call.parts = below(random, 2);
        INFO(describe(call));
        const BothLists expected = expected_lists(call);
        TileRun run(call);
        const BothLists got = run.run(*kernel);
        compare(got.rows, expected.rows, "rows");
        compare(got.columns, expected.columns, "columns");
      }
    }
  }
}

TEST_CASE("the order of rows is by length and stable, however many there are") {
  const auto compiler = llvm_or_warn();
  if (!compiler) return;
  const auto device = runtime::open_host();
  const auto kernel = device->load(
      compile_ptx(*compiler, tile_list_source(tile_pattern("causal"), Lengths::uniform, 16, 64)));
  const unsigned seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  for (const int rows : {1, 31, 32, 33, 511, 512, 513, 2500, 9001}) {
    // One, two and three digits of the length of a row.
    for (const int longest : {3, 255, 256, 3000, 70000}) {
      INFO(rows << " rows of up to " << longest << " tiles");
      TileCall call{&tile_pattern("causal"), Lengths::uniform, 16, 64};
      call.shape = {1, 1, 1, 16 * rows, 64 * longest};
      TileRun run(call, TileRun::Memory::order);
      std::vector<std::int32_t> offsets{0};
      for (int r = 0; r < rows; ++r) {
        const int full = below(random, longest / 2 + 1), partial = below(random, longest / 2 + 1);
        run.row_offsets()[static_cast<std::size_t>(2 * r)] = full;
        run.row_offsets()[static_cast<std::size_t>(2 * r + 1)] = partial;
        offsets.push_back(offsets.back() + full);
        offsets.push_back(offsets.back() + partial);
      }
      run.launch(*kernel, TilePhase::order_rows);
      CHECK(run.row_offsets() == offsets);
      CHECK(run.row_order() == expected_order(offsets));
    }
  }
}

TEST_CASE("lists of a call without queries or keys are empty") {
  const auto compiler = llvm_or_warn();
  if (!compiler) return;
  const auto device = runtime::open_host();
  std::mt19937 random(1);
  const TilePattern& pattern = tile_pattern("documents");
  for (const Lengths kind : {Lengths::uniform, Lengths::packed}) {
    const auto kernel =
        device->load(compile_ptx(*compiler, tile_list_source(pattern, kind, 16, 64)));
    for (const auto& [queries, keys] : {std::pair{0, 300}, {300, 0}, {0, 0}}) {
      TileCall call{&pattern, kind, 16, 64};
      call.shape = {2, 2, 2, queries, keys};
      if (kind == Lengths::packed) {
        call.q_lens = {0, queries / 2, queries};
        call.k_lens = {0, 0, keys};
      }
      call.data = pattern.draw(call.extents(), random);
      INFO(describe(call));
      TileRun run(call);
      const BothLists got = run.run(*kernel);
      CHECK(got == expected_lists(call));
      CHECK(got.rows.indices.empty());
    }
  }
}

TEST_CASE("no value in lengths, offsets or tensors makes lists leave their memory") {
  const auto compiler = llvm_or_warn();
  if (!compiler) return;
  const auto device = runtime::open_host();
  const unsigned seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  for (const Lengths kind : {Lengths::padded, Lengths::packed}) {
    const TilePattern& pattern = tile_pattern("buckets");
    const auto kernel =
        device->load(compile_ptx(*compiler, tile_list_source(pattern, kind, 16, 64)));
    for (int round = 0; round < 30; ++round) {
      TileCall call = random_call(pattern, kind, 16, 64, random);
      const auto wild = [&random](std::size_t count) {
        std::vector<std::int32_t> all(count);
        for (std::int32_t& x : all)
          x = below(random, 2) ? static_cast<std::int32_t>(random()) : below(random, 500) - 50;
        return all;
      };
      const auto batch = static_cast<std::size_t>(call.shape.batch);
      const std::size_t count = batch + (kind == Lengths::packed);
      call.q_lens = wild(count);
      call.k_lens = wild(count);
      call.offsets = wild(batch);
      for (PatternTensor& tensor : call.data.tensors) tensor.values = wild(tensor.values.size());
      INFO(describe(call));
      TileRun run(call);
      const BothLists got = run.run(*kernel);
      for (const ListSet* set : {&got.rows, &got.columns}) {
        CHECK(std::is_sorted(set->offsets.begin(), set->offsets.end()));
        CHECK(set->offsets.back() == static_cast<std::int32_t>(set->indices.size()));
        const int most = set == &got.rows ? run.lists().groups * 32 : run.lists().q_tiles;
        for (const std::int32_t tile : set->indices) REQUIRE((tile >= 0 && tile < most));
      }
    }
  }
}

TEST_CASE("tile lists need no order of warps, and read nothing that is not written") {
  const auto compiler = llvm_or_warn();
  if (!compiler) return;
  const auto device = runtime::open_host(0, true);
  const unsigned seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  const TilePattern& pattern = tile_pattern("buckets");
  for (const Lengths kind : {Lengths::uniform, Lengths::packed}) {
    const auto kernel =
        device->load(compile_ptx(*compiler, tile_list_source(pattern, kind, 16, 64)));
    TileCall call = random_call(pattern, kind, 16, 64, random);
    call.parts = 4;
    INFO(describe(call));
    TileRun run(call);
    const BothLists expected = expected_lists(call), got = run.run(*kernel);
    compare(got.rows, expected.rows, "rows");
    compare(got.columns, expected.columns, "columns");
  }
}
