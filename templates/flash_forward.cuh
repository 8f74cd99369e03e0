// O_i = Σ_j p_ij v_j,  p_i = softmax over the keys j that attend of  z_ij = score(scale q_i . k_j),
// lse_i = log Σ_j e^z_ij. One CTA per tile of queries; it walks the tiles of keys that the
// pattern's bands leave, tests elements only in PARTIAL tiles, and normalises once at the end
// (FlashAttention, Dao et al. 2022).
#pragma once
#include "lengths.cuh"
#include "machine/fma.cuh"
#include "tiles/band.cuh"
#include "weights/softmax.cuh"

namespace lacuna {

template <class Config, class Params>
struct FlashForward {
  using Machine = Fma<Config>;
  using Pattern = typename Config::Pattern;
  using Shared = typename Machine::Shared;
  static constexpr int rows = Machine::rows, keys = Machine::keys, values = Machine::values;

  const Params& p;
  Shared& shared;
  Place at;
  s32 row0;  // first row of the tile, within its sequence
  float o[rows][values];
  Softmax state[rows];

  LACUNA_MEMBER FlashForward(const Params& params, Shared& memory) : p(params), shared(memory) {}

  LACUNA_MEMBER void run() {
    if (!locate<Config::lengths, Config::tile_q>(p.call, block_index(), at, row0)) return;
    start();
    const s32 last = min_of(row0 + Config::tile_q, at.q_len) - 1;  // last row that exists
    if (last >= row0 && at.k_len > 0) {
      load_queries();
      Tile tile = {wrap_add(row0, at.offset),
                   wrap_add(last, at.offset),
                   at.k_len,
                   {0, at.k_len},
                   {0, at.k_len}};
      Pattern::narrow(p, at, tile);
      if (!Pattern::only_bands) tile.full.end = tile.full.begin;
      const s32 first = tile.visit.begin / Config::tile_k * Config::tile_k;
      const s32 end = tile.visit.begin < tile.visit.end ? tile.visit.end : first;
      LACUNA_NOUNROLL
      for (s32 key0 = first; key0 < end; key0 += Config::tile_k) {
        step(key0, key0 >= tile.full.begin && key0 + Config::tile_k <= tile.full.end);
      }
    }
    store();
  }

  LACUNA_MEMBER void start() {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      state[i].start();
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c) o[i][c] = 0;
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
        shared.q, address_of<typename Config::In>(p.call.q, at.h, at.q_start + first), p.call.q.row,
        [=](int r) { return first + r < count; });
  }
  template <int depth>
  LACUNA_MEMBER void load_keys(const MatrixArg& m, s32 key0) {
    const Params& params = p;
    const Place place = at;
    Machine::template load<depth, Config::tile_k>(
        shared.kv, address_of<typename Config::In>(m, at.g, at.k_start + key0), m.row, [&](int r) {
          return key0 + r < place.k_len && Pattern::keeps_key(params, place, key0 + r);
        });
  }

  LACUNA_MEMBER void step(s32 key0, bool full) {
    load_keys<Config::head_dim>(p.call.k, key0);
    cta_sync();
    float z[rows][keys];
    Machine::scores(z, shared);
    if (full) {
      to_scores(z, key0, true);
    } else {
      to_scores(z, key0, false);
    }
    weigh(z);
    cta_sync();  // every warp has read K; V takes its place
    load_keys<Config::value_dim>(p.call.v, key0);
    cta_sync();
    Machine::accumulate(o, shared);
    cta_sync();  // every warp has read V
  }

  LACUNA_MEMBER bool exists(int i) const { return row0 + Machine::row(i) < at.q_len; }
  LACUNA_MEMBER s32 query(int i) const { return wrap_add(row0 + Machine::row(i), at.offset); }

  // z = score(scale dot); a pair that does not attend is -inf, and its score is not evaluated.
  LACUNA_MEMBER void to_scores(float (&z)[rows][keys], s32 key0, bool full) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const s32 q = query(i);
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) {
        const s32 k = key0 + Machine::key(j);
        const bool live = exists(i) && (full || (k < at.k_len && Pattern::attends(p, at, q, k)));
        z[i][j] = live ? Pattern::score(p, at, q, k, z[i][j] * p.call.scale) : -infinity();
      }
    }
  }

  LACUNA_MEMBER void weigh(float (&z)[rows][keys]) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      float top = z[i][0];
      LACUNA_UNROLL
      for (int j = 1; j < keys; ++j) top = max_f32(top, z[i][j]);
      const float factor = state[i].raise(Machine::row_max(top));
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c) o[i][c] *= factor;
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j)
        shared.weights[Machine::row(i) * Machine::weight_stride + Machine::key(j)] =
            state[i].weight(z[i][j]);
    }
  }

  LACUNA_MEMBER void store() {
    const s32 limit = rows_of<Config::lengths>(p.call, at);
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const s32 r = row0 + Machine::row(i);
      const float total = Machine::row_sum(state[i].sum);
      if (r >= limit) continue;
      SoftmaxEnd end = {0.0f, -infinity()};  // absent, or no key answers
      if (is_answered(state[i].max, total))
        end = finish(state[i].max, total, Pattern::sink(p, at, query(i)));
      const s64 row = at.q_start + r;
      const u64 to = address_of<typename Config::Out>(p.call.o, at.h, row);
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c)
        store_global(to + Machine::column(c) * sizeof(typename Config::Out::Raw),
                     Config::Out::raw(o[i][c] * end.factor));
      if (Config::statistic && lane_index() % 8 == 0)
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
