// O_i = Σ_j p_ij v_j over the keys j that attend, where p_i are weights of
// z_ij = score(scale q_i . k_j): softmax, with lse_i = log Σ_j e^z_ij, or entmax, of which a pass
// before this one found zmax_i and the gap. One CTA per tile of queries; it walks the tiles of keys
// that the pattern's bands leave, or those of a list, tests elements only in PARTIAL tiles, and
// normalises once at the end (FlashAttention, Dao et al. 2022). Where queries are few, the visited
// tiles are split over several CTAs, and combine.cuh merges what each found; with packed heads a
// tile holds the rows of all heads that share K and V, which are then read once.
#pragma once
#include "parts.cuh"
#include "scores.cuh"

namespace lacuna {

template <class Config, class Params>
struct FlashForward : TileScores<Config, Params> {
  using Base = TileScores<Config, Params>;
  using Machine = typename Base::Machine;
  using Pattern = typename Base::Pattern;
  using Shared = typename Base::Shared;
  using Base::at, Base::exists, Base::p, Base::place, Base::query, Base::raw, Base::row, Base::row0,
      Base::shared, Base::sight, Base::tile_rows, Base::visit;
  static constexpr int rows = Base::rows, keys = Base::keys, values = Machine::values;
  // Operands, K and V by turns, take turns in `stages` slots of shared memory: so many are on their
  // way while one is used.
  static constexpr int stages = Machine::stages, ahead = stages - 1;
  static constexpr bool packed_heads = Base::packed_heads;
  static_assert(!packed_heads || Config::split, "store() writes the rows of one head");

  s32 split;           // which part of the visited tiles is this CTA's
  int slot;            // of K of the tile at hand
  u64 next_k, next_v;  // rows of the tiles to ask for next; of a list, of key 0
  // Sums of a row: of its weights; of one walk with the escort, then those of its u^(β-1), too.
  static constexpr int sums = Config::one_walk ? 2 * rows : rows;
  float o[sums][values];
  typename Config::Weights weights;

  LACUNA_MEMBER FlashForward(const Params& params, Shared& memory) : Base(params, memory) {}

  LACUNA_MEMBER void run() {
    u32 block = block_index();
    if constexpr (Config::split) {
      const u32 all = block;
      block = quotient(all, p.call.by_splits);
      split = (s32)(all - block * (u32)p.call.splits);
    }
    block = visit.take(p, block);
    if (!locate<Config::lengths, Config::tile_q, packed_heads>(p.call, block, at, row0)) return;
    if constexpr (Config::by_alpha)
      if (!Config::Weights::takes(Pattern::alpha(p, at))) return;
    raw = weights.start(p, at, row0);
    visit.find(p, at, tile_rows, row0);
    if constexpr (Config::split) visit.take_part(split, p.call.splits);
    do {
      clear();
      walk();
    } while (again());
  }
  // What is left to do after a walk; whether that is one more.
  LACUNA_MEMBER bool again() {
    if constexpr (Config::walks_again)
      if (weights.again()) return true;
    if constexpr (Config::split) {
      store_part();
    } else if constexpr (Config::escort && !Config::one_walk) {
      store(weights.escorts ? p.entmax.escort : p.call.o);
      // Kept over the next walk, addresses that follow from these would take registers from it.
      forget(row0, visit.count, at.h, at.g, at.q_start, at.k_start, at.q_len, at.k_len);
      if (!weights.turn_to_escort()) return false;
      cta_sync();  // every warp has read the last operands
      return true;
    } else {
      store(p.call.o);
    }
    return false;
  }

  LACUNA_MEMBER void clear() {
    LACUNA_UNROLL
    for (int i = 0; i < sums; ++i) {
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c) o[i][c] = 0;
    }
  }

  LACUNA_MEMBER void walk() {
    slot = 0;
    if constexpr (Pattern::only_bands) sight.find(p, at, tile_rows, row0 + Machine::first_row());
    next_k =
        Base::template address_of<typename Config::In>(p.call.k, at.g, at.k_start + visit.key0);
    next_v =
        Base::template address_of<typename Config::In>(p.call.v, at.g, at.k_start + visit.key0);
    if (visit.count > 0) {
      Base::load_queries();
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
  template <bool values_too, bool unrolled>
  LACUNA_MEMBER void fetch(s32 tile, int to) {
    if (tile < visit.count) {
      const s32 first = visit.first_key(tile);
      if constexpr (values_too)
        Base::template load_keys<Config::value_dim, unrolled>(next_v, p.call.v.row, first, to);
      else
        Base::template load_keys<Config::head_dim, unrolled>(next_k, p.call.k.row, first, to);
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
          Base::template load_keys<Config::head_dim, false>(from, row, first, n);
        else
          Base::template load_keys<Config::value_dim, false>(from, row, first, n);
        next_k = odd ? next_k : from;
        next_v = odd ? from : next_v;
      }
      Machine::commit();
    }
  }
  // Makes operand 2 t + n, in slot `used`, visible to all, and asks for that which takes the slot
  // that it frees.
  template <int n, bool unrolled>
  LACUNA_MEMBER void turn(s32 t, int used) {
    if constexpr (ahead == 0) {
      cta_sync();  // every warp has read what was there
      fetch<n != 0, unrolled>(t, used);
      Machine::template wait<0>();
      cta_sync();
    } else {
      Machine::template wait<ahead - 1>();
      cta_sync();
      fetch<(n + ahead) % 2 != 0, unrolled>(t + (n + ahead) / 2, wrap(used + ahead));
    }
  }

  // A warp whose rows see no key of a PARTIAL tile only keeps pace with its CTA: it copies its
  // share and meets the others, at a barrier of its own.
  LACUNA_MEMBER void step(s32 t, s32 first, bool full) {
    const int v_slot = stages == 1 ? 0 : wrap(slot + 1);
    turn<0, true>(t, slot);
    u32 live[rows];  // bits of keys, of rolled masks
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) live[i] = 0xffffffffu;
    if (!full && !Base::sees(live, first)) {
      turn<1, false>(t, v_slot);
      return;
    }
    float z[rows][keys];
    weights.scores(z, shared, slot);
    turn<1, true>(t, v_slot);
    if (!Base::become_scores(z, live, first, full)) return;
    if constexpr (Config::one_walk) {
      float both[sums][keys];
      weights.weigh_to(both, z);
      Machine::accumulate(o, both, shared, v_slot);
    } else {
      weights.weigh(z, o);
      Machine::accumulate(o, z, shared, v_slot);
    }
  }

  // What stores rows is one piece of code: they take their turn in the first place, and what stood
  // there is done with.
  LACUNA_MEMBER void turn_rows() {
    weights.turn();
    LACUNA_UNROLL
    for (int i = 0; i + 1 < sums; ++i) {
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c) o[i][c] = o[i + 1][c];
    }
  }

  // What this split found of its rows, for combine.cuh.
  LACUNA_MEMBER void store_part() {
    const Parts<Config::lengths, Config::value_dim> parts(p.call);
    LACUNA_NOUNROLL
    for (int i = 0; i < rows; ++i, turn_rows()) {
      const float total = weights.total();
      if (!exists(i)) continue;
      const s64 to = parts.row(at, place(i).h, at.q_start + tile_rows.query(row(i)));
      const u64 first = parts.sums(split, to) + Machine::column(0) * 4;
      LACUNA_UNROLL
      for (int c = 0; c < values; c += Machine::run) {
        float x[Machine::run];
        LACUNA_UNROLL
        for (int e = 0; e < Machine::run; ++e) x[e] = o[0][c + e];
        store_columns<F32, true>(first + Machine::after(c) * 4, x);
      }
      if ((int)lane_index() % Machine::row_lanes == 0)
        store_global(parts.state(split, to), F2{weights.state[0].max, total});
    }
  }

  LACUNA_MEMBER void store(const MatrixArg& to) {
    const s32 limit = rows_of<Config::lengths>(p.call, at);
    constexpr int size = (int)sizeof(typename Config::Out::Raw);
    const s32 first_row = row0 + Machine::row(0);
    const auto corner_of = [&](const MatrixArg& m) {
      return Base::template address_of<typename Config::Out>(m, at.h, at.q_start + first_row) +
             Machine::column(0) * size;
    };
    const u64 corner = corner_of(to);
    u64 escorts = 0;
    if constexpr (Config::one_walk) escorts = corner_of(p.entmax.escort);
    LACUNA_NOUNROLL
    for (int i = 0; i < rows; ++i, turn_rows()) {
      const s32 down = Machine::row(i) - Machine::row(0), r = first_row + down;
      const auto total = weights.total();
      if (r >= limit) continue;
      const auto end = weights.end(p, at, r, exists(i), total);
      // The scores of an absent row may be anything, and so its sums.
      if (Base::masks_scores && !exists(i)) {
        LACUNA_UNROLL
        for (int n = 0; n < sums; n += rows) {
          LACUNA_UNROLL
          for (int c = 0; c < values; ++c) o[n][c] = 0;
        }
      }
      if constexpr (Config::one_walk) {
        float(&slopes)[values] = o[rows];
        if (end.lean != 0.0f) {  // sums of slopes may overflow where those of weights do not
          LACUNA_UNROLL
          for (int c = 0; c < values; ++c) o[0][c] = fma_rn(slopes[c] - o[0][c], end.lean, o[0][c]);
        }
        store_mean(escorts + (u64)(down * p.entmax.escort.row * size), slopes, end.of_slopes);
      }
      store_mean(corner + (u64)(down * to.row * size), o[0], end.factor);
      if (Config::statistic && (int)lane_index() % Machine::row_lanes == 0)
        weights.store(end, p, at, r);
    }
  }
  LACUNA_MEMBER static void store_mean(u64 first, const float (&sum)[values], float factor) {
    LACUNA_UNROLL
    for (int c = 0; c < values; c += Machine::run) {
      float x[Machine::run];
      LACUNA_UNROLL
      for (int e = 0; e < Machine::run; ++e) x[e] = sum[c + e] * factor;
      store_columns<typename Config::Out, Config::aligned>(
          first + Machine::after(c) * (int)sizeof(typename Config::Out::Raw), x);
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
