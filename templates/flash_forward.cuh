// O_i = Σ_j p_ij v_j,  p_i = softmax over the keys j that attend of  z_ij = score(scale q_i . k_j),
// lse_i = log Σ_j e^z_ij. One CTA per tile of queries; it walks the tiles of keys that the
// pattern's bands leave, or those of a list that was made of any mask, tests elements only in
// PARTIAL tiles, and normalises once at the end (FlashAttention, Dao et al. 2022). Where queries
// are few, the visited tiles are split over several CTAs, and combine.cuh merges what each found;
// with packed heads a tile holds the rows of all heads that share K and V, which are then read
// once.
#pragma once
#include "lengths.cuh"
#include "parts.cuh"
#include "tiles/visit.cuh"
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
  static constexpr bool packed_heads = Config::packed_heads;
  static_assert(!packed_heads || Config::split, "store() writes the rows of one head");
  static constexpr bool listed = Config::lists;
  static_assert(!listed || !Config::split, "a list is walked by one CTA");

  const Params& p;
  Shared& shared;
  Rows<packed_heads> tile_rows;
  Place at;
  s32 row0;   // first row of the tile, within its sequence
  s32 split;  // which part of the visited tiles is this CTA's
  Visit<Config, listed> visit;
  Sight<Config> sight;
  int slot;            // of K of the tile at hand
  u64 next_k, next_v;  // rows of the tiles to ask for next; of a list, of key 0
  bool raw;            // z is the plain product: its unit has the scale in it
  float unit;          // binary orders of a score that differs by 1
  float o[rows][values];
  Softmax state[rows];

  LACUNA_MEMBER FlashForward(const Params& params, Shared& memory)
      : p(params), shared(memory), tile_rows(params.call) {}

  LACUNA_MEMBER void run() {
    u32 block = block_index();
    if constexpr (Config::split) {
      const u32 all = block;
      block = quotient(all, p.call.by_splits);
      split = (s32)(all - block * (u32)p.call.splits);
    }
    block = visit.take(p, block);
    if (!locate<Config::lengths, Config::tile_q, packed_heads>(p.call, block, at, row0)) return;
    start();
    visit.find(p, at, tile_rows, row0);
    if constexpr (Config::split) visit.take_part(split, p.call.splits);
    walk();
    if constexpr (Config::split)
      store_part();
    else
      store();
  }

  LACUNA_MEMBER void start() {
    const ScoreUnit score = score_unit(Pattern::plain_score, p.call.scale);
    raw = score.raw;
    unit = score.orders;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      state[i].start(unit);
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c) o[i][c] = 0;
    }
  }

  LACUNA_MEMBER void walk() {
    slot = 0;
    if constexpr (Pattern::only_bands) sight.find(p, at, tile_rows, row0 + Machine::first_row());
    next_k = address_of<typename Config::In>(p.call.k, at.g, at.k_start + visit.key0);
    next_v = address_of<typename Config::In>(p.call.v, at.g, at.k_start + visit.key0);
    if (visit.count > 0) {
      load_queries();
      fetch_first();
    }
    LACUNA_NOUNROLL
    for (s32 t = 0; t < visit.count; ++t) {
      const s32 first = visit.first_key(t);
      step(t, first, visit.is_full(t, first));
      slot = stages <= 2 ? 0 : wrap(slot + 2);
    }
  }

  // ---- The ring of operands. Operand 2 t is K of tile t, operand 2 t + 1 its V. ----
  LACUNA_MEMBER static int wrap(int index) { return index >= stages ? index - stages : index; }
  // Asks for operand 2 tile or 2 tile + 1, if there is one.
  template <bool values_too>
  LACUNA_MEMBER void fetch(s32 tile, int to) {
    if (tile < visit.count) {
      const s32 first = visit.first_key(tile);
      if constexpr (values_too)
        load_keys<Config::value_dim, true>(next_v, p.call.v.row, first, to);
      else
        load_keys<Config::head_dim, true>(next_k, p.call.k.row, first, to);
    }
    Machine::commit();
  }
  // The first operands; one piece of code for both where it can be.
  LACUNA_MEMBER void fetch_first() {
    LACUNA_NOUNROLL
    for (int n = 0; n < ahead; ++n) {
      const bool odd = n % 2 != 0;
      const s32 tile = n / 2;
      if (tile < visit.count) {
        const s32 first = visit.first_key(tile);
        u64 from = odd ? next_v : next_k;
        const s64 row = odd ? p.call.v.row : p.call.k.row;
        if (Config::head_dim == Config::value_dim || !odd)
          load_keys<Config::head_dim, false>(from, row, first, n);
        else
          load_keys<Config::value_dim, false>(from, row, first, n);
        next_k = odd ? next_k : from;
        next_v = odd ? from : next_v;
      }
      Machine::commit();
    }
  }
  // Makes operand 2 t + n, in slot `used`, visible to all, and asks for that which takes the slot
  // that it frees.
  template <int n>
  LACUNA_MEMBER void turn(s32 t, int used) {
    if constexpr (ahead == 0) {
      cta_sync();  // every warp has read what was there
      fetch<n != 0>(t, used);
      Machine::template wait<0>();
      cta_sync();
    } else {
      Machine::template wait<ahead - 1>();
      cta_sync();
      fetch<(n + ahead) % 2 != 0>(t + (n + ahead) / 2, wrap(used + ahead));
    }
  }

  template <class Storage>
  LACUNA_MEMBER u64 address_of(const MatrixArg& m, s64 h, s64 row) const {
    return row_address<Storage, Config::lengths>(m, at, h, row);
  }
  LACUNA_MEMBER void load_queries() {
    const s32 first = row0, count = tile_rows.count(at.q_len);
    const auto present = [=](int r) { return first + r < count; };
    if constexpr (packed_heads) {
      const FlashForward& pass = *this;
      Machine::template gather<Config::head_dim, Config::tile_q>(
          Machine::queries(shared),
          [&](int r) {
            const s32 row = first + r;
            return pass.template address_of<typename Config::In>(
                pass.p.call.q, pass.tile_rows.head(pass.at, row),
                pass.at.q_start + pass.tile_rows.query(row));
          },
          present);
    } else {
      Machine::template load<Config::head_dim, Config::tile_q, false>(
          Machine::queries(shared),
          address_of<typename Config::In>(p.call.q, at.h, at.q_start + first), p.call.q.row,
          present);
    }
  }
  // The rows of a tile: from `next` on, which then is the next tile's; those of a list from the
  // first key on, which `next` stays.
  template <int depth, bool unrolled>
  LACUNA_MEMBER void load_keys(u64& next, s64 row, s32 first, int to) {
    const Params& params = p;
    const Place place = at;
    const s64 pitch = row * (s64)sizeof(typename Config::In::Raw);
    Machine::template load<depth, Config::tile_k, unrolled>(
        Machine::slot(shared, to), listed ? next + (u64)(first * pitch) : next, row, [&](int r) {
          return (u32)(first + r) < (u32)place.k_len &&
                 Pattern::keeps_key(params, place, first + r);
        });
    if (!listed) next += (u64)(pitch * Config::tile_k);
  }

  LACUNA_MEMBER void step(s32 t, s32 first, bool full) {
    float z[rows][keys];
    turn<0>(t, slot);
    Machine::scores(z, shared, slot);
    const int v_slot = stages == 1 ? 0 : wrap(slot + 1);
    turn<1>(t, v_slot);
    if (!full || (Pattern::plain_score && !raw)) {
      to_scores<false>(z, first);
    } else if (!Pattern::plain_score) {
      to_scores<true>(z, first);
    }
    weigh(z);
    Machine::accumulate(o, z, shared, v_slot);
  }

  LACUNA_MEMBER s32 row(int i) const { return row0 + Machine::row(i); }
  LACUNA_MEMBER bool exists(int i) const { return row(i) < tile_rows.count(at.q_len); }
  LACUNA_MEMBER s32 query_of(s32 r) const { return wrap_add(tile_rows.query(r), at.offset); }
  LACUNA_MEMBER s32 query(int i) const { return query_of(row(i)); }
  // The place of a row: with packed heads each has its own head.
  LACUNA_MEMBER decltype(auto) place_of(s32 r) const {
    if constexpr (packed_heads) {
      Place here = at;
      here.h = tile_rows.head(at, r);
      return here;
    } else {
      return (at);
    }
  }
  LACUNA_MEMBER decltype(auto) place(int i) const { return place_of(row(i)); }
  // What the pattern reads by row, and by key; behind the last one, that one's.
  using RowValues = typename Pattern::RowValues;
  using KeyValues = typename Pattern::KeyValues;
  LACUNA_MEMBER void read_rows(RowValues (&values)[rows]) const {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const s32 r = min_of(row(i), tile_rows.count(at.q_len) - 1);
      values[i] = Pattern::row_values(p, place_of(r), query_of(r));
    }
  }
  LACUNA_MEMBER KeyValues read_key(s32 k) const {
    return Pattern::key_values(p, at, min_of(k, at.k_len - 1));
  }

  // A pair that does not attend is -inf, and its score is not evaluated.
  template <bool full>
  LACUNA_MEMBER void to_scores(float (&z)[rows][keys], s32 first) {
    const float scale = raw ? 1.0f : p.call.scale;
    RowValues of_row[rows];
    read_rows(of_row);
    u32 words[rows];
    if (!full && mask_words) live_keys(words, of_row, first);
    // Row by row the bits of a word become predicates together; key by key each is read once.
    constexpr bool by_row = !full && mask_words && (Pattern::plain_score || __is_empty(KeyValues));
    KeyValues of_key;
    LACUNA_UNROLL
    for (int a = 0; a < (by_row ? rows : keys); ++a) {
      LACUNA_UNROLL
      for (int b = 0; b < (by_row ? keys : rows); ++b) {
        const int i = by_row ? a : b, j = by_row ? b : a;
        const s32 k = first + Machine::key(j);
        if (!by_row && i == 0) of_key = read_key(k);
        const bool live = full         ? exists(i)
                          : mask_words ? (words[i] >> j & 1) != 0
                                       : attends(i, k, of_row[i], of_key);
        z[i][j] = live
                      ? Pattern::score(p, place(i), query(i), k, of_row[i], of_key, z[i][j] * scale)
                      : -infinity();
      }
    }
  }
  LACUNA_MEMBER bool attends(int i, s32 k, const RowValues& of_row, const KeyValues& of_key) const {
    return exists(i) && k < at.k_len && Pattern::attends(p, place(i), query(i), k, of_row, of_key);
  }

  // ---- Masks as words: one bit for each key of a lane. ----
  static constexpr bool mask_words = Pattern::only_bands || Pattern::rolled_mask;
  static_assert(!mask_words || keys <= 32, "a row's keys fit a word");
  LACUNA_MEMBER void live_keys(u32 (&words)[rows], const RowValues (&of_row)[rows],
                               s32 first) const {
    if constexpr (Pattern::only_bands) {
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) {
        const Range seen = sight.keys(Machine::row(i) - Machine::first_row());
        words[i] = bits(Machine::keys_below(seen.end - first)) &
                   ~bits(Machine::keys_below(seen.begin - first));
      }
      if (sight.exact) return;
    }
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) words[i] = 0;
    LACUNA_UNROLL_BY(Pattern::only_bands ? 1 : 4)
    for (int j = 0; j < keys; ++j) {
      const s32 k = first + Machine::key(j);
      const KeyValues of_key = read_key(k);
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) words[i] |= (u32)attends(i, k, of_row[i], of_key) << j;
    }
  }
  LACUNA_MEMBER static u32 bits(int count) {
    return keys == 32 && count == 32 ? 0xffffffffu : (1u << count) - 1;
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

  // What this split found of its rows, for combine.cuh.
  LACUNA_MEMBER void store_part() {
    const Parts<Config::lengths, Config::value_dim> parts(p.call);
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const float total = Machine::row_sum(state[i].sum);
      if (!exists(i)) continue;
      const s64 to = parts.row(at, place(i).h, at.q_start + tile_rows.query(row(i)));
      const u64 first = parts.sums(split, to) + Machine::column(0) * 4;
      LACUNA_UNROLL
      for (int c = 0; c < values; c += Machine::run) {
        float x[Machine::run];
        LACUNA_UNROLL
        for (int e = 0; e < Machine::run; ++e) x[e] = o[i][c + e];
        store_columns<F32, true>(first + Machine::after(c) * 4, x);
      }
      if ((int)lane_index() % Machine::row_lanes == 0)
        store_global(parts.state(split, to), F2{state[i].max, total});
    }
  }

  LACUNA_MEMBER void store() {
    const s32 limit = rows_of<Config::lengths>(p.call, at);
    const float natural = raw ? p.call.scale : 1.0f;
    constexpr int size = (int)sizeof(typename Config::Out::Raw);
    const s32 first_row = row0 + Machine::row(0);
    const u64 corner = address_of<typename Config::Out>(p.call.o, at.h, at.q_start + first_row) +
                       Machine::column(0) * size;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const s32 down = Machine::row(i) - Machine::row(0), r = first_row + down;
      const float total = Machine::row_sum(state[i].sum);
      if (r >= limit) continue;
      SoftmaxEnd end = {0.0f, -infinity()};
      if (exists(i) && is_answered(state[i].max, total))
        end = finish(state[i].max * natural, total, Pattern::sink(p, at, query(i)));
      const u64 first = corner + (u64)(down * p.call.o.row * size);
      LACUNA_UNROLL
      for (int c = 0; c < values; c += Machine::run) {
        float x[Machine::run];
        LACUNA_UNROLL
        for (int e = 0; e < Machine::run; ++e) x[e] = o[i][c + e] * end.factor;
        store_columns<typename Config::Out, Config::aligned>(first + Machine::after(c) * size, x);
      }
      if (Config::statistic && (int)lane_index() % Machine::row_lanes == 0)
        store_global(address_of<F32>(p.call.lse, at.h, at.q_start + r), end.lse);
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
