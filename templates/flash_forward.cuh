// O_i = Σ_j p_ij v_j,  p_i = softmax over the keys j that attend of  z_ij = score(scale q_i . k_j),
// lse_i = log Σ_j e^z_ij. One CTA per tile of queries; it walks the tiles of keys that the
// pattern's bands leave, tests elements only in PARTIAL tiles, and normalises once at the end
// (FlashAttention, Dao et al. 2022).
#pragma once
#include "lengths.cuh"
#include "tiles/band.cuh"
#include "weights/softmax.cuh"

namespace lacuna {

template <class Config, class Params>
struct FlashForward {
  using Machine = typename Config::Machine;
  using Pattern = typename Config::Pattern;
  using Shared = typename Machine::Shared;
  static constexpr int rows = Machine::rows, keys = Machine::keys, values = Machine::values;
  // Operands, K and V by turns, take turns in `stages` slots of shared memory: so many are on their
  // way while one is used.
  static constexpr int stages = Machine::stages, ahead = stages - 1;

  const Params& p;
  Shared& shared;
  Place at;
  s32 row0;    // first row of the tile, within its sequence
  s32 key0;    // first key of the first visited tile
  s32 tiles;   // visited
  int slot;    // of K of the tile at hand
  bool raw;    // z is the plain product: its unit has the scale in it
  float unit;  // binary orders of a score that differs by 1
  float o[rows][values];
  Softmax state[rows];

  LACUNA_MEMBER FlashForward(const Params& params, Shared& memory) : p(params), shared(memory) {}

  LACUNA_MEMBER void run() {
    if (!locate<Config::lengths, Config::tile_q>(p.call, block_index(), at, row0)) return;
    start();
    const s32 last = min_of(row0 + Config::tile_q, at.q_len) - 1;  // last row that exists
    if (last >= row0 && at.k_len > 0) {
      Tile tile = {wrap_add(row0, at.offset),
                   wrap_add(last, at.offset),
                   at.k_len,
                   {0, at.k_len},
                   {0, at.k_len}};
      Pattern::narrow(p, at, tile);
      if (!Pattern::only_bands) tile.full.end = tile.full.begin;
      key0 = tile.visit.begin / Config::tile_k * Config::tile_k;
      tiles =
          tile.visit.begin < tile.visit.end ? ceil_div(tile.visit.end - key0, Config::tile_k) : 0;
      walk(tile.full);
    }
    store();
  }

  LACUNA_MEMBER void start() {
    // A scale in the usual range becomes part of the exponential; others multiply every score.
    const float scale = p.call.scale;
    raw = Pattern::plain_score && scale > 0x1p-60f && scale < 0x1p60f;
    unit = 1.4426950408889634f * (raw ? scale : 1.0f);
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      state[i].start(unit);
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c) o[i][c] = 0;
    }
  }

  LACUNA_MEMBER void walk(const Range& full) {
    if (tiles == 0) return;
    load_queries();
    slot = 0;
    fetch_first<0>();
    LACUNA_NOUNROLL
    for (s32 t = 0; t < tiles; ++t) {
      const s32 first = key0 + t * Config::tile_k;
      step(t, first, first >= full.begin && first + Config::tile_k <= full.end);
      slot = stages <= 2 ? 0 : wrap(slot + 2);
    }
  }

  // ---- The ring of operands. Operand 2 t is K of tile t, operand 2 t + 1 its V. ----
  LACUNA_MEMBER static int wrap(int index) { return index >= stages ? index - stages : index; }
  template <int n>
  LACUNA_MEMBER void fetch_first() {
    if constexpr (n < ahead) {
      fetch<n>(n / 2, n);
      fetch_first<n + 1>();
    }
  }
  // Operand n of the walk, whose parity alone is known when this is compiled.
  template <int n>
  LACUNA_MEMBER void fetch(s32 tile, int to) {
    if (tile < tiles) {
      const s32 first = key0 + tile * Config::tile_k;
      if constexpr (n % 2 == 0)
        load_keys<Config::head_dim>(p.call.k, first, to);
      else
        load_keys<Config::value_dim>(p.call.v, first, to);
    }
    Machine::commit();
  }
  // Makes operand 2 t + n, in slot `used`, visible to all, and asks for that which takes the slot
  // that it frees.
  template <int n>
  LACUNA_MEMBER void turn(s32 t, int used) {
    if constexpr (ahead == 0) {
      cta_sync();  // every warp has read what was there
      fetch<n>(t, used);
      Machine::template wait<0>();
      cta_sync();
    } else {
      Machine::template wait<ahead - 1>();
      cta_sync();
      fetch<n + ahead>(t + (n + ahead) / 2, wrap(used + ahead));
    }
  }

  // The address of a row; packed sequences share a batch axis of extent 1.
  template <class Storage>
  LACUNA_MEMBER u64 address_of(const MatrixArg& m, s64 h, s64 row) const {
    const s64 b = Config::lengths == Lengths::packed ? 0 : at.b;
    return m.data +
           (u64)((b * m.batch + h * m.head + row * m.row) * (s64)sizeof(typename Storage::Raw));
  }
  LACUNA_MEMBER void load_queries() {
    const s32 first = row0, count = at.q_len;
    Machine::template load<Config::head_dim, Config::tile_q>(
        Machine::queries(shared),
        address_of<typename Config::In>(p.call.q, at.h, at.q_start + first), p.call.q.row,
        [=](int r) { return first + r < count; });
  }
  template <int depth>
  LACUNA_MEMBER void load_keys(const MatrixArg& m, s32 first, int to) {
    const Params& params = p;
    const Place place = at;
    Machine::template load<depth, Config::tile_k>(
        Machine::slot(shared, to), address_of<typename Config::In>(m, at.g, at.k_start + first),
        m.row, [&](int r) {
          return first + r < place.k_len && Pattern::keeps_key(params, place, first + r);
        });
  }

  LACUNA_MEMBER void step(s32 t, s32 first, bool full) {
    float z[rows][keys];
    turn<0>(t, slot);
    Machine::scores(z, shared, slot);
    const int v_slot = stages == 1 ? 0 : wrap(slot + 1);
    turn<1>(t, v_slot);
    if (!raw) scale(z);
    if (!full) {
      to_scores<false>(z, first);
    } else if (!Pattern::plain_score) {
      to_scores<true>(z, first);
    }
    weigh(z);
    Machine::accumulate(o, z, shared, v_slot);
  }

  LACUNA_MEMBER bool exists(int i) const { return row0 + Machine::row(i) < at.q_len; }
  LACUNA_MEMBER s32 query(int i) const { return wrap_add(row0 + Machine::row(i), at.offset); }

  LACUNA_MEMBER void scale(float (&z)[rows][keys]) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) z[i][j] *= p.call.scale;
    }
  }
  // A pair that does not attend is -inf, and its score is not evaluated.
  template <bool full>
  LACUNA_MEMBER void to_scores(float (&z)[rows][keys], s32 first) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const s32 q = query(i);
      const u32 row = !full && Pattern::rolled_mask ? live_keys(i, q, first) : 0;
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) {
        const s32 k = first + Machine::key(j);
        const bool live = full                   ? exists(i)
                          : Pattern::rolled_mask ? (row >> j & 1) != 0
                                                 : attends(i, q, k);
        z[i][j] = live ? Pattern::score(p, at, q, k, z[i][j]) : -infinity();
      }
    }
  }
  LACUNA_MEMBER bool attends(int i, s32 q, s32 k) const {
    return exists(i) && k < at.k_len && Pattern::attends(p, at, q, k);
  }
  // One bit for each key of a lane.
  LACUNA_MEMBER u32 live_keys(int i, s32 q, s32 first) const {
    static_assert(keys <= 32, "a row's keys fit a word");
    u32 word = 0;
    LACUNA_NOUNROLL
    for (int j = 0; j < keys; ++j) word |= (u32)attends(i, q, first + Machine::key(j)) << j;
    return word;
  }

  // z becomes the weights.
  LACUNA_MEMBER void weigh(float (&z)[rows][keys]) {
    float top[rows];
    bool higher = false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      top[i] = z[i][0];
      LACUNA_UNROLL
      for (int j = 1; j < keys; ++j) top[i] = max_f32(top[i], z[i][j]);
      top[i] = Machine::row_max(top[i]);
      higher |= top[i] > state[i].max;
    }
    if (any_lane(higher)) {  // ever more rarely
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) {
        const float factor = state[i].raise(top[i], unit);
        LACUNA_UNROLL
        for (int c = 0; c < values; ++c) o[i][c] *= factor;
      }
    }
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) z[i][j] = state[i].weight(z[i][j]);
    }
  }

  LACUNA_MEMBER void store() {
    const s32 limit = rows_of<Config::lengths>(p.call, at);
    const float natural = raw ? p.call.scale : 1.0f;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const s32 r = row0 + Machine::row(i);
      const float total = Machine::row_sum(state[i].sum);
      if (r >= limit) continue;
      SoftmaxEnd end = {0.0f, -infinity()};
      const bool answered = exists(i) && is_answered(state[i].max, total);
      if (answered) end = finish(state[i].max * natural, total, Pattern::sink(p, at, query(i)));
      const s64 row = at.q_start + r;
      const u64 to = address_of<typename Config::Out>(p.call.o, at.h, row);
      LACUNA_UNROLL
      for (int c = 0; c < values; c += Machine::run) {
        float x[Machine::run];
        LACUNA_UNROLL
        for (int e = 0; e < Machine::run; ++e) x[e] = answered ? o[i][c + e] * end.factor : 0.0f;
        store_columns<typename Config::Out, Config::aligned>(
            to + Machine::column(c) * sizeof(typename Config::Out::Raw), x);
      }
      if (Config::statistic && (int)lane_index() % Machine::row_lanes == 0)
        store_global(address_of<F32>(p.call.lse, at.h, row), end.lse);
    }
  }
};

template <class Config, class Params>
LACUNA_DEVICE void flash_forward(const Params& p) {
  using Pass = FlashForward<Config, Params>;
  LACUNA_DYNAMIC_SHARED(memory);
  Pass pass(p, *(typename Pass::Shared*)memory);
  pass.run();
}

}  // namespace lacuna
