// The scores of few rows, kept: z_ij = score(scale q_i . k_j) of a part of the keys lies in shared
// memory, where steps of Newton find a bound below the threshold of each row,
//   Σ_j [c z_ij - τ_i]₊^β = 1,
// from these keys alone; other keys only raise it. What is above the bound is a candidate, and
// gather.cuh takes those of all parts. Keys are split over CTAs, and with packed heads a tile holds
// the rows of all heads that share K. A part with more keys than there is room for is taken in
// rounds. Nothing is atomic: the same candidates in the same order, every time.
#pragma once
#include "parts.cuh"
#include "scores.cuh"
#include "weights/entmax_row.cuh"

namespace lacuna {

// Where the candidates of a row lie, and how many of them each split left.
template <Lengths kind, class Params>
struct CandidateLists {
  const Params& p;
  s64 row;

  LACUNA_MEMBER CandidateLists(const Params& params, const Place& at, s32 h, s32 query)
      : p(params), row(Parts<kind, 1>(params.call).row(at, h, at.q_start + query)) {}
  // {score, key} each.
  LACUNA_MEMBER u64 list(s32 split) const {
    return p.materialised.candidates +
           (u64)((row * p.call.splits + split) * p.materialised.room * 8);
  }
  // A Found.
  LACUNA_MEMBER u64 found(s32 split) const {
    return p.materialised.found + (u64)((row * p.call.splits + split) * 16);
  }
};

// Of the keys of a row that a CTA has seen: the greatest score, NaN where one is or is +inf, a gap
// that excludes nothing with a weight, and how many candidates were written.
struct Found {
  float top = -infinity(), gap = infinity();
  s32 count = 0;
};

template <class Config, class Params>
struct Materialise : TileScores<Config, Params> {
  using Base = TileScores<Config, Params>;
  using Machine = typename Base::Machine;
  using Pattern = typename Base::Pattern;
  using Row = EntmaxRow<Config::power, Config::precise>;
  using Base::at, Base::exists, Base::p, Base::place_of, Base::raw, Base::row0, Base::tile_rows,
      Base::visit;
  static constexpr int rows = Base::rows, keys = Base::keys;
  static constexpr int stages = Machine::stages, ahead = stages - 1;
  static constexpr int capacity = Config::capacity, warp_rows = Machine::warp_rows;
  static constexpr s32 round_tiles = capacity / Config::tile_k;
  static constexpr int pitch = capacity + 8;  // rows that lanes write together lie in other banks
  static_assert(Config::split && capacity % Config::tile_k == 0, "a round consists of tiles");
  static_assert(sizeof(typename Machine::Shared) % 16 == 0 && pitch % 4 == 0,
                "four scores are read at once");
  static_assert(Config::tile_q <= 32, "a lane to a row");
  // A gap from Newton's steps is off by the rounding of its sums.
  static constexpr float margin = 1.0f + 0x1p-12f;

  struct Shared {
    typename Machine::Shared tiles;
    float scores[Config::tile_q][pitch];
    s32 keys[Config::warps][capacity];
    float top[Config::tile_q], gap[Config::tile_q];  // a Found of each row
    s32 count[Config::tile_q];
    float most[Config::tile_q];  // of the round at hand
  };

  Shared& memory;
  s32 split;
  float scale;       // of a score, to natural logits
  float most[rows];  // of this lane's scores of the round at hand
  u64 next_k;
  int slot;

  LACUNA_MEMBER Materialise(const Params& params, Shared& shared)
      : Base(params, shared.tiles), memory(shared) {}

  LACUNA_MEMBER void run() {
    const u32 all = block_index(), block = quotient(all, p.call.by_splits);
    split = (s32)(all - block * (u32)p.call.splits);
    if (!locate<Config::lengths, Config::tile_q, Base::packed_heads>(p.call, block, at, row0) ||
        !weighs())
      return;
    const EntmaxUnit entmax = entmax_unit(Pattern::plain_score, p.call.scale);
    raw = entmax.raw;
    scale = entmax.scale;
    visit.find(p, at, tile_rows, row0);
    visit.take_part(split, p.call.splits);
    clear();
    if (visit.count > 0) walk();
    leave();
  }
  // Whether a row here is entmax's, and not softmax's. The same for all threads.
  LACUNA_MEMBER bool weighs() const {
    const s32 r = row0 + (s32)lane_index() % Config::tile_q;
    return any_lane(r < tile_rows.count(at.q_len) && is_alpha(Pattern::alpha(p, place_of(r))));
  }

  LACUNA_MEMBER s32 first_row() const { return Machine::first_row(); }
  LACUNA_MEMBER bool has(s32 r) const { return row0 + r < tile_rows.count(at.q_len); }
  LACUNA_MEMBER void clear() {
    const s32 r = first_row() + (s32)lane_index();
    if ((s32)lane_index() < warp_rows) {
      const Found nothing;
      memory.top[r] = nothing.top;
      memory.gap[r] = nothing.gap;
      memory.count[r] = nothing.count;
    }
    warp_sync();
  }

  // ---- The ring of tiles of K. ----
  LACUNA_MEMBER static int wrap(int index) { return index >= stages ? index - stages : index; }
  template <bool unrolled>
  LACUNA_MEMBER void fetch(s32 tile, int to) {
    if (tile < visit.count)
      Base::template load_keys<Config::head_dim, unrolled>(next_k, p.call.k.row,
                                                           visit.first_key(tile), to);
    Machine::commit();
  }
  // Makes a tile visible to all, and asks for another.
  LACUNA_MEMBER void turn(s32 t) {
    if constexpr (ahead == 0) {
      cta_sync();  // every warp has read what was there
      fetch<true>(t, slot);
      Machine::template wait<0>();
      cta_sync();
    } else {
      Machine::template wait<ahead - 1>();
      cta_sync();
      fetch<true>(t + ahead, wrap(slot + ahead));
    }
  }
  LACUNA_MEMBER void walk() {
    if constexpr (Pattern::only_bands) Base::sight.find(p, at, tile_rows, row0 + first_row());
    next_k =
        Base::template address_of<typename Config::In>(p.call.k, at.g, at.k_start + visit.key0);
    Base::load_queries();
    slot = 0;
    LACUNA_NOUNROLL
    for (int n = 0; n < ahead; ++n) fetch<false>(n, n);
    s32 done = 0;  // tiles of the rounds before this one
    begin_round();
    LACUNA_NOUNROLL
    for (s32 t = 0; t < visit.count; ++t) {
      const s32 first = visit.first_key(t);
      turn(t);
      score(first, (t - done) * Config::tile_k, visit.is_full(t, first));
      slot = wrap(slot + 1);
      if (t + 1 - done == round_tiles || t + 1 == visit.count) {
        end_round(visit.first_key(done), (t + 1 - done) * Config::tile_k);
        begin_round();
        done = t + 1;
      }
    }
    Machine::template wait<0>();
  }

  LACUNA_MEMBER void begin_round() {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) most[i] = -infinity();
  }
  // The scores of a tile, to shared memory from column `to` on.
  LACUNA_MEMBER void score(s32 first, s32 to, bool full) {
    u32 live[rows];  // bits of keys, of rolled masks
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) live[i] = 0xffffffffu;
    float z[rows][keys];
    if (full || Base::sees(live, first)) {
      Machine::scores(z, Base::shared, slot);
      Base::become_scores(z, live, first, full);
    } else {
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) {
        LACUNA_UNROLL
        for (int j = 0; j < keys; ++j) z[i][j] = -infinity();
      }
    }
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) most[i] = max_or_nan(most[i], z[i][j]);
      float* const row = memory.scores[Machine::row(i)] + to;
      LACUNA_UNROLL
      for (int j = 0; j < keys; j += Machine::key_step == 1 ? 2 : 1) {
        if constexpr (Machine::key_step == 1)
          *(F2*)(row + Machine::key(j)) = {z[i][j], z[i][j + 1]};
        else
          row[Machine::key(j)] = z[i][j];
      }
    }
  }

  // The scores of keys [first, first + count) are there. A warp has the rows that it computed; the
  // next tile's barrier keeps them until all have been taken.
  LACUNA_MEMBER void end_round(s32 first, s32 count) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (u32 lanes = 1; lanes < Machine::row_lanes; lanes *= 2)
        most[i] = max_or_nan(most[i], shuffle_xor(most[i], lanes));
      if ((int)lane_index() % Machine::row_lanes == 0) memory.most[Machine::row(i)] = most[i];
    }
    warp_sync();
    LACUNA_NOUNROLL
    for (s32 r = first_row(); r < first_row() + warp_rows; ++r)
      if (has(r)) take_row(r, first, count);
  }
  LACUNA_MEMBER void take_row(s32 r, s32 first, s32 count) {
    const Place mine = place_of(row0 + r);
    const float alpha = Pattern::alpha(p, mine);
    if (!is_alpha(alpha)) return;
    const Sifted sifted = {memory.scores[r], memory.keys[warp_index()]};
    const Found before = {memory.top[r], memory.gap[r], memory.count[r]};
    const float top = max_or_nan(before.top, memory.most[r]);
    if (top == -infinity()) return;
    if (!(top < infinity())) return put(r, {float_of_bits(0x7fffffffu), 0.0f, 0});
    Row row;
    row.start(alpha - 1.0f, scale);
    // What is known from the rounds before, seen from the greatest score now.
    float gap = min_f32(row.farthest, top - before.top + before.gap);
    const s32 left = sifted.sift(first, count, top, gap);
    const float narrow = row.narrowed(
        top, gap, 6, 0x1p-6f, (s32)lane_index(), 32, left, [&](s32 k) { return sifted.scores[k]; },
        [](Above& above) {
          above.f = warp_sum(above.f);
          above.slopes = warp_sum(above.slopes);
        });
    gap = min_f32(narrow * margin, gap);
    const CandidateLists<Config::lengths, Params> lists(p, mine, mine.h, tile_rows.query(row0 + r));
    const s32 more = sifted.store(lists.list(split) + (u64)(before.count * 8), left, top, gap);
    put(r, {top, gap, before.count + more});
  }
  LACUNA_MEMBER void put(s32 r, const Found& found) {
    warp_sync();  // all have read what was there
    if (lane_index() != 0) return;
    memory.top[r] = found.top;
    memory.gap[r] = found.gap;
    memory.count[r] = found.count;
  }

  LACUNA_MEMBER void leave() const {
    warp_sync();
    const s32 r = first_row() + (s32)lane_index();
    if ((s32)lane_index() >= warp_rows || !has(r)) return;
    const Place mine = place_of(row0 + r);
    const CandidateLists<Config::lengths, Params> lists(p, mine, mine.h, tile_rows.query(row0 + r));
    store_global(lists.found(split),
                 F4{memory.top[r], memory.gap[r], float_of_bits((u32)memory.count[r]), 0.0f});
  }
};

template <class Config, class Params>
LACUNA_DEVICE void materialise(const Params& p) {
  using Pass = Materialise<Config, Params>;
  LACUNA_DYNAMIC_SHARED(memory);
  Pass pass(p, *(typename Pass::Shared*)memory);
  pass.run();
}

}  // namespace lacuna
