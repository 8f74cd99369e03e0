// Moves, and what lanes of a warp do together: shuffles, votes, matches, reductions.
#include "runtime/host/exec/lanes.h"
#include "runtime/host/exec/schedule.h"
#include "runtime/host/report.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

void move_predicate(Warp& w, const Instruction& i) {
  set_predicate(w, i.dst[0], executing(w, i), predicate(w, i.src[0]));
}

/// count parts of T to one D, lowest first.
template <class D, class T, int parts>
void pack(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  Stored<D>* to = slot<D>(w, i.dst[0]);
  const u32* from[parts];
  for (int k = 0; k < parts; ++k) from[k] = slot<T>(w, i.src[k]);
  LACUNA_LANES {
    D value = 0;
    for (int k = 0; k < parts; ++k)
      value |= static_cast<D>(static_cast<D>(static_cast<T>(from[k][l])) << (8 * sizeof(T) * k));
    to[l] = lane_in(lanes, l) ? value : to[l];
  }
}
template <class D, class T, int parts>
void unpack(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  alignas(64) D from[warp_size];  // a copy: a part may go to the register that is taken apart
  __builtin_memcpy(from, slot<D>(w, i.src[0]), sizeof(from));
  for (int k = 0; k < parts; ++k) {
    u32* to = slot<T>(w, i.dst[k]);
    LACUNA_LANES {
      const u32 value = static_cast<T>(from[l] >> (8 * sizeof(T) * k));
      to[l] = lane_in(lanes, l) ? value : to[l];
    }
  }
}

enum Mode : u8 { up, down, bfly, idx };

/// Where each lane reads, and whether that is inside its segment.
template <Mode mode>
LACUNA_INLINE u32 shuffle_sources(const u32* b, const u32* c, u32* from) {
  alignas(16) u8 inside[warp_size];
  LACUNA_LANES {
    const s32 lane = l, step = static_cast<s32>(b[l] & 31), clamp = static_cast<s32>(c[l] & 31),
              segment = static_cast<s32>(c[l] >> 8 & 31);
    const s32 last = (lane & segment) | (clamp & ~segment);
    const s32 j = mode == up     ? lane - step
                  : mode == down ? lane + step
                  : mode == bfly ? lane ^ step
                                 : (lane & segment) | (step & ~segment);
    const bool in = mode == up ? j >= last : j <= last;
    from[l] = static_cast<u32>(in ? j : lane) & 31;
    inside[l] = in ? 255 : 0;
  }
  return gather_bits(inside);
}

template <Mode mode>
void shuffle(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes == 0 || !members_are_here(w, i, slot<u32>(w, i.src[3]), lanes)) return;
  alignas(64) u32 from[warp_size], values[warp_size];
  const u32 inside = shuffle_sources<mode>(slot<u32>(w, i.src[1]), slot<u32>(w, i.src[2]), from);
  __builtin_memcpy(values, slot<u32>(w, i.src[0]), sizeof(values));
  u32* to = slot<u32>(w, i.dst[0]);
  if (lanes == ~0u) {
    LACUNA_LANES to[l] = values[from[l]];
  } else {
    for (int l : each(lanes)) {
      if (!lane_in(lanes, static_cast<int>(from[l])))
        report_absent_lane(w, i, l, static_cast<int>(from[l]));
      to[l] = values[from[l]];
    }
  }
  if (i.optional) set_predicate(w, i.dst[1], lanes, inside);
}

enum Vote : u8 { any, all, uni, ballot };

/// Lanes with one member mask vote together; each such set is handed to f(members, first lane).
template <class F>
LACUNA_INLINE void for_each_mask(const u32* masks, u32 lanes, F f) {
  for (u32 rest = lanes; rest != 0;) {
    const u32 mask = masks[first_lane(rest)];
    u32 same = 0;
    for (int l : each(rest)) same |= masks[l] == mask ? lane_bits[l] : 0u;
    f(same);
    rest &= ~same;
  }
}

template <Vote kind>
void vote(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  const u32* masks = slot<u32>(w, i.src[1]);
  if (lanes == 0 || !members_are_here(w, i, masks, lanes)) return;
  const u32 holds = predicate(w, i.src[0]);
  for_each_mask(masks, lanes, [&](u32 members) {
    const u32 yes = holds & members;
    if constexpr (kind == ballot) {
      u32* to = slot<u32>(w, i.dst[0]);
      for (int l : each(members)) to[l] = yes;
    } else {
      const bool result = kind == any   ? yes != 0
                          : kind == all ? yes == members
                                        : yes == members || yes == 0;
      set_predicate(w, i.dst[0], members, result ? ~0u : 0u);
    }
  });
}

template <class T>
void match_any(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  const u32* masks = slot<u32>(w, i.src[1]);
  if (lanes == 0 || !members_are_here(w, i, masks, lanes)) return;
  T values[warp_size];
  __builtin_memcpy(values, slot<T>(w, i.src[0]), sizeof(values));
  u32* to = slot<u32>(w, i.dst[0]);
  for_each_mask(masks, lanes, [&](u32 members) {
    for (int l : each(members)) {
      u32 equal = 0;
      for (int other : each(members)) equal |= values[other] == values[l] ? lane_bits[other] : 0u;
      to[l] = equal;
    }
  });
}

template <class T>
void match_all(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  const u32* masks = slot<u32>(w, i.src[1]);
  if (lanes == 0 || !members_are_here(w, i, masks, lanes)) return;
  T values[warp_size];
  __builtin_memcpy(values, slot<T>(w, i.src[0]), sizeof(values));
  u32* to = slot<u32>(w, i.dst[0]);
  for_each_mask(masks, lanes, [&](u32 members) {
    bool equal = true;
    for (int l : each(members)) equal &= values[l] == values[first_lane(members)];
    for (int l : each(members)) to[l] = equal ? members : 0;
    if (i.optional) set_predicate(w, i.dst[1], members, equal ? ~0u : 0u);
  });
}

template <class T, T (*combine)(T, T)>
void reduce(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  const u32* masks = slot<u32>(w, i.src[1]);
  if (lanes == 0 || !members_are_here(w, i, masks, lanes)) return;
  u32 values[warp_size];
  __builtin_memcpy(values, slot<u32>(w, i.src[0]), sizeof(values));
  u32* to = slot<u32>(w, i.dst[0]);
  for_each_mask(masks, lanes, [&](u32 members) {
    T result = static_cast<T>(values[first_lane(members)]);
    for (int l : each(members & (members - 1))) result = combine(result, static_cast<T>(values[l]));
    for (int l : each(members)) to[l] = static_cast<u32>(result);
  });
}
template <class T>
T sum_of(T a, T b) {
  return a + b;
}
template <class T>
T least_of(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T most_of(T a, T b) {
  return a < b ? b : a;
}
u32 and_of(u32 a, u32 b) {
  return a & b;
}
u32 or_of(u32 a, u32 b) {
  return a | b;
}
u32 xor_of(u32 a, u32 b) {
  return a ^ b;
}

void elect(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  const u32* masks = slot<u32>(w, i.src[0]);
  if (lanes == 0 || !members_are_here(w, i, masks, lanes)) return;
  u32* to = slot<u32>(w, i.dst[0]);
  for_each_mask(masks, lanes, [&](u32 members) {
    for (int l : each(members)) to[l] = static_cast<u32>(first_lane(members));
    if (i.optional) set_predicate(w, i.dst[1], members, members & (0 - members));
  });
}

void active_mask(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  u32* to = slot<u32>(w, i.dst[0]);
  for (int l : each(lanes)) to[l] = lanes;
}

void sync_warp(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes != 0) members_are_here(w, i, slot<u32>(w, i.src[0]), lanes);
}

constexpr Kind p = Kind::pred, b16_ = Kind::b16, b32_ = Kind::b32, b64_ = Kind::b64;

constexpr Row form(const char* name, Handler run, Shape shape, Kind d, Kind e, Kind a,
                   Kind b = Kind::none, Kind c = Kind::none, Kind m = Kind::none) {
  return {name, run, shape, Neutral::none, 0, 1, {d, e}, {a, b, c, m}};
}

// clang-format off
#define MOVE(T, S) row("mov." #T, [](S a) -> S { return a; }, Shape::move),
#define SHUFFLE(mode) \
  form("shfl.sync." #mode ".b32", shuffle<mode>, Shape::paired, b32_, p, b32_, b32_, b32_, b32_),
#define REDUCE(name, type, T, f) \
  form("redux.sync." name "." #type, reduce<T, f>, Shape::plain, b32_, Kind::none, b32_, b32_),

constexpr Row rows[] = {
    MOVE(b16, u16) MOVE(u16, u16) MOVE(s16, u16) MOVE(b32, u32) MOVE(u32, u32) MOVE(s32, u32)
    MOVE(f32, u32)
    MOVE(b64, u64) MOVE(u64, u64) MOVE(s64, u64) MOVE(f64, u64)
    form("mov.pred", move_predicate, Shape::move, p, Kind::none, p),
    form("#pack.b32.2", pack<u32, u16, 2>, Shape::plain, b32_, Kind::none, b16_, b16_),
    form("#pack.b64.2", pack<u64, u32, 2>, Shape::plain, b64_, Kind::none, b32_, b32_),
    form("#pack.b64.4", pack<u64, u16, 4>, Shape::plain, b64_, Kind::none, b16_, b16_, b16_, b16_),
    form("#unpack.b32.2", unpack<u32, u16, 2>, Shape::plain, b16_, b16_, b32_),
    form("#unpack.b64.2", unpack<u64, u32, 2>, Shape::plain, b32_, b32_, b64_),
    form("#unpack.b64.4", unpack<u64, u16, 4>, Shape::plain, b16_, b16_, b64_),
    SHUFFLE(up) SHUFFLE(down) SHUFFLE(bfly) SHUFFLE(idx)
    form("vote.sync.any.pred", vote<any>, Shape::plain, p, Kind::none, p, b32_),
    form("vote.sync.all.pred", vote<all>, Shape::plain, p, Kind::none, p, b32_),
    form("vote.sync.uni.pred", vote<uni>, Shape::plain, p, Kind::none, p, b32_),
    form("vote.sync.ballot.b32", vote<ballot>, Shape::plain, b32_, Kind::none, p, b32_),
    form("match.any.sync.b32", match_any<u32>, Shape::plain, b32_, Kind::none, b32_, b32_),
    form("match.any.sync.b64", match_any<u64>, Shape::plain, b32_, Kind::none, b64_, b32_),
    form("match.all.sync.b32", match_all<u32>, Shape::paired, b32_, p, b32_, b32_),
    form("match.all.sync.b64", match_all<u64>, Shape::paired, b32_, p, b64_, b32_),
    REDUCE("add", u32, u32, sum_of) REDUCE("add", s32, u32, sum_of)
    REDUCE("min", u32, u32, least_of) REDUCE("min", s32, s32, least_of)
    REDUCE("max", u32, u32, most_of) REDUCE("max", s32, s32, most_of)
    REDUCE("and", b32, u32, and_of) REDUCE("or", b32, u32, or_of) REDUCE("xor", b32, u32, xor_of)
    form("elect.sync", elect, Shape::paired, b32_, p, b32_),
    form("activemask.b32", active_mask, Shape::plain, b32_, Kind::none, Kind::none),
    form("bar.warp.sync", sync_warp, Shape::plain, Kind::none, Kind::none, b32_),
};
// clang-format on

}  // namespace

Rows warp_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
