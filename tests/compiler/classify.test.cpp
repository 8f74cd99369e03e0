// Tiles by interval analysis against every element of the mask.
#include "compiler/plan/classify.h"

#include "compiler/ir/bindings.h"
#include "compiler/ir/element.h"
#include "compiler/plan/conjunct.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

namespace {

using namespace lacuna;
using plan::Truth;

constexpr int tile_shapes[][2] = {{1, 1}, {3, 5}, {8, 8}, {16, 4}, {1, 16}, {64, 64}};

std::vector<ir::NodeId> expressions(const ir::Pattern& pattern) {
  std::vector<ir::NodeId> nodes;
  for (const plan::Conjunct& c : plan::conjuncts_of(pattern)) nodes.push_back(c.expr);
  return nodes;
}

/// A call, and what reads it.
struct Bound {
  Bound(const Spec& spec, fuzz::OwnedCall& owned)
      : pattern(spec.pattern.tree()),
        call(ir::bind(spec, owned.args)),
        sequences(ir::sequences_of(spec, owned.args, call)),
        bindings(pattern, call, sequences, spec.lengths == Lengths::packed) {}

  ir::Site site(int b, int h) const {
    const ir::Sequence& s = sequences[static_cast<std::size_t>(b)];
    const auto i32 = [](std::int64_t x) { return static_cast<std::int32_t>(x); };
    return {.b = b,
            .h = h,
            .g = h / i32(call.shape.heads / call.shape.kv_heads),
            .q_len = i32(s.q_len),
            .k_len = i32(s.k_len),
            .batch = i32(call.shape.batch),
            .heads = i32(call.shape.heads),
            .kv_heads = i32(call.shape.kv_heads),
            .head_dim = 8};
  }

  const ir::Pattern& pattern;
  ir::Call call;
  std::vector<ir::Sequence> sequences;
  ir::CallBindings bindings;
};

/// Which pairs of one head attend: rows x keys.
std::vector<std::uint8_t> live_pairs(const Bound& bound, ir::Site site, std::int32_t offset) {
  ir::Evaluator evaluator(bound.pattern.graph, bound.bindings);
  std::vector<std::uint8_t> live;
  for (int i = 0; i < site.q_len; ++i) {
    site.q = i + offset;
    evaluator.move_to(site);
    for (int k = 0; k < site.k_len; ++k) {
      evaluator.move_to_key(k);
      live.push_back(evaluator.attends(bound.pattern.masks));
    }
  }
  return live;
}

struct Tally {
  int tiles = 0, visited = 0, needed = 0;  ///< of those that are visited, needed ones
  std::string unsound;
};

/// Of one tile: how many of its pairs live.
Tally compare(const plan::TileTruths& tiles, const std::vector<std::uint8_t>& live,
              const ir::Site& site, int tile_q, int tile_k) {
  Tally tally;
  for (int row = 0; row < tiles.rows; ++row)
    for (int column = 0; column < tiles.columns; ++column) {
      int count = 0, pairs = 0;
      for (int i = row * tile_q; i < std::min((row + 1) * tile_q, site.q_len); ++i)
        for (int k = column * tile_k; k < std::min((column + 1) * tile_k, site.k_len); ++k)
          ++pairs, count += live[static_cast<std::size_t>(i) * site.k_len + k];
      const Truth truth = tiles.at(row, column);
      ++tally.tiles;
      tally.visited += truth != Truth::none;
      tally.needed += count > 0;
      if ((truth == Truth::none && count > 0) || (truth == Truth::all && count < pairs))
        tally.unsound = fmt::format("tile {},{} of {}x{} is said to be {}, but {} of {} pairs live",
                                    row, column, tile_q, tile_k,
                                    truth == Truth::none ? "none" : "all", count, pairs);
    }
  return tally;
}

Tally check_head(const Bound& bound, int b, int h, int tile_q, int tile_k) {
  const ir::Site site = bound.site(b, h);
  const std::int32_t offset = bound.sequences[static_cast<std::size_t>(b)].offset;
  const plan::SpanProgram program = plan::span_program(bound.pattern, expressions(bound.pattern));
  const plan::TileTruths tiles =
      plan::classify_tiles(bound.pattern, program, site, offset, bound.bindings, tile_q, tile_k);
  return compare(tiles, live_pairs(bound, site, offset), site, tile_q, tile_k);
}

Spec random_spec(fuzz::Random& random, ir::Pattern pattern) {
  fuzz::Draw draw(random);
  Spec spec{.pattern = fuzz::published(std::move(pattern))};
  spec.head_dim = spec.value_dim = 8;
  spec.lengths = draw.of({Lengths::uniform, Lengths::uniform, Lengths::padded, Lengths::packed});
  spec.storage = fuzz::random_storage(random, spec.pattern.tree());
  return spec;
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
  int tiles = 0, visited = 0, needed = 0, all_live = 0;
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
    tiles += tally.tiles;
    visited += tally.visited;
    needed += tally.needed;
    all_live += tally.needed == tally.tiles;
  }
  // Random masks are no guide to how tight the analysis is, but saying `some` of everything is not
  // sound, it is silent.
  CAPTURE(programs, tiles, visited, needed, all_live);
  CHECK(visited < needed + (tiles - needed) / 2);
}

namespace {

using Indices = std::vector<std::int64_t>;
/// The element of a tensor, by its name and indices.
using Content = std::function<std::int64_t(const std::string&, const Indices&)>;

/// Axes of any extent are given 20 elements.
void resize(fuzz::OwnedCall& owned, const ir::Tensor& declared, TensorView& view) {
  if (std::ranges::none_of(declared.axes,
                           [](const ir::Axis& axis) { return axis.kind == ir::AxisKind::any; }))
    return;
  std::int64_t stride = 1;
  for (std::size_t axis = declared.axes.size(); axis-- > 0;) {
    if (declared.axes[axis].kind == ir::AxisKind::any) view.shape[axis] = 20;
    view.strides[axis] = stride;
    stride *= view.shape[axis];
  }
  view.data = owned.memory.emplace_back(new std::byte[stride * size_of(view.dtype)]).get();
}

void fill(fuzz::OwnedCall& owned, const ir::Pattern& pattern, const Content& content) {
  for (std::size_t t = 0; t < owned.tensors.size(); ++t) {
    TensorView& view = owned.tensors[t].view;
    Indices at(static_cast<std::size_t>(view.rank), 0);
    for (std::int64_t left = view.elements(); left > 0; --left) {
      std::int64_t offset = 0;
      for (std::size_t axis = 0; axis < at.size(); ++axis) offset += at[axis] * view.strides[axis];
      const std::int64_t value = content(std::string(owned.tensors[t].name), at);
      if (pattern.tensors[t].type == ir::Type::f32)
        ir::store_real(view.dtype, view.data, offset, static_cast<float>(value));
      else
        ir::store_integer(view.dtype, view.data, offset, value);
      for (std::size_t axis = at.size(); axis-- > 0;) {
        if (++at[axis] < view.shape[axis]) break;
        at[axis] = 0;
      }
    }
  }
}

struct Named {
  std::string name, text;
  Content content = {};
};

/// Rows of a sequence cut into stretches, numbered upwards.
Content stretches(fuzz::Draw& draw) {
  std::vector<std::int64_t> id(1, 0);
  while (id.size() < 4000) id.push_back(id.back() + (draw.chance(0.03) ? draw.between(1, 5) : 0));
  return [id](const std::string&, const Indices& at) { return id.at(at.back()); };
}
/// 0 or 1, with that chance of a 1, the same for the same element.
Content chosen(fuzz::Draw& draw, double chance) {
  std::vector<std::int64_t> drawn;
  for (int i = 0; i < 9973; ++i) drawn.push_back(draw.chance(chance));
  return [drawn](const std::string& name, const Indices& at) {
    std::int64_t hash = name.back();
    for (const std::int64_t i : at) hash = (hash * 131 + i) % 9973;
    return drawn[hash];
  };
}

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
