// The threshold of α-entmax, and which tiles of keys it leaves alive, in one pass over K:
//   Σ_j [x_ij - τ_i]₊^β = 1,  x = c z.
// A row keeps a gate, which never lies above its threshold. What is above the gate is a candidate;
// at growing intervals the candidates raise the gate by a step of Newton on (Σ[x - gate]₊^β)^(1/β),
// which cannot pass the root, and those that fall below it leave. So the candidates in the end hold
// all keys with a weight, and give τ exactly. Where z is the plain product, or rises with it
// (products.cuh), sums of products begin with the gate, and a candidate is a clear sign bit. A warp
// whose candidates find no room goes on with sums of all scores, for an estimate, and its CTA walks
// K once more for exact ones (sums.cuh).
#pragma once
#include "gates.cuh"
#include "products.cuh"
#include "ring.cuh"
#include "sparsity.cuh"
#include "sums.cuh"

namespace lacuna {

template <class Config, class Params>
struct Threshold : KeyRing<Config, Params> {
  using Base = KeyRing<Config, Params>;
  using Machine = typename Base::Machine;
  using Pattern = typename Base::Pattern;
  // Scores are staged as they are: distances to gates far below lose their last digits.
  static constexpr bool of_scores = (Config::precise || !Pattern::plain_score) && !Pattern::inverts;
  using Rising = Gates<Machine, Config::power, Config::precise, of_scores || Pattern::inverts>;
  using Base::at, Base::exists, Base::p, Base::raw, Base::row, Base::row0, Base::tile_rows,
      Base::visit;
  static constexpr int rows = Base::rows, keys = Base::keys;
  static constexpr int threads = Config::warps * 32, granule = Config::granule_k;
  // Two do but for rows whose estimate fails, which then come near by steps of Newton.
  static constexpr int most_walks = 24;
  using OfProducts = Products<Threshold, Pattern::inverts>;
  static_assert(rows % 2 == 0 && keys % 2 == 0, "candidates come in blocks of 2 x 2");
  static_assert(Config::tile_k % granule == 0, "a tile consists of granules");

  struct Shared {
    typename Machine::Shared tiles;
    u32 block;      // the tile of queries at hand
    u32 counts[2];  // of its live granules: FULL, PARTIAL
    u32 unused;
  };
  // The operands make room, once they are used up, for bits of keys.
  using Live = LiveTiles<granule, threads, (s32)(sizeof(typename Machine::Shared) / 4)>;

  Shared& memory;
  Rising gates;
  Sums<Rising, typename Config::In> sums;
  // What the warp makes of scores: candidates; without room for them, sums that follow the
  // threshold, exact ones and, for calls that ask, a list of keys; or nothing: it knows all.
  enum class Goal : int { candidates, estimate, sums, keys, nothing } goal;
  bool dense;                    // they found no room
  bool gated;                    // sums begin with the gate, in the unit of products
  float from[rows];              // what they begin with
  u32 plain;                     // full_place of tiles that need no more than products is less
  float scale;                   // of a score, to natural logits
  u32 open;                      // bit i: row i has seen no key yet
  u32 lost;                      // bit i: row i has seen a NaN, or an infinite score
  float top[rows], width[rows];  // in the end: the greatest score, and the gap, in its unit
  float live_from[rows];         // of what lists keep of candidates, the least that is live
  using Statistic = Tally<Config, Machine>;
  Statistic tally;

  LACUNA_MEMBER Threshold(const Params& params, Shared& shared)
      : Base(params, shared.tiles), memory(shared) {}

  LACUNA_MEMBER void run() {
    gates.place(p.threshold.scratch + (u64)block_index() * (Config::warps * Rising::warp_bytes));
    LACUNA_NOUNROLL
    while (take()) work();
  }
  // The next tile of queries. The same for all threads.
  LACUNA_MEMBER bool take() {
    cta_sync();
    if (thread_index() == 0) {
      u32 next;
      asm volatile("atom.global.add.u32 %0, [%1], 1;"
                   : "=r"(next)
                   : "l"(p.threshold.queue)
                   : "memory");
      memory.block = next;
      memory.counts[0] = memory.counts[1] = 0;
    }
    cta_sync();
    return memory.block < (u32)p.threshold.blocks;
  }

  LACUNA_MEMBER void work() {
    const u32 block = visit.take(p, memory.block);
    Live live = {(u32*)&memory.tiles, p.threshold.states + (u64)block * (u32)p.threshold.groups * 8,
                 p.threshold.groups};
    tally.begin(p, block);
    bool found = false, flat = false;
    dense = false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) top[i] = -infinity(), width[i] = 0;
    if (locate<Config::lengths, Config::tile_q>(p.call, block, at, row0) && start()) {
      visit.find(p, at, tile_rows, row0);
      found = visit.count > 0;
      if (found) {
        if constexpr (Pattern::only_bands)
          Base::sight.find(p, at, tile_rows, row0 + Machine::first_row());
        Base::load_queries();
        flat = find(live);
        if (!dense) gates.solve(top, width, live_from);
      }
      store_rows();
    }
    leave(live, found, flat);
    if (thread_index() == 0)
      store_global(p.threshold.counts + (u64)block * 8, U2{memory.counts[0], memory.counts[1]});
    tally.store_tiles(p, block, memory.counts);
  }

  // False: no row here has a threshold.
  LACUNA_MEMBER bool start() {
    const float alpha = Pattern::alpha(p, at), c = alpha - 1.0f;
    if (alpha == 1.0f) {
      store_no_gaps();
      return false;
    }
    const EntmaxUnit entmax = entmax_unit(Pattern::plain_score, p.call.scale);
    raw = entmax.raw;
    scale = entmax.scale;
    gated = Pattern::plain_score && raw && !Config::precise;
    gates.start(c, scale);
    open = lost = 0;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const bool weighed = exists(i) && is_alpha(alpha);
      open |= (u32)weighed << i;
      gates.minus[i] = weighed ? 0.0f : Rising::never;
      sums.slack[i] = 0;
    }
    if (!is_alpha(alpha)) lost = ~0u;
    goal = Goal::candidates;
    begin_sums();
    return true;
  }
  // What the common path of a tile tests, at once: no mask, no gate that is not in the sums, no row
  // that is still to see a key.
  LACUNA_MEMBER void find_plain() {
    const bool usual = goal != Goal::nothing && gated && !any_lane(open != 0);
    plain = usual ? Base::fulls() : 0;
  }

  // The scores of a tile, as distances to the gates of rows. False: the warp's see none of its
  // keys, or it looks for nothing.
  LACUNA_MEMBER bool distances(float (&c)[rows][keys], s32 t, s32 first) {
    const int at_slot = Base::take_slot();
    const bool common = Base::full_place(t, first) < plain;
    bool full = true;
    u32 live[rows];  // bits of keys, of rolled masks
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) live[i] = 0xffffffffu;
    if (!common) {
      if (goal == Goal::nothing) return false;
      full = visit.is_full(t, first);
      if (!full && !Base::sees(live, first)) return false;
    }
    Machine::scores_from(c, from, Base::shared, at_slot);
    if (common) return true;
    if constexpr (Pattern::inverts)
      if (gated) return full || Base::template to_scores<false, false>(c, live, first);
    bool any = true;
    if (!full || !gated) {
      any = Base::template become_scores<true>(c, live, first, full);
      if (!gated && !of_scores) to_distances(c);
    }
    if (any_lane(open != 0)) open_rows(c);
    return any;
  }
  LACUNA_MEMBER void to_distances(float (&c)[rows][keys]) const {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) c[i][j] += gates.minus[i];
    }
  }

  // Rows that see their first keys take a gate from these alone.
  LACUNA_MEMBER void open_rows(float (&c)[rows][keys]) {
    LACUNA_NOUNROLL
    for (u32 bit = 1; bit < 1u << rows; bit *= 2) {
      float most = c[0][0];
      LACUNA_UNROLL
      for (int j = 1; j < keys; ++j) most = max_f32(most, c[0][j]);
      most = Machine::row_max(most);
      const float gate = gates.first(c[0], most);
      if ((open & bit) != 0 && abs_f32(most) < infinity()) {
        open &= ~bit;
        gates.minus[0] -= gate;
        sums.certain[0] = gates.minus[0];
        LACUNA_UNROLL
        for (int j = 0; j < keys; ++j) c[0][j] -= of_scores ? 0.0f : gate;
      }
      rotate(c);
      rotate(gates.minus);
      rotate(sums.certain);
    }
    if (Pattern::inverts) return;
    begin_sums();
    find_plain();
  }

  LACUNA_MEMBER void begin_sums() { OfProducts::begin(*this); }
  // All tiles once. One piece of code, most of which is every goal's. `seeking`: gates move, in the
  // end whatever was found.
  LACUNA_MEMBER void walk(const Live& live, bool seeking) {
    s32 due = visit.count - 1;  // tiles left when gates move where candidates were found
    s32 left = visit.count;
    find_plain();
    Base::begin_walk();
    LACUNA_NOUNROLL
    for (;;) {
      Base::turn(left);
      const s32 t = left == visit.count ? 0 : left, first = visit.first_key(t);
      bool moves = false;
      const u32 closed = open;
      float c[rows][keys];
      if (distances(c, t, first)) {
        if (goal == Goal::candidates) {
          const bool opened = Pattern::inverts && any_lane(closed != open);
          moves = gates.template collect<of_scores>(c, first, left <= due || opened);
        } else {
          if (of_scores) to_distances(c);
          moves = add(live, c, first) && (left <= due || sums.grew());
        }
      }
      --left;
      if (!moves && left > 0) continue;
      if (seeking) move(due, visit.count - left);
      if (left == 0) break;
    }
    Machine::template wait<0>();
  }

  // Distances to what is not for candidates. Whether gates move by it.
  LACUNA_MEMBER bool add(const Live& live, const float (&c)[rows][keys], s32 first) {
    if (Statistic::wanted && goal == Goal::keys) return tally.note(c, first), false;
    constexpr int parts = Config::tile_k / granule;
    float greatest[parts][rows];
    sums.add(gates, c, greatest);
    if (goal == Goal::estimate) return true;
    sums.add_curve(gates, c);
    LACUNA_UNROLL
    for (int part = 0; part < parts; ++part)
      if (sums.near(greatest[part]) && lane_index() == 0) live.set_tile(first / granule + part);
    return false;
  }

  // Gates by what `seen` tiles say.
  LACUNA_MEMBER void move(s32& due, s32 seen) {
    const bool begins = goal == Goal::candidates && !gates.settle(*this, sums.above);
    if (begins) goal = Goal::estimate;
    due = max_of(visit.count - (goal == Goal::estimate ? seen * 2 : seen * 3 / 2), 1);
    if (goal == Goal::estimate) sums.follow(gates, begins, seen, visit.count);
    begin_sums();
    if (Pattern::inverts) find_plain();
  }

  // Thresholds from candidates; where too many, from sums. Returns whether any warp took those.
  LACUNA_MEMBER bool find(const Live& live) {
    bool listed = false;
    LACUNA_NOUNROLL
    for (int n = 0;; ++n) {
      if (!listed) tally.begin_walk();
      walk(live, n == 0);
      dense |= goal == Goal::estimate;
      const bool again = goal == Goal::sums && improve() && n + 1 < most_walks;
      if (!again) goal = goal == Goal::estimate ? Goal::sums : Goal::nothing;
      if (!cta_any(goal != Goal::nothing)) {
        if (n == 0 || !Statistic::wanted || listed) return n > 0;
        if (dense) goal = Goal::keys, gates.come_near(top, width);
        listed = true;
        tally.clear();
      }
      if (n == 0) live.clear_states();
      begin_sums();
      sums.clear();
    }
  }
  // Takes what exact sums say. Whether that leaves a row too far from its threshold.
  LACUNA_MEMBER bool improve() {
    bool more = false;
    LACUNA_NOUNROLL
    for (u32 bit = 1; bit < 1u << rows; bit *= 2) {
      const auto all = sums.total(gates);
      if (all.is_lost()) {
        lost |= bit;
        gates.minus[0] = sums.certain[0] = Rising::never;
      } else {
        if ((open & bit) == 0 && all.f > 0.0f) top[0] = all.most / gates.unit - gates.minus[0];
        more |= sums.improve(gates, all, width[0]);
      }
      sums.turn(gates);
      rotate(top);
      rotate(width);
    }
    return any_lane(more);
  }
  LACUNA_MEMBER u64 statistic(const MatrixArg& m, int i) const {
    return row_address<F32, Config::lengths>(m, at, at.h, at.q_start + row(i));
  }
  // Of rows that are softmax's, whose lse zmax takes.
  LACUNA_MEMBER void store_no_gaps() const {
    const bool stores = (int)lane_index() % Machine::row_lanes == 0;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i)
      if (stores && row(i) < rows_of<Config::lengths>(p.call, at))
        store_global(statistic(p.threshold.entmax.gap, i), exists(i) ? 0.0f : 1.0f);
  }
  LACUNA_MEMBER void store_rows() {
    LACUNA_NOUNROLL
    for (int i = 0; i < rows; ++i, turn_rows()) {
      tally.store_row(p, at, row(i), exists(i), dense ? 0 : gates.candidates(i));
      if (!exists(i) || (int)lane_index() % Machine::row_lanes != 0) continue;
      const float nan = float_of_bits(0x7fffffffu);
      const bool bad = (lost >> i & 1) != 0, none = top[0] == -infinity();
      const float zmax = bad ? nan : none ? -infinity() : top[0] * scale;
      const float gap = bad ? nan : none ? 1.0f : min_f32(width[0] / gates.norm.beta * scale, 1.0f);
      store_global(statistic(p.threshold.entmax.zmax, i), zmax);
      store_global(statistic(p.threshold.entmax.gap, i), gap);
    }
  }
  LACUNA_MEMBER void turn_rows() {
    rotate(top);
    rotate(width);
    rotate(gates.end);
  }

  // ---- States of the granules. ----
  LACUNA_MEMBER void leave(Live& live, bool found, bool flat) {
    LACUNA_NOUNROLL
    for (live.first = 0; live.first < live.groups; live.first += Live::most) {
      cta_sync();
      live.clear_bits();
      cta_sync();
      if (found) {
        if (!dense) mark_keys(live);
        if constexpr (Base::listed) mark_full(live);
      }
      cta_sync();
      const s32 last = min_of(live.groups, live.first + Live::most);
      LACUNA_NOUNROLL
      for (s32 group = live.first + (s32)warp_index(); group < last; group += Config::warps)
        leave_group(live, group, found, flat);
    }
    cta_sync();
  }
  LACUNA_MEMBER void leave_group(const Live& live, s32 group, bool found, bool flat) const {
    const u64 state = live.states + (u64)group * 8;
    if (found) tally.leave(live.keys_of(group), group, flat);
    u32 visited = found ? ballot(live.has_key(group)) : 0, full = found ? fulls(live, group) : 0;
    if (lane_index() != 0) return;
    if (flat) visited |= load_written<u32>(state);
    full &= visited;
    store_global(state, U2{visited, full});
    add_shared(memory.counts[0], popcount(full));
    add_shared(memory.counts[1], popcount(visited & ~full));
  }
  LACUNA_MEMBER u32 fulls(const Live& live, s32 group) const {
    if constexpr (Base::listed) {
      return live.fulls(group);
    } else {
      const s32 first = (group * 32 + (s32)lane_index()) * granule;
      return ballot(first >= visit.full.begin && first + granule <= visit.full.end);
    }
  }
  LACUNA_MEMBER void mark_full(const Live& live) const {
    constexpr s32 parts = Config::tile_k / granule;
    LACUNA_NOUNROLL
    for (s32 n = (s32)thread_index(); n < visit.fulls * parts; n += threads)
      live.set_full(visit.first_key(n / parts) / granule + n % parts);
  }
  // Those whose weight may be above 0, however the last bit of a score is rounded.
  LACUNA_MEMBER void mark_keys(const Live& live) {
    LACUNA_NOUNROLL
    for (int n = 0; n < rows; ++n) {
      const float from = live_from[0];
      gates.each_candidate(gates.lists + (u32)n * Rising::list_bytes, gates.end[0],
                           [&](float value, s32 key) { live.set_key(key, value, from); });
      rotate(live_from);
      rotate(gates.end);
    }
  }
};

template <class Config, class Params>
LACUNA_DEVICE void threshold(const Params& p) {
  using Pass = Threshold<Config, Params>;
  LACUNA_DYNAMIC_SHARED(memory);
  Pass pass(p, *(typename Pass::Shared*)memory);
  pass.run();
}

}  // namespace lacuna
