#include "compiler/plan/plan.h"

#include "compiler/plan/explain.h"
#include "compiler/plan/tile_map.h"
#include "tests/catch.h"

#include <fmt/format.h>

#include <cstdlib>
#include <random>

namespace {

using namespace lacuna;
using plan::Strategy;
using plan::TileState;

std::uint64_t seed() {
  if (const char* given = std::getenv("LACUNA_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

plan::Plan plan_of(const std::string& body,
                   Spec spec = {.pattern = Pattern::parse("attention x { }")},
                   std::optional<plan::Schedule> schedule = {}) {
  spec.pattern = Pattern::parse("attention test {\n" + body + "\n}\n", "test.lac");
  return plan::plan(spec, {.arch = {80}, .schedule = schedule});
}

/// Bindings for patterns whose params are all i32 and which read no tensor.
class Params : public ir::Bindings {
 public:
  explicit Params(std::vector<std::int32_t> values) : values_(std::move(values)) {}
  ir::Value param(std::uint32_t index) const override { return {values_.at(index), 0}; }
  ir::Value read(std::uint32_t, std::span<const std::int32_t>, const ir::Site&) const override {
    throw std::logic_error("no tensors here");
  }

 private:
  std::vector<std::int32_t> values_;
};

/// No live pair in a skipped tile, no dead one in a FULL tile. Returns how many tiles were visited
/// for nothing.
int check_sound(const plan::Plan& plan, const ir::Site& extents, std::int32_t offset,
                const ir::Bindings& bindings) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  const plan::TileMap map = plan::tile_map(plan, plan.passes[0], extents, offset, bindings);
  const plan::TileCounts counts =
      plan::count_tiles(plan, plan.passes[0], extents, offset, bindings);
  CHECK(counts.full == map.count(TileState::full));
  CHECK(counts.partial == map.count(TileState::partial));
  CHECK(counts.skipped == map.count(TileState::skipped));
  int useless = 0;
  for (std::int64_t row = 0; row < map.rows; ++row)
    for (std::int64_t column = 0; column < map.columns; ++column) {
      int live = 0, all = 0;
      ir::Site site = extents;
      for (std::int64_t i = row * map.tile_q;
           i < std::min<std::int64_t>((row + 1) * map.tile_q, extents.q_len); ++i)
        for (std::int64_t k = column * map.tile_k; k < (column + 1) * map.tile_k; ++k) {
          ++all;
          if (k >= extents.k_len) continue;
          site.q = static_cast<std::int32_t>(i + offset);
          site.k = static_cast<std::int32_t>(k);
          live += ir::attends(pattern, site, bindings);
        }
      const TileState state = map.at(row, column);
      if (state == TileState::skipped) CHECK(live == 0);
      if (state == TileState::full) CHECK(live == all);
      useless += state != TileState::skipped && live == 0;
    }
  return useless;
}

}  // namespace

TEST_CASE("each conjunct falls to its strategy") {
  struct Row {
    std::string mask;
    Strategy taken, best;
  };
  const Row rows[] = {
      {"k <= q", Strategy::band, Strategy::band},
      {"q - k < 7", Strategy::band, Strategy::band},
      {"k < 100", Strategy::band, Strategy::band},
      {"not (k > q)", Strategy::band, Strategy::band},
      {"2 * k + 3 == q", Strategy::band, Strategy::band},
      {"q // 4 == k // 4", Strategy::tiles, Strategy::order},
      {"(q - k) % 2 == 0", Strategy::tiles, Strategy::tiles},
      {"q * k < 9", Strategy::tiles, Strategy::tiles},
      {"k % 3 != 0", Strategy::tiles, Strategy::select_k},
      {"q % 3 != 0", Strategy::tiles, Strategy::select_q},
      {"k <= q or k < 4", Strategy::tiles, Strategy::tiles},
      {"h % 2 == 0", Strategy::band, Strategy::band},
      {"f32(h) < 1.5", Strategy::tiles, Strategy::tiles},
  };
  for (const Row& r : rows) {
    INFO(r.mask);
    const plan::Plan plan = plan_of("mask " + r.mask);
    REQUIRE(plan.conjuncts.size() == 1);
    CHECK(plan::name_of(plan.conjuncts[0].taken) == plan::name_of(r.taken));
    CHECK(plan::name_of(plan.conjuncts[0].best) == plan::name_of(r.best));
    const bool says_so = plan::explain(plan).find("not yet taken") != std::string::npos;
    CHECK(says_so == (r.taken != r.best));
  }
}

TEST_CASE("conjunctions are taken apart, and a plan wish is followed") {
  const plan::Plan plan =
      plan_of("mask k <= q and q - k < 9 and k % 2 == 0\nmask k < 50 plan elements");
  REQUIRE(plan.conjuncts.size() == 4);
  CHECK(plan.conjuncts[0].taken == Strategy::band);
  CHECK(plan.conjuncts[1].taken == Strategy::band);
  CHECK(plan.conjuncts[2].key_only);
  CHECK(plan.conjuncts[3].taken == Strategy::elements);
  const auto why = [](const std::string& mask) { return plan_of("mask " + mask).conjuncts[0].why; };
  CHECK(why("k <= q plan tiles").find("tiles were asked for") != std::string::npos);
  CHECK(why("q // 4 == k // 4 plan order").find("not offered yet") != std::string::npos);
  CHECK(why("q // 4 == k // 4 plan tiles").find("asked for") == std::string::npos);
  CHECK(plan.conjuncts[3].where.line == 3);
}

TEST_CASE("bands visit exactly the live tiles of a causal window") {
  const plan::Plan plan = plan_of("mask causal\nmask window(100)");
  const ir::Site site{
      .q_len = 517, .k_len = 517, .batch = 1, .heads = 1, .kv_heads = 1, .head_dim = 64};
  CHECK(check_sound(plan, site, 0, Params({})) == 0);
  const plan::TileMap map = plan::tile_map(plan, plan.passes[0], site, 0, Params({}));
  CHECK(map.count(TileState::full) > 0);
  CHECK(map.count(TileState::skipped) > map.count(TileState::partial));
}

TEST_CASE("bands are sound for any factors, params and offsets, also where the program wraps") {
  const std::uint64_t s = seed();
  INFO("LACUNA_SEED=" << s);
  std::mt19937_64 random(s);
  auto pick = [&](std::int64_t low, std::int64_t high) {
    return static_cast<std::int32_t>(
        std::uniform_int_distribution<std::int64_t>(low, high)(random));
  };
  const char* comparisons[] = {"<", "<=", "==", ">", ">="};
  for (int trial = 0; trial < 300; ++trial) {
    std::string body = "param a: i32\nparam c: i32\n";
    const int masks = pick(1, 2);
    for (int m = 0; m < masks; ++m)
      body += fmt::format("mask {} * q + {} * a {} {} * k - c + {}\n", pick(-3, 3), pick(-2, 2),
                          comparisons[pick(0, 4)], pick(-3, 3), pick(-200, 200));
    const bool extreme = pick(0, 4) == 0;
    const std::int64_t reach = extreme ? 0x7fffffff : 300;
    const Params params({pick(-reach, reach), pick(-reach, reach)});
    const ir::Site site{.q_len = pick(1, 200),
                        .k_len = pick(1, 200),
                        .batch = 1,
                        .heads = 1,
                        .kv_heads = 1,
                        .head_dim = 64};
    const std::int32_t offset = extreme ? pick(-0x7fffffff, 0x7fffffff) : pick(-150, 150);
    INFO(body << "q_len " << site.q_len << " k_len " << site.k_len << " offset " << offset);
    const plan::Plan plan = plan_of(body);
    check_sound(plan, site, offset, params);
  }
}

TEST_CASE("the digest of a plan covers everything that the kernel is specialised for") {
  const std::string body = "mask causal";
  const std::string base = plan_of(body).digest;
  CHECK(plan_of(body).digest == base);
  const Pattern any = Pattern::parse("attention x { }");
  std::vector<std::string> digests{base, plan_of("mask window(3)").digest};
  digests.push_back(plan_of(body, {.pattern = any, .dtype = DType::f16}).digest);
  digests.push_back(plan_of(body, {.pattern = any, .head_dim = 72}).digest);
  digests.push_back(plan_of(body, {.pattern = any, .value_dim = 72}).digest);
  digests.push_back(plan_of(body, {.pattern = any, .output = DType::f32}).digest);
  digests.push_back(plan_of(body, {.pattern = any, .statistic = true}).digest);
  digests.push_back(plan_of(body, {.pattern = any, .lengths = Lengths::packed}).digest);
  std::sort(digests.begin(), digests.end());
  CHECK(std::adjacent_find(digests.begin(), digests.end()) == digests.end());
}

TEST_CASE("explain counts the tiles of a shape, or says what it would need") {
  const Shape shape{.batch = 1, .heads = 1, .kv_heads = 1, .queries = 128, .keys = 128};
  // Tiles are 64 x 32: 4 below the diagonal, of which the 2 of the second row's left half are FULL,
  // 4 on it, 2 above.
  const auto tiled = [](const std::string& body) {
    return plan_of(body, {.pattern = Pattern::parse("attention x { }")},
                   plan::parse_schedule("64x32w4s2"));
  };
  const std::string causal = plan::explain(tiled("mask causal"), shape);
  CHECK(causal.find("2 FULL, 4 PARTIAL, 2 skipped") != std::string::npos);
  const std::string open = plan::explain(plan_of("param n: i32\nmask k < n"), shape);
  CHECK(open.find("tiles depend on param 'n'") != std::string::npos);
  const std::string bound = plan::explain(tiled("param n: i32 = 32\nmask k < n"), shape);
  CHECK(bound.find("2 FULL, 0 PARTIAL, 6 skipped") != std::string::npos);
}

TEST_CASE("grids: none for nothing, an error beyond what a launch can hold") {
  const plan::Plan plan = plan_of("", {.pattern = Pattern::parse("attention x { }")},
                                  plan::parse_schedule("64x64w4s2"));
  const plan::Pass& pass = plan.passes[0];
  CHECK(
      plan::grid(pass, plan.spec, {.batch = 2, .heads = 3, .kv_heads = 1, .queries = 65, .keys = 0})
          .blocks == 12);
  CHECK(
      plan::grid(pass, plan.spec, {.batch = 2, .heads = 3, .kv_heads = 1, .queries = 0, .keys = 9})
          .blocks == 0);
  CHECK(
      plan::grid(pass, plan.spec, {.batch = 0, .heads = 3, .kv_heads = 1, .queries = 5, .keys = 9})
          .blocks == 0);
  const Shape huge{.batch = 1 << 20, .heads = 1 << 12, .kv_heads = 1, .queries = 64, .keys = 1};
  REQUIRE_THROWS_AS(plan::grid(pass, plan.spec, huge), Error);
}

TEST_CASE("every dtype and head size has legal schedules on every architecture") {
  for (const int sm : {80, 86, 87, 89, 90, 100, 120})
    for (const DType dtype : {DType::f32, DType::bf16})
      for (int d = 8; d <= 256; d += 8) {
        Spec spec{.pattern = Pattern::parse("attention x { }"),
                  .dtype = dtype,
                  .head_dim = d,
                  .value_dim = 264 - d};
        const plan::Machine machine = plan::machine_of(dtype);
        for (const plan::Schedule& s : plan::schedules(machine, spec, {sm})) {
          CHECK(plan::illegal(machine, spec, s, {sm}) == "");
          CHECK(plan::parse_schedule(s.name()) == s);
        }
        const plan::Pass pass = plan::plan(spec, {.arch = {sm}}).passes[0];
        CHECK(pass.shared_bytes <= plan::row({sm}).shared_per_block);
        CHECK(pass.machine == machine);
      }
  REQUIRE_THROWS_AS(plan::row({75}), Error);
  CHECK(plan::parse_arch("sm_90a") == plan::Arch{90, 'a'});
  REQUIRE_THROWS_AS(plan::parse_arch("hopper"), Error);
}

TEST_CASE("a schedule asked for by name that is not legal says which limit it breaks") {
  const auto message = [](const std::string& name, int d, plan::Arch arch) -> std::string {
    Spec spec{.pattern = Pattern::parse("attention x { }"), .head_dim = d, .value_dim = d};
    try {
      plan::plan(spec, {.arch = arch, .schedule = plan::parse_schedule(name)});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto says = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  CHECK(message("64x64w4s2", 64, {80}) == "");
  says(message("128x128w8s4", 256, {80}),
       "it needs 327680 bytes of shared memory; sm_80 has 166912");
  says(message("128x64w4s2", 256, {90}), "registers a thread; 128 threads have 255 each");
  says(message("72x64w4s2", 64, {80}), "72 queries are not a multiple of 16 for each of 4 warps");
  says(message("64x40w4s2", 64, {80}), "40 keys are not a multiple of 16");
  says(message("64x256w4s2", 8, {80}), "256 keys; machine/sm80 takes 128 at most");
  says(message("64x64w4s1", 64, {80}), "1 stages; machine/sm80 takes 2 to 8");
  for (const char* wrong : {"", "64", "64x64", "64x64w4", "64x64w4s", "64x64w4s2x", "axbwcsd",
                            "-64x64w4s2", "0x64w4s2", "64X64w4s2", "99999999999x64w4s2"})
    REQUIRE_THROWS_AS(plan::parse_schedule(wrong), Error);
}
