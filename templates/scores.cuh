// z_ij = score(scale q_i . k_j) where the pair attends, else -inf: what every pass over tiles of
// queries begins with. Operands on their way to shared memory, the rows of a CTA and what they
// read, and masks, as words of bits where that is less code.
#pragma once
#include "lengths.cuh"
#include "tiles/visit.cuh"

namespace lacuna {

template <class Config_, class Params>
struct TileScores {
  using Config = Config_;
  using Machine = typename Config::Machine;
  using Pattern = typename Config::Pattern;
  using Shared = typename Machine::Shared;
  static constexpr int rows = Machine::rows, keys = Machine::keys;
  static constexpr bool packed_heads = Config::packed_heads, listed = Config::lists;
  static_assert(!listed || !Config::split, "a list is walked by one CTA");

  const Params& p;
  Shared& shared;
  Rows<packed_heads> tile_rows;
  Place at;
  s32 row0;  // first row of the tile, within its sequence
  Visit<Config, listed> visit;
  Sight<Config> sight;
  bool raw;  // z is the plain product: its unit has the scale in it

  LACUNA_MEMBER TileScores(const Params& params, Shared& memory)
      : p(params), shared(memory), tile_rows(params.call) {}

  template <class Storage>
  LACUNA_MEMBER u64 address_of(const MatrixArg& m, s64 h, s64 row) const {
    return row_address<Storage, Config::lengths>(m, at, h, row);
  }
  LACUNA_MEMBER void load_queries() {
    const s32 first = row0, count = tile_rows.count(at.q_len);
    const auto present = [=](int r) { return first + r < count; };
    if constexpr (packed_heads) {
      const TileScores& pass = *this;
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
  // The rows of a tile of keys, or of a stage of them: from `next` on, which then is the tile's
  // behind it, or (stride -1) before it; stride 0: from `first` rows behind `next`, which stays
  // that of key 0.
  template <int depth, bool unrolled, int stride = listed ? 0 : 1>
  LACUNA_MEMBER void load_keys(u64& next, s64 row, s32 first, int to) {
    const Params& params = p;
    const Place place = at;
    const s64 pitch = row * (s64)sizeof(typename Config::In::Raw);
    Machine::template load<depth, Machine::stage_keys, unrolled>(
        Machine::slot(shared, to), stride != 0 ? next : next + (u64)(first * pitch), row,
        [&](int r) {
          return (u32)(first + r) < (u32)place.k_len &&
                 Pattern::keeps_key(params, place, first + r);
        });
    if (stride != 0) next += (u64)(pitch * (stride * Machine::stage_keys));
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
  // What the pattern reads by row, and by key; behind the last one, that one's. For FULL tiles what
  // the score needs of it.
  using RowValues = typename Pattern::RowValues;
  using KeyValues = typename Pattern::KeyValues;
  template <bool full>
  LACUNA_MEMBER void read_rows(RowValues (&values)[rows]) const {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const s32 r = min_of(row(i), tile_rows.count(at.q_len) - 1);
      values[i] = Pattern::template row_values<full>(p, place_of(r), query_of(r));
    }
  }
  template <bool full>
  LACUNA_MEMBER KeyValues read_key(s32 k) const {
    return Pattern::template key_values<full>(p, at, min_of(k, at.k_len - 1));
  }

  // A pair that does not attend is -inf, and its score is not evaluated here. `live`, of rolled
  // masks, is of `sees`, or all bits in a FULL tile. False: no row of this warp sees any key, where
  // `sees` could not tell. Not `scored`: other pairs stay what they are.
  template <bool full, bool scored = true>
  LACUNA_MEMBER bool to_scores(float (&z)[rows][keys], u32 (&live)[rows], s32 first) {
    const float scale = raw ? 1.0f : p.call.scale;
    RowValues of_row[rows];
    read_rows<full>(of_row);
    if (!full && Pattern::only_bands) live_keys(live, of_row, first);
    // Row by row the bits of a word become predicates together; key by key each is read once.
    constexpr bool by_row =
        !full && mask_words && (Pattern::plain_score || !scored || __is_empty(KeyValues));
    KeyValues of_key;
    bool any = false;
    LACUNA_UNROLL
    for (int a = 0; a < (by_row ? rows : keys); ++a) {
      LACUNA_UNROLL
      for (int b = 0; b < (by_row ? keys : rows); ++b) {
        const int i = by_row ? a : b, j = by_row ? b : a;
        const s32 k = first + Machine::key(j);
        if (!by_row && i == 0) of_key = read_key<full>(k);
        const bool here = full         ? exists(i)
                          : mask_words ? (live[i] >> j & 1) != 0
                                       : attends(i, k, of_row[i], of_key);
        any |= here;
        if constexpr (scored)
          z[i][j] =
              here ? Pattern::score(p, place(i), query(i), k, of_row[i], of_key, z[i][j] * scale)
                   : -infinity();
        else
          z[i][j] = here ? z[i][j] : -infinity();
      }
    }
    return full || mask_words || any_lane(any);
  }
  // The products of a whole tile become scores. False: as above. Those of absent rows are anything,
  // unless `masks_rows`.
  template <bool masks_rows = false>
  LACUNA_MEMBER bool become_scores(float (&z)[rows][keys], u32 (&live)[rows], s32 first,
                                   bool full) {
    if constexpr (masks_scores) {
      score_all<masks_rows>(z, first);
      return full || to_scores<false, false>(z, live, first);
    }
    if (!full || (Pattern::plain_score && !raw)) return to_scores<false>(z, live, first);
    return Pattern::plain_score || to_scores<true>(z, live, first);
  }
  LACUNA_MEMBER bool attends(int i, s32 k, const RowValues& of_row, const KeyValues& of_key) const {
    return exists(i) && k < at.k_len && Pattern::attends(p, place(i), query(i), k, of_row, of_key);
  }

  // ---- Masks as words: one bit for each key of a lane. ----
  static constexpr bool mask_words = Pattern::only_bands || Pattern::rolled_mask;
  static_assert(!mask_words || keys <= 32, "a row's keys fit a word");
  // Where any pair may have its score computed, such masks come after it: one piece of code for
  // tiles of either kind.
  static constexpr bool masks_scores = mask_words && Pattern::scores_any_pair;
  template <bool masks_rows>
  LACUNA_MEMBER void score_all(float (&z)[rows][keys], s32 first) const {
    const float scale = p.call.scale;
    RowValues of_row[rows];
    read_rows<true>(of_row);
    LACUNA_UNROLL
    for (int j = 0; j < keys; ++j) {
      const s32 k = first + Machine::key(j);
      const KeyValues of_key = read_key<true>(k);
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i)
        z[i][j] = masks_rows && !exists(i) ? -infinity()
                                           : Pattern::score(p, place(i), query(i), k, of_row[i],
                                                            of_key, z[i][j] * scale);
    }
  }
  // Whether this warp may see a key of the tile, before any score is known. Of rolled masks `live`
  // says which of its keys each row sees.
  LACUNA_MEMBER bool sees(u32 (&live)[rows], s32 first) const {
    if (Pattern::only_bands) return sight.meets(first);
    if (!mask_words) return true;
    RowValues of_row[rows];
    read_rows<false>(of_row);
    live_keys(live, of_row, first);
    u32 any = 0;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) any |= live[i];
    return any_lane(any != 0);
  }
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
      const KeyValues of_key = read_key<false>(k);
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) words[i] |= (u32)attends(i, k, of_row[i], of_key) << j;
    }
  }
  LACUNA_MEMBER static u32 bits(int count) {
    return keys == 32 && count == 32 ? 0xffffffffu : (1u << count) - 1;
  }
};

}  // namespace lacuna
