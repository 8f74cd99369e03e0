// What explain and show say of tiles, against every pair of the mask.
#include "compiler/plan/tile_map.h"

#include "compiler/plan/decided.h"
#include "tests/catch.h"
#include "tests/compiler/tiles_oracle.h"

namespace {

using namespace lacuna;
using namespace lacuna::tests;
using plan::TileState;

/// The state of every tile by the oracle's pairs. Rows of tiles that end beyond the keys are never
/// FULL on a device, for they must be told from keys that do not exist.
plan::TileMap by_pairs(const plan::Pass& pass, const ir::Site& site,
                       const std::vector<std::uint8_t>& live, bool ragged_may_be_full) {
  plan::TileMap map{pass.schedule.tile_q, pass.schedule.tile_k};
  map.rows = (site.q_len + map.tile_q - 1) / map.tile_q;
  map.columns = (site.k_len + map.tile_k - 1) / map.tile_k;
  for (int row = 0; row < map.rows; ++row)
    for (int column = 0; column < map.columns; ++column) {
      int count = 0, pairs = 0;
      for (int i = row * map.tile_q; i < std::min((row + 1) * map.tile_q, site.q_len); ++i)
        for (int k = column * map.tile_k; k < std::min((column + 1) * map.tile_k, site.k_len); ++k)
          ++pairs, count += live[static_cast<std::size_t>(i) * site.k_len + k];
      const bool whole = ragged_may_be_full || (column + 1) * map.tile_k <= site.k_len;
      map.states.push_back(count == 0                ? TileState::skipped
                           : count == pairs && whole ? TileState::full
                                                     : TileState::partial);
    }
  return map;
}

plan::TileCounts counts_of(const plan::TileMap& map) {
  return {map.count(TileState::full), map.count(TileState::partial), map.count(TileState::skipped)};
}
bool same(const plan::TileCounts& a, const plan::TileCounts& b) {
  return a.full == b.full && a.partial == b.partial && a.skipped == b.skipped;
}

/// "" or what is wrong with the map.
std::string wrong(const plan::TileMap& map, const plan::TileMap& truth, bool exact) {
  for (std::int64_t i = 0; i < map.rows; ++i)
    for (std::int64_t j = 0; j < map.columns; ++j) {
      const TileState said = map.at(i, j), is = truth.at(i, j);
      const bool sound = said == TileState::partial || said == is;
      if (!sound || (exact && said != is))
        return fmt::format("tile {},{} is said to be {} and is {}", i, j, static_cast<int>(said),
                           static_cast<int>(is));
    }
  return "";
}

}  // namespace

TEST_CASE("tiles of lists over random programs are sound, and exact where elements are tested") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  int listed = 0, exact = 0;
  for (int i = 0; i < 300; ++i) {
    Spec spec{.pattern = fuzz::published(
                  fuzz::random_pattern(random, {.score = false, .weights = false}))};
    spec.dtype = DType::bf16;
    spec.head_dim = spec.value_dim = 8;
    spec.lengths = draw.of({Lengths::uniform, Lengths::padded, Lengths::packed});
    spec.storage = fuzz::random_storage(random, spec.pattern.tree());
    const plan::Plan plan = plan::plan(
        spec,
        {.arch = {90}, .schedule = plan::parse_schedule(draw.of({"64x32w4s2", "64x64w4s2"}))});
    const plan::Pass& pass = plan.passes.back();
    if (!pass.listed) continue;
    Shape shape{.batch = draw.between(1, 2), .heads = 2, .kv_heads = 1};
    shape.queries = draw.between(1, 200);
    // Groups of 32 tiles, too.
    shape.keys = draw.chance(0.1) ? draw.between(2000, 2300) : draw.between(1, 200);
    fuzz::OwnedCall owned = fuzz::random_call(random, spec, shape);
    const Bound bound(spec, owned);
    const int b = draw.below(static_cast<int>(shape.batch)), h = draw.below(2);
    const ir::Site site = bound.site(b, h);
    const std::int32_t offset = bound.sequences[static_cast<std::size_t>(b)].offset;
    const auto live = live_pairs(bound, site, offset);
    const bool elements = plan::tile_test(plan).elements;
    const plan::TileMap map = plan::tile_map(plan, pass, site, offset, bound.bindings);
    INFO("program " << i << ", b=" << b << " h=" << h << " offset=" << offset << "\n"
                    << spec.pattern.text() << fuzz::describe(bound.pattern));
    REQUIRE(wrong(map, by_pairs(pass, site, live, false), elements) == "");
    CHECK(same(plan::count_tiles(plan, pass, site, offset, bound.bindings), counts_of(map)));
    const plan::TileCounts least = counts_of(by_pairs(pass, site, live, true));
    for (const plan::Look look : {plan::Look::partial, plan::Look::everywhere})
      CHECK(same(plan::least_tiles(plan, pass, site, offset, bound.bindings, look), least));
    ++listed;
    exact += elements;
  }
  CAPTURE(listed, exact);
  CHECK(listed > 100);
  CHECK(exact > 30);
  CHECK(exact < listed);
}

TEST_CASE("ids that do not lie together cost no tile: their elements are asked") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  Spec spec{.pattern = Pattern::parse("attention a {\n  tensor id: i32[batch, key]\n"
                                      "  mask causal\n  mask id[b, q] == id[b, k]\n}\n")};
  spec.dtype = DType::bf16;
  spec.head_dim = spec.value_dim = 8;
  const plan::Plan plan =
      plan::plan(spec, {.arch = {90}, .schedule = plan::parse_schedule("64x64w4s2")});
  fuzz::OwnedCall owned = fuzz::random_call(
      random, spec, {.batch = 1, .heads = 1, .kv_heads = 1, .queries = 700, .keys = 700},
      fuzz::Reliance::positions);
  // Documents of 64 tokens each, one of eight topics: equal ids lie far apart.
  std::vector<std::int64_t> topic;
  for (int i = 0; i < 20; ++i) topic.push_back(3 * draw.below(8));
  fill(owned, spec.pattern.tree(), [&](const std::string&, const Indices& at) {
    return topic[static_cast<std::size_t>(at.back()) / 64];
  });
  const Bound bound(spec, owned);
  const ir::Site site = bound.site(0, 0);
  const plan::TileTest test = plan::tile_test(plan);
  CHECK(test.elements);
  CHECK(test.conjunct == "id[b, q] == id[b, k]");
  CHECK(test.why == "rows of one value need not lie together");
  const std::int32_t offset = bound.sequences[0].offset;
  const plan::TileMap map = plan::tile_map(plan, plan.passes.back(), site, offset, bound.bindings);
  const plan::TileMap truth =
      by_pairs(plan.passes.back(), site, live_pairs(bound, site, offset), false);
  CHECK(wrong(map, truth, true) == "");
  const plan::Reasons& why = map.reasons;
  CHECK(why.tested >= why.emptied + why.filled);
  CHECK(map.count(TileState::skipped) >= why.outside + why.emptied);
}
