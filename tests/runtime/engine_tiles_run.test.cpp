// Lists that outlive a call, made and read on the host device: against each pair of the mask, the
// reference, and calls that make their own lists or have none.
#include "tests/catch.h"
#include "tests/runtime/engine_layer.h"
#include "tests/runtime/random.h"

#include <functional>
#include <optional>

namespace {

using namespace lacuna;
using test::head_dim;
using test::host_engine;
using test::ids;
using test::Layer;

/// A mask as its formula: sequence, head, position of the query, key.
using Live = std::function<bool(int b, int h, int q, int k)>;

/// A sequence of a list: its rows of lists, lengths, and the position of its first query.
struct Sequence {
  int first_row, q_len, k_len, offset;
};

void check_rows(const TileRows& read, int b, int h, const Sequence& s, const Live& live) {
  for (int i = 0; i * read.tile_q < s.q_len; ++i) {
    TileRows::Row expected;
    for (int j = 0; j * read.tile_k < s.k_len; ++j) {
      int pairs = 0, count = 0;
      for (int q = i * read.tile_q; q < std::min((i + 1) * read.tile_q, s.q_len); ++q)
        for (int k = j * read.tile_k; k < (j + 1) * read.tile_k; ++k) {
          ++pairs;  // keys that do not exist are none that attend
          count += k < s.k_len && live(b, h, q + s.offset, k);
        }
      if (count > 0) (count == pairs ? expected.full : expected.partial).push_back(j);
    }
    CHECK(read.rows[static_cast<std::size_t>(s.first_row + i)] == expected);
  }
}

void check_order(const TileRows& read) {
  std::vector<std::int32_t> rows = read.order;
  const auto length = [&](std::int32_t row) {
    const TileRows::Row& r = read.rows[static_cast<std::size_t>(row)];
    return r.full.size() + r.partial.size();
  };
  CHECK(std::is_sorted(rows.begin(), rows.end(),
                       [&](std::int32_t a, std::int32_t b) { return length(a) > length(b); }));
  std::sort(rows.begin(), rows.end());
  for (std::size_t i = 0; i < read.rows.size(); ++i)
    REQUIRE(rows.at(i) == static_cast<std::int32_t>(i));
}

TEST_CASE(
    "layers share lists: the bits of calls that make their own, the mask's tiles, refreshed") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (const bool checked : {true, false}) {
    const auto state = host_engine({.unchecked = !checked});
    if (!state) return;
    const Shape shape{2, 4, 2, 150 + static_cast<int>(random() % 40),
                      200 + static_cast<int>(random() % 40)};
    const int nq = static_cast<int>(shape.queries), nk = static_cast<int>(shape.keys);
    const Spec spec{.pattern = Pattern::parse("attention a { tensor doc: i32[batch, key]\n"
                                              "param reach: i32\n"
                                              "mask causal\n"
                                              "mask document(doc) or q - k < reach }"),
                    .dtype = DType::f32,
                    .head_dim = head_dim,
                    .value_dim = head_dim};
    const Program program = Engine(state).program(spec);
    std::vector<std::int32_t> doc = ids(static_cast<std::size_t>(2 * nk), 60, random);
    const NamedTensor tensor{"doc", TensorView::contiguous(doc.data(), DType::i32, {2, nk})};
    NamedValue reach{"reach", static_cast<std::int32_t>(random() % 20)};
    const Live live = [&](int b, int, int q, int k) {
      const std::int32_t* of = doc.data() + b * nk;
      return k <= q && (of[q] == of[k] || q - k < std::get<std::int32_t>(reach.value));
    };
    Layer first(shape, false, random), second(shape, false, random);
    for (Layer* layer : {&first, &second}) {
      layer->args.tensors = {&tensor, 1};
      layer->args.params = {&reach, 1};
    }
    Tiles tiles = program.tiles(first.args);
    for (const bool refreshed : {false, true}) {
      if (refreshed) {
        const std::vector<std::int32_t> others = ids(doc.size(), 25, random);
        std::copy(others.begin(), others.end(), doc.begin());  // in place
        reach.value = static_cast<std::int32_t>(20 + random() % 20);
        tiles.refresh(second.args);
      }
      for (Layer* layer : {&first, &second}) {
        const std::vector<float> own = layer->forward(program);
        CHECK(layer->forward(program, &tiles) == own);
        layer->check(program, own);
      }
      const TileRows read = tiles.read();
      CHECK(read.list_batch == 2);
      CHECK(read.list_heads == 1);
      REQUIRE(read.rows.size() == static_cast<std::size_t>(2 * read.q_tiles));
      for (int b = 0; b < 2; ++b) check_rows(read, b, 0, {b * read.q_tiles, nq, nk, nk - nq}, live);
      check_order(read);
    }
  }
}

TEST_CASE("lists of packed sequences, by head: beside the reference and the plain route") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const auto state = host_engine({.unchecked = true});
  if (!state) return;
  const int lengths[] = {40 + static_cast<int>(random() % 60), 0, 1,
                         60 + static_cast<int>(random() % 90)};
  std::vector<std::int32_t> starts = {0};
  for (const int length : lengths) starts.push_back(starts.back() + length);
  const int total = starts.back();
  // Of random words no tile is FULL: the plain route takes the same steps in the same order.
  const Spec spec{.pattern = Pattern::parse("attention a { tensor word: i32[_, head, key]\n"
                                            "mask causal\n"
                                            "mask word[0, h, q] & word[0, h, k] != 0 }"),
                  .dtype = DType::f32,
                  .head_dim = head_dim,
                  .value_dim = head_dim,
                  .lengths = Lengths::packed};
  const Program program = Engine(state).program(spec);
  std::vector<std::int32_t> word(static_cast<std::size_t>(2 * total));
  for (std::int32_t& each : word) each = 1 << random() % 8 | 1 << random() % 8;
  const NamedTensor tensor{"word", TensorView::contiguous(word.data(), DType::i32, {1, 2, total})};
  const Shape shape{4, 2, 1, total, total};
  Layer layer(shape, true, random);
  layer.args.tensors = {&tensor, 1};
  layer.args.cu_seqlens_q = layer.args.cu_seqlens_k =
      TensorView::contiguous(starts.data(), DType::i32, {5});
  const Tiles tiles = program.tiles(layer.args);
  const std::vector<float> shared = layer.forward(program, &tiles);
  CHECK(shared == layer.forward_plain(program));
  layer.check(program, shared);
  const TileRows read = tiles.read();
  CHECK(read.list_batch == 1);
  REQUIRE(read.list_heads == 2);
  for (int h = 0; h < 2; ++h)
    for (int s = 0; s < 4; ++s) {
      const int start = starts[static_cast<std::size_t>(s)];
      const std::int32_t* of = word.data() + h * total + start;
      const Live live = [&](int, int, int q, int k) { return k <= q && (of[q] & of[k]) != 0; };
      check_rows(read, 0, h,
                 {h * read.q_tiles + start / read.tile_q + s, lengths[s], lengths[s], 0}, live);
    }
  check_order(read);
}

TEST_CASE("lists made by one engine of the host are read by another, and outlive the first") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const Spec spec{.pattern = Pattern::parse("attention a { mask chunked(50) }"),
                  .dtype = DType::f32,
                  .head_dim = head_dim,
                  .value_dim = head_dim};
  Layer layer({1, 2, 1, 130, 170}, false, random);
  std::optional<Tiles> tiles;
  for (const int threads : {1, 3}) {
    const auto state = host_engine({}, threads);
    if (!state) return;
    const Program program = Engine(state).program(spec);
    if (!tiles) tiles = program.tiles(layer.args);
    layer.check(program, layer.forward(program, &*tiles));
  }
}

TEST_CASE("lists of padded sequences, each with an offset of its own, and refreshed") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const auto state = host_engine({});
  if (!state) return;
  const Spec spec{.pattern = Pattern::parse("attention a { mask causal\n mask chunked(50) }"),
                  .dtype = DType::f32,
                  .head_dim = head_dim,
                  .value_dim = head_dim,
                  .lengths = Lengths::padded};
  const Program program = Engine(state).program(spec);
  Layer layer({2, 2, 1, 130, 170}, false, random);
  std::vector<std::int32_t> q_lens(2), k_lens(2), offsets(2);
  layer.args.q_lens = TensorView::contiguous(q_lens.data(), DType::i32, {2});
  layer.args.k_lens = TensorView::contiguous(k_lens.data(), DType::i32, {2});
  layer.args.offsets = TensorView::contiguous(offsets.data(), DType::i32, {2});
  std::optional<Tiles> tiles;
  for (int time = 0; time < 2; ++time) {
    const auto below = [&](unsigned limit) { return static_cast<std::int32_t>(random() % limit); };
    for (std::size_t b = 0; b < 2; ++b) {
      q_lens[b] = below(131);
      k_lens[b] = below(171);
      offsets[b] = below(80) - 30;
    }
    if (tiles)
      tiles->refresh(layer.args);
    else
      tiles = program.tiles(layer.args);
    const std::vector<float> shared = layer.forward(program, &*tiles);
    CHECK(shared == layer.forward(program));
    layer.check(program, shared);
    const Live live = [](int, int, int q, int k) {
      return k <= q && (q >= 0 ? q / 50 : (q - 49) / 50) == k / 50;
    };
    const TileRows read = tiles->read();
    REQUIRE(read.list_batch == 2);
    for (int b = 0; b < 2; ++b) {
      const auto at = static_cast<std::size_t>(b);
      const int first = b * read.q_tiles;
      check_rows(read, b, 0, {first, q_lens[at], k_lens[at], offsets[at]}, live);
      for (int i = (q_lens[at] + read.tile_q - 1) / read.tile_q; i < read.q_tiles; ++i)
        CHECK(read.rows[static_cast<std::size_t>(first + i)] == TileRows::Row{});
    }
  }
}

}  // namespace
