#include "tests/runtime/tile_patterns.h"

#include "templates/abi.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace lacuna::test {
namespace {

/// Positions wrap, as all i32 do.
int sum(int a, int b) {
  return static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
}
int position(const Site& site, int row) {
  return sum(row, site.offset);
}

PatternTensor filled(std::array<int, 4> extents, const std::function<std::int32_t(int)>& value) {
  PatternTensor tensor{extents, {}};
  for (int i = 0; i < tensor.size(); ++i) tensor.values.push_back(value(i));
  return tensor;
}

int below(std::mt19937& random, int end) {
  return static_cast<int>(random() % static_cast<unsigned>(end));
}

TilePattern causal() {
  return {.name = "causal",
          .classify = "return truth(box.k1 <= box.q0, box.k0 <= box.q1);",
          .attends = "return k <= q;",
          .narrow = "lacuna::narrow(tile, Affine{0, 1, 0}, Affine{1, 0, 0}, false);",
          .draw = [](const Extents&, std::mt19937&) { return PatternData{}; },
          .live = [](const PatternData&, const Site& site, int row,
                     int k) { return k <= position(site, row); }};
}

TilePattern window() {
  return {.name = "window",
          .needs_elements = true,  // where positions wrap; else spans leave nothing open
          .classify = R"(
    const s64 low = (s64)box.q0 - box.k1, high = (s64)box.q1 - box.k0, w = p.number;
    return both(truth(low >= 0, high >= 0), truth(high < w, low < w));)",
          .attends = "return k <= q && wrap_sub(q, k) < p.number;",
          .narrow = R"(
    lacuna::narrow(tile, Affine{0, 1, 0}, Affine{1, 0, 0}, false);
    lacuna::narrow(tile, Affine{1, -1, 0}, Affine{0, 0, (s64)p.number}, true);)",
          .draw =
              [](const Extents&, std::mt19937& random) {
                PatternData data;
                data.number = 1 + below(random, 150);
                return data;
              },
          .live =
              [](const PatternData& data, const Site& site, int row, int k) {
                const int q = position(site, row);
                return k <= q && sum(q, -k) < data.number;
              }};
}

// Ids of queries in tensor 0, of keys in tensor 1.
const char* const query_id = "out[0] = point(at_query(p, at, 0, q));";
const char* const key_id = "out[0] = point(at_key(p, at, 1, k));";
const char* const equal_ids = "return at_query(p, at, 0, q) == at_key(p, at, 1, k);";
const char* const equal_spans = R"(
    const s32 a0 = (s32)q[0].x, a1 = (s32)q[0].y, b0 = (s32)k[0].x, b1 = (s32)k[0].y;
    return truth(a0 == a1 && b0 == b1 && a0 == b0, a0 <= b1 && b0 <= a1);)";

bool ids_equal(const PatternData& data, const Site& site, int row, int k) {
  return data.tensors[0].at(site.b, site.h, site.q_start + row) ==
         data.tensors[1].at(site.b, site.h, site.k_start + k);
}

Share hulls_equal(const PatternData& data, const Site& site, int q0, int q1, int k0, int k1) {
  std::vector<std::int32_t> a, b;
  for (int q = q0; q <= q1; ++q) a.push_back(data.tensors[0].at(site.b, site.h, site.q_start + q));
  for (int k = k0; k <= k1; ++k) b.push_back(data.tensors[1].at(site.b, site.h, site.k_start + k));
  const auto [a0, a1] = std::minmax_element(a.begin(), a.end());
  const auto [b0, b1] = std::minmax_element(b.begin(), b.end());
  if (*a1 < *b0 || *b1 < *a0) return Share::none;
  return *a0 == *a1 && *b0 == *b1 && *a0 == *b0 ? Share::all : Share::some;
}

/// Ids that go up by 0 or 1 from row to row, and `jumps` times in 1000 begin again.
PatternTensor ids(int batch, int heads, int rows, int jumps, std::mt19937& random) {
  std::int32_t id = 0;
  return filled({batch, heads, rows, 1}, [&, rows, jumps](int i) {
    if (i % std::max(rows, 1) == 0) id = -2;
    id = below(random, 1000) < jumps ? below(random, 5) - 2 : id + (below(random, 40) == 0);
    return id;
  });
}

/// Intervals alone decide, as well as hulls can: that is part of what is compared.
TilePattern documents() {
  return {.name = "documents",
          .by_batch = true,
          .query_values = 1,
          .key_values = 1,
          .query_at = query_id,
          .key_at = key_id,
          .classify = equal_spans,
          .attends = equal_ids,
          .draw =
              [](const Extents& e, std::mt19937& random) {
                PatternData data;
                data.tensors[0] = ids(e.batch, 1, e.queries, 0, random);
                data.tensors[1] = ids(e.batch, 1, e.keys, 3, random);
                return data;
              },
          .live = ids_equal,
          .decide = hulls_equal};
}

/// A closed form, spans and the exact test together; lists by batch and head.
TilePattern buckets() {
  TilePattern pattern = documents();
  pattern.name = "buckets";
  pattern.by_head = pattern.needs_elements = true;
  pattern.classify =
      "const Truth order = truth(box.k1 <= box.q0, box.k0 <= box.q1);\n"
      "    return both(order, equal_spans(q, k));";
  pattern.attends = "return k <= q && at_query(p, at, 0, q) == at_key(p, at, 1, k);";
  pattern.narrow = causal().narrow;
  pattern.draw = [](const Extents& e, std::mt19937& random) {
    PatternData data;
    data.tensors[0] = ids(e.batch, e.heads, e.queries, 10, random);
    data.tensors[1] = ids(e.batch, e.heads, e.keys, 5, random);
    return data;
  };
  pattern.live = [](const PatternData& data, const Site& site, int row, int k) {
    return k <= position(site, row) && ids_equal(data, site, row, k);
  };
  pattern.decide = {};
  return pattern;
}

/// Two values of a key: a query attends between them.
TilePattern ranges() {
  return {.name = "ranges",
          .key_values = 2,
          .needs_elements = true,
          .key_at =
              "out[0] = point(at_key(p, at, 0, k));\n"
              "    out[1] = point(at_key(p, at, 1, k));",
          .classify = R"(
    return both(truth((s32)k[0].y <= box.q0, (s32)k[0].x <= box.q1),
                truth(box.q1 < (s32)k[1].x, box.q0 < (s32)k[1].y));)",
          .attends = "return at_key(p, at, 0, k) <= q && q < at_key(p, at, 1, k);",
          .draw =
              [](const Extents& e, std::mt19937& random) {
                PatternData data;
                data.tensors[0] = filled({1, 1, e.keys, 1}, [&](int i) { return i - 40; });
                data.tensors[1] = filled({1, 1, e.keys, 1}, [&](int i) {
                  return i - 40 + (i / 64 % 2 ? 100 : below(random, 30));
                });
                return data;
              },
          .live =
              [](const PatternData& data, const Site& site, int row, int k) {
                const int q = position(site, row), key = site.k_start + k;
                return data.tensors[0].at(0, 0, key) <= q && q < data.tensors[1].at(0, 0, key);
              }};
}

int block(const Site& site, int row) {
  return std::clamp(position(site, row) >> 5, 0, 15);
}

/// Every entry of the box of blocks counts: positions that wrap reach all rows of the table.
Share entries(const PatternData& data, const Site& site, int q0, int q1, int k0, int k1) {
  const bool wraps = position(site, q1) < position(site, q0);
  const int i0 = wraps ? 0 : block(site, q0), i1 = wraps ? 15 : block(site, q1),
            j0 = std::min(k0 >> 5, 15), j1 = std::min(k1 >> 5, 15);
  int live = 0;
  const int count = (i1 - i0 + 1) * (j1 - j0 + 1);
  for (int i = i0; i <= i1; ++i)
    for (int j = j0; j <= j1; ++j) live += data.tensors[0].at(0, site.h, i, j);
  return count > 64 || (live && live < count) ? Share::some : live ? Share::all : Share::none;
}

/// A block table by head, 16 x 16: exact over a small box of indices.
TilePattern table() {
  return {.name = "table",
          .by_head = true,
          .classify = R"(
    const s32 i0 = entry(box.q0), i1 = entry(box.q1), j0 = entry(box.k0), j1 = entry(box.k1);
    bool may = false, must = true;
    if ((i1 - i0 + 1) * (j1 - j0 + 1) > 64) return Truth::some;
    LACUNA_NOUNROLL
    for (s32 i = i0; i <= i1; ++i) {
      LACUNA_NOUNROLL
      for (s32 j = j0; j <= j1; ++j) {
        const bool live = element(p, 0, at.b, at.h, i, j) != 0;
        may |= live;
        must &= live;
      }
    }
    return truth(must, may);)",
          .attends = "return element(p, 0, at.b, at.h, entry(q), entry(k)) != 0;",
          .draw =
              [](const Extents& e, std::mt19937& random) {
                PatternData data;
                data.tensors[0] =
                    filled({1, e.heads, 16, 16}, [&](int) { return below(random, 10) < 4; });
                return data;
              },
          .live =
              [](const PatternData& data, const Site& site, int row, int k) {
                return data.tensors[0].at(0, site.h, block(site, row), std::min(k >> 5, 15)) != 0;
              },
          .decide = entries};
}

/// Any mask at all, in blocks of 16 x 16 that are dead, live, or either but for one pair.
TilePattern mask() {
  return {.name = "mask",
          .by_batch = true,
          .needs_elements = true,
          .classify = "return Truth::some;",
          .attends =
              "return element(p, 0, at.b, at.h, at.q_start + wrap_sub(q, at.offset), "
              "at.k_start + k) != 0;",
          .draw =
              [](const Extents& e, std::mt19937& random) {
                PatternData data;
                const int columns = e.keys / 128 + 1;
                std::vector<int> kinds(static_cast<std::size_t>(columns * (e.queries / 32 + 1)));
                for (int& kind : kinds) kind = below(random, 8);
                data.tensors[0] = filled({e.batch, 1, e.queries, e.keys}, [&](int i) {
                  const int key = i % e.keys, row = i / e.keys % e.queries;
                  const int kind = kinds[static_cast<std::size_t>(row / 32 * columns + key / 128)];
                  const bool flipped = kind >= 6 && below(random, 2000) == 0;
                  return static_cast<std::int32_t>((kind % 2 != 0) != flipped);
                });
                return data;
              },
          .live =
              [](const PatternData& data, const Site& site, int row, int k) {
                return data.tensors[0].at(site.b, 0, site.q_start + row, site.k_start + k) != 0;
              }};
}

constexpr std::string_view head = R"(#include "tiles/lists.cuh"
namespace lacuna {
struct Params {
  CallArg call;
  TileBuildArg tiles;
  TensorArg tensor[2];
  s32 number, unused;
};
LACUNA_DEVICE Truth truth(bool all, bool any) {
  return all ? Truth::all : any ? Truth::some : Truth::none;
}
LACUNA_DEVICE Truth both(Truth a, Truth b) {
  return a < b ? a : b;
}
LACUNA_DEVICE U2 point(s32 x) {
  return {(u32)x, (u32)x};
}
LACUNA_DEVICE s32 element(const Params& p, int t, s32 b, s32 h, s32 i, s32 j) {
  const TensorArg& from = p.tensor[t];
  return read<Integer<s32>>(from, clamp_index(b, from.extent[0]), clamp_index(h, from.extent[1]),
                            clamp_index(i, from.extent[2]), clamp_index(j, from.extent[3]));
}
LACUNA_DEVICE s32 at_query(const Params& p, const Place& at, int t, s32 q) {
  return element(p, t, at.b, at.h, at.q_start + wrap_sub(q, at.offset), 0);
}
LACUNA_DEVICE s32 at_key(const Params& p, const Place& at, int t, s32 k) {
  return element(p, t, at.b, at.h, at.k_start + k, 0);
}
LACUNA_DEVICE s32 entry(s32 position) {
  return clamp_index(position >> 5, 16);
}
template <int n>
LACUNA_DEVICE void hull(U2 (&into)[n], const U2 (&with)[n]) {
  LACUNA_UNROLL
  for (int i = 0; i < n; ++i)
    into[i] = {(u32)min_i32((s32)into[i].x, (s32)with[i].x),
               (u32)max_i32((s32)into[i].y, (s32)with[i].y)};
}
template <int n, int m>
LACUNA_DEVICE Truth equal_spans(const U2 (&q)[n], const U2 (&k)[m]) {
)";

}  // namespace

std::int32_t PatternTensor::at(int b, int h, int i, int j) const {
  const std::array<int, 4> index{std::min(b, extents[0] - 1), std::min(h, extents[1] - 1), i, j};
  int flat = 0;
  for (std::size_t axis = 0; axis < 4; ++axis) flat = flat * extents[axis] + index[axis];
  return values.at(static_cast<std::size_t>(flat));
}

const std::vector<TilePattern>& tile_patterns() {
  static const std::vector<TilePattern> all = {causal(), window(), documents(), buckets(),
                                               ranges(), table(),  mask()};
  return all;
}

const TilePattern& tile_pattern(const std::string& name) {
  for (const TilePattern& pattern : tile_patterns())
    if (pattern.name == name) return pattern;
  throw std::runtime_error("no pattern " + name);
}

std::string tile_source(const TilePattern& pattern, const std::string& lengths, int tile_q,
                        int tile_k) {
  const int n = std::max(pattern.query_values, 1), m = std::max(pattern.key_values, 1);
  const std::string where = "const Params& p, const Place& at";
  std::string text(head);
  text += fmt::format("{}\n}}\nstruct Pattern {{\n", equal_spans);
  text += fmt::format("  static constexpr int query_values = {}, key_values = {};\n",
                      pattern.query_values, pattern.key_values);
  text += fmt::format("  static constexpr bool needs_elements = {};\n", pattern.needs_elements);
  const auto member = [&text](const std::string& heading, const std::string& body) {
    text += fmt::format("  LACUNA_MEMBER static {} {{\n    {}\n  }}\n", heading, body);
  };
  member(fmt::format("void query_at({}, s32 q, U2 (&out)[{}])", where, n), pattern.query_at);
  member(fmt::format("void key_at({}, s32 k, U2 (&out)[{}])", where, m), pattern.key_at);
  member(fmt::format("void query_hull(U2 (&into)[{0}], const U2 (&with)[{0}])", n),
         "hull(into, with);");
  member(fmt::format("void key_hull(U2 (&into)[{0}], const U2 (&with)[{0}])", m),
         "hull(into, with);");
  member(fmt::format("Truth classify({}, const Box& box, const U2 (&q)[{}], const U2 (&k)[{}])",
                     where, n, m),
         pattern.classify);
  member(fmt::format("bool attends({}, s32 q, s32 k)", where), pattern.attends);
  member(fmt::format("void narrow({}, Tile& tile)", where), pattern.narrow);
  text += fmt::format(R"(}};
struct Config {{
  using Pattern = lacuna::Pattern;
  static constexpr int tile_q = {}, tile_k = {};
  static constexpr bool packed_heads = false, classifies = true;
  static constexpr Lengths lengths = Lengths::{};
}};
static_assert(sizeof(TileBuildArg) == {}, "as the host packs it");
LACUNA_KERNEL void LACUNA_BOUNDS(tile_list_threads, 1) build(LACUNA_GRID_CONST Params p) {{
  tile_lists<Config>(p);
}}
}}
)",
                      tile_q, tile_k, lengths, sizeof(TileBuildArg));
  return text;
}

}  // namespace lacuna::test
