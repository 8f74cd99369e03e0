// Tiles by interval analysis against every element of the mask.
#include "compiler/plan/classify.h"

#include "tests/catch.h"
#include "tests/compiler/tiles_oracle.h"

#include <cstdlib>
#include <filesystem>
#include <set>

namespace {

using namespace lacuna;
using namespace lacuna::tests;
using plan::Truth;

constexpr int tile_shapes[][2] = {{1, 1}, {3, 5}, {8, 8}, {16, 4}, {1, 16}, {64, 64}};

Spec random_spec(fuzz::Random& random, ir::Pattern pattern) {
  fuzz::Draw draw(random);
  Spec spec{.pattern = fuzz::published(std::move(pattern))};
  spec.head_dim = spec.value_dim = 8;
  spec.lengths = draw.of({Lengths::uniform, Lengths::uniform, Lengths::padded, Lengths::packed});
  spec.storage = fuzz::random_storage(random, spec.pattern.tree());
  return spec;
}

bool has_reals(const ir::Pattern& pattern) {
  for (ir::NodeId node = 0; node < pattern.graph.size(); ++node)
    if (pattern.graph[node].type == ir::Type::f32) return true;
  return false;
}

Shape random_shape(fuzz::Draw& draw) {
  Shape shape;
  shape.batch = draw.between(1, 2);
  shape.kv_heads = draw.between(1, 2);
  shape.heads = shape.kv_heads * draw.between(1, 2);
  shape.queries = draw.between(1, 40);
  shape.keys = draw.between(1, 40);
  return shape;
}

}  // namespace

TEST_CASE("tiles of random programs: no live pair in a none, no dead one in an all") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  const char* given = std::getenv("LACUNA_PROGRAMS");
  const int programs = given ? std::atoi(given) : 6000;
  int tiles = 0, visited = 0, needed = 0;
  for (int i = 0; i < programs; ++i) {
    const Spec spec =
        random_spec(random, fuzz::random_pattern(random, {.score = false, .weights = false}));
    const Shape shape = random_shape(draw);
    fuzz::OwnedCall owned = fuzz::random_call(random, spec, shape);
    const Bound bound(spec, owned);
    const int b = draw.below(static_cast<int>(shape.batch)),
              h = draw.below(static_cast<int>(shape.heads));
    const auto& tile = tile_shapes[draw.below(std::size(tile_shapes))];
    const Tally tally = check_head(bound, b, h, tile[0], tile[1]);
    INFO("program " << i << ", b=" << b << " h=" << h << " offset=" << bound.sequences[b].offset
                    << "\n"
                    << spec.pattern.text() << fuzz::describe(bound.pattern));
    REQUIRE(tally.unsound == "");
    // Of one element everything is known, but what becomes of a NaN.
    if (tile[0] * tile[1] == 1 && !has_reals(bound.pattern)) REQUIRE(tally.visited == tally.needed);
    tiles += tally.tiles;
    visited += tally.visited;
    needed += tally.needed;
  }
  // Random masks are no guide to how tight the analysis is, but `some` of everything would be
  // sound.
  CAPTURE(programs, tiles, visited, needed);
  CHECK(visited < needed + (tiles - needed) / 2);
}

namespace {

struct Named {
  std::string name, text;
  Content content = {};
};

std::vector<Named> named_patterns(fuzz::Draw& draw) {
  const Content ids = stretches(draw), few = chosen(draw, 0.02), half = chosen(draw, 0.5);
  const auto with = [](const std::string& lines) { return "attention named {\n" + lines + "}\n"; };
  return {
      {"causal", with("mask causal\n")},
      {"window", with("mask causal\nmask window(40)\n")},
      {"band", with("mask band(37, 21)\n")},
      {"band in an or", with("mask band(37, 21) or k < 3\n")},
      {"prefix", with("mask prefix(50) or causal\n")},
      {"sinks", with("mask causal\nmask window(33) or sinks(4)\n")},
      {"chunked", with("mask chunked(48)\n")},
      {"chunks of a param", with("param c: i32 = 30\nmask causal\nmask chunked(c)\n")},
      {"dilated", with("mask dilated(10, 7)\n")},
      {"dilated over tiles", with("mask dilated(3, 70)\n")},
      {"strided", with("mask (q - k) % 50 == 3 and k <= q\n")},
      {"not a stride", with("mask (q - k) % 1 != 0 or k < 2\n")},
      {"documents", with("tensor d: i32[batch, key]\nmask document(d)\n"), ids},
      {"causal documents", with("tensor d: i32[batch, key]\nmask causal and document(d)\n"), ids},
      {"sorted buckets",
       with("tensor hq: i32[batch, head, query]\ntensor hk: i32[batch, head, key]\n"
            "mask bucket(hq, hk)\n"),
       ids},
      {"global tokens", with("tensor t: bool[batch, key]\nmask band(20, 20) or global(t)\n"), few},
      {"kept rows",
       with("tensor mq: bool[batch, head, query]\ntensor mk: bool[batch, head, key]\n"
            "mask keep(mq, mk)\n"),
       few},
      {"padding", with("tensor t: bool[batch, key]\nmask t[b, k]\n"), few},
      {"a window by head", with("tensor w: i32[head]\nmask causal\nmask window(w[h] * 30 + 5)\n"),
       half},
      {"block table", with("tensor t: bool[head, _, _]\nmask t[h, q // 16, k // 16]\n"), half},
      {"a table of larger blocks",
       with("tensor t: bool[head, _, _]\nmask causal\nmask t[h, q // 64, k // 64]\n"), half},
      {"blocks written at a time", with("mask k // 24 <= q // 24\n")},
      {"ranks", with("tensor r: i32[batch, key]\nmask r[b, k] <= r[b, q]\n"), ids},
      {"a page of each key",
       with("tensor p: i32[_]\ntensor d: i32[batch, key]\n"
            "mask p[d[b, k] % 7] == p[d[b, q] % 7] and k <= q\nmask d[b, q] == d[b, k]\n"),
       ids},
      {"rows of a picture", with("mask abs(q // 16 - k // 16) <= 1\n")},
      {"a head's choice", with("mask where(h % 2 == 0, q - k < 20, k < 5) and k <= q\n")},
  };
}

}  // namespace

TEST_CASE("bands, equalities of sorted rows, chunks and block tables: every visited tile lives") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int trial = 0; trial < 3; ++trial)
    for (const Named& named : named_patterns(draw)) {
      Spec spec{.pattern = Pattern::parse(named.text, "named.lac")};
      spec.head_dim = spec.value_dim = 8;
      const int rows = 16 * draw.between(8, 14);
      fuzz::OwnedCall owned = fuzz::random_call(
          random, spec, {.batch = 1, .heads = 2, .kv_heads = 1, .queries = rows, .keys = rows});
      owned.args.offset = 0;
      owned.args.offsets = {};
      owned.args.params = {};
      const ir::Pattern& pattern = spec.pattern.tree();
      for (std::size_t i = 0; i < owned.tensors.size(); ++i)
        resize(owned, pattern.tensors[i], owned.tensors[i].view);
      if (named.content) fill(owned, pattern, named.content);
      owned.args.tensors = owned.tensors;
      const Bound bound(spec, owned);
      const Tally tally = check_head(bound, 0, draw.below(2), 16, 16);
      INFO(named.name << ", " << rows << " rows");
      CHECK(tally.unsound == "");
      CHECK(tally.visited == tally.needed);
    }
}

TEST_CASE("tiles of random programs, conjunct by conjunct") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int i = 0; i < 1000; ++i) {
    const Spec spec =
        random_spec(random, fuzz::random_pattern(random, {.score = false, .weights = false}));
    fuzz::OwnedCall owned = fuzz::random_call(random, spec, random_shape(draw));
    const Bound bound(spec, owned);
    ir::Site site = bound.site(0, 0);
    if (site.q_len == 0 || site.k_len == 0) continue;
    const std::vector<ir::NodeId> conjuncts = expressions(bound.pattern);
    const plan::SpanProgram program =
        plan::span_program(bound.pattern, conjuncts, plan::EachConjunct::yes);
    plan::Classifier classifier(bound.pattern, program, site, bound.bindings);
    const int offset = bound.sequences[0].offset;
    const int q0 = draw.below(site.q_len), q1 = draw.between(q0, site.q_len - 1);
    const int k0 = draw.below(site.k_len), k1 = draw.between(k0, site.k_len - 1);
    const plan::Box box{q0 + offset, q1 + offset, k0, k1};
    classifier.classify(box, classifier.queries(box.q0, box.q1), classifier.keys(k0, k1));
    INFO("program " << i << "\n" << spec.pattern.text() << fuzz::describe(bound.pattern));
    ir::Evaluator evaluator(bound.pattern.graph, bound.bindings);
    for (site.q = box.q0; site.q <= box.q1; ++site.q) {
      evaluator.move_to(site);
      for (int k = k0; k <= k1; ++k) {
        evaluator.move_to_key(k);
        // A conjunct is asked only where those before it hold.
        bool live = true;
        for (std::size_t c = 0; live && c < conjuncts.size(); ++c) {
          live = evaluator.holds(conjuncts[c]);
          REQUIRE(classifier.conjunct(c) != (live ? Truth::none : Truth::all));
        }
      }
    }
  }
}

TEST_CASE("the catalogue: tiles are sound, and few are visited for nothing") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  // Their conjuncts hold on different elements of a tile, or read tables of single elements.
  const std::set<std::string> open = {"axial",
                                      "causal_neighbourhood",
                                      "clusters",
                                      "compressed",
                                      "cross_images",
                                      "images_in_text",
                                      "local_docs",
                                      "longnet",
                                      "neighbourhood",
                                      "prefix_documents",
                                      "radial",
                                      "routed",
                                      "scheduled_eviction",
                                      "selected_tokens",
                                      "swin",
                                      "tree_bits",
                                      "boolean_mask",
                                      "speculative",
                                      "vertical_slash",
                                      "hamming",
                                      "flex_block_mask",
                                      "block_diffusion"};
  int decided = 0;
  for (const auto& entry : std::filesystem::directory_iterator("examples/patterns")) {
    if (entry.path().extension() != ".lac") continue;
    Spec spec{.pattern = Pattern::load(entry.path().string())};
    spec.head_dim = spec.value_dim = 8;
    const int rows = 16 * draw.between(9, 14);
    fuzz::OwnedCall owned = fuzz::random_call(
        random, spec, {.batch = 1, .heads = 4, .kv_heads = 2, .queries = rows, .keys = rows},
        fuzz::Reliance::positions);
    const ir::Pattern& pattern = spec.pattern.tree();
    fill_by_type(owned, pattern, stretches(draw), chosen(draw, 0.5));
    owned.params.clear();
    for (const ir::Param& param : pattern.params)
      if (param.type == ir::Type::i32)
        owned.params.push_back({param.name, std::int32_t{draw.between(1, 60)}});
      else if (!param.initial)
        owned.params.push_back({param.name, 1.0f});
    owned.args.params = owned.params;
    const Bound bound(spec, owned);
    const Tally tally = check_head(bound, 0, draw.below(4), 16, 16);
    INFO(entry.path().string() << ", " << rows << " rows");
    CHECK(tally.unsound == "");
    if (open.contains(entry.path().stem().string())) continue;
    CHECK(tally.visited == tally.needed);
    ++decided;
  }
  CHECK(decided > 40);
}
