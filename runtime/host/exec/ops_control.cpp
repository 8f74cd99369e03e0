// Branches, ends, barriers and fences: what moves lanes rather than values.
#include "runtime/host/exec/lanes.h"
#include "runtime/host/exec/observer.h"
#include "runtime/host/exec/program.h"
#include "runtime/host/exec/schedule.h"
#include "runtime/host/report.h"

#include <fmt/format.h>

#include <bit>

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

void branch(Warp& w, const Instruction& i) {
  const u32 taken = executing(w, i);
  const auto target = static_cast<s32>(i.immediate);
  if (taken == w.active) return jump(w, target);
  if (taken == 0) return;
  w.active &= ~taken;
  add_group(w, target, taken);
  w.limit = -1;
}

void branch_table(Warp& w, const Instruction& i) {
  const u32 taken = executing(w, i);
  const std::vector<s32>& table = w.cta->program->tables[static_cast<std::size_t>(i.immediate)];
  const u32* index = slot<u32>(w, i.src[0]);
  for (int l : each(taken)) {
    if (index[l] >= table.size())
      report_fault(w, i, l,
                   fmt::format("the branch index {} is not below {}", index[l], table.size()));
    add_group(w, table[index[l]], lane_bits[l]);
  }
  w.active &= ~taken;
  w.limit = -1;
}

void finish(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  w.exited |= lanes;
  w.active &= ~lanes;
  if (lanes == 0) return;
  w.limit = -1;
  wake_waiters(w);
}

void trap(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes != 0) report_fault(w, i, first_lane(lanes), "the kernel stopped itself");
}

void nothing(Warp&, const Instruction&) {}

void give_way(Warp& w, const Instruction&) {
  w.yields = true;
  w.limit = -1;
}

enum Part : u8 { sync_aligned, sync_any, arrive_aligned, arrive_any, count_of, all_of, any_of };
bool is_aligned(u8 part) {
  return part != sync_any && part != arrive_any;
}
bool is_arrival(u8 part) {
  return part == arrive_aligned || part == arrive_any;
}

/// A barrier operand must be the same for all lanes.
u32 uniform_operand(const Warp& w, const Instruction& i, u16 index, u32 lanes) {
  const u32* values = slot<u32>(w, index);
  const u32 value = values[first_lane(lanes)];
  for (int l : each(lanes))
    if (values[l] != value) report_fault(w, i, l, "the operands of a barrier differ between lanes");
  return value;
}

/// Hands the result of a bar.red to every lane that waited.
void deliver(Warp& w, const Instruction& i, const Barrier& barrier, u32 lanes) {
  if (i.code == count_of) {
    u32* to = slot<u32>(w, i.dst[0]);
    for (int l : each(lanes)) to[l] = barrier.sum;
  } else if (i.code == all_of || i.code == any_of) {
    set_predicate(w, i.dst[0], lanes,
                  (i.code == all_of ? barrier.all : barrier.any) != 0 ? ~0u : 0u);
  }
}

void release(Cta& cta, u32 id) {
  if (cta.observer != nullptr) cta.observer->release(cta, id);
  for (int k = 0; k < cta.warp_count; ++k) {
    Warp& w = cta.warps[k];
    for (int g = 0; g < w.group_count; ++g) {
      Group& group = w.groups[g];
      if (group.wait != Group::Wait::barrier || group.barrier != id) continue;
      deliver(w, cta.program->code[static_cast<std::size_t>(group.pc) - 1], cta.barriers[id],
              group.lanes);
      group.wait = Group::Wait::nothing;
    }
  }
  cta.barriers[id] = {};
}

/// Counts `lanes` in; true where the barrier is complete.
bool arrive(Warp& w, const Instruction& i, u32 id, u32 lanes) {
  Cta& cta = *w.cta;
  Barrier& barrier = cta.barriers[id];
  const bool counted = (i.optional & 1) != 0;
  const s32 expected =
      counted ? static_cast<s32>(uniform_operand(w, i, i.src[1], lanes)) : cta.threads;
  if (expected <= 0 || (counted && expected % warp_size != 0))
    report_fault(w, i, first_lane(lanes),
                 fmt::format("a barrier cannot wait for {} threads", expected));
  if (barrier.expected == 0) barrier = {.expected = expected, .all = 1};
  if (barrier.expected != expected)
    report_fault(w, i, first_lane(lanes),
                 fmt::format("barrier {} is waited at for {} threads and here for {}", id,
                             barrier.expected, expected));
  // Barriers that count warps count a partial one as whole.
  const bool whole = counted && is_aligned(i.code);
  barrier.arrived += whole ? warp_size : std::popcount(is_aligned(i.code) ? w.launched : lanes);
  if (i.code >= count_of) {
    const u32 holds = predicate(w, i.src[2]) & lanes;
    barrier.sum += static_cast<u32>(std::popcount(holds));
    barrier.all &= holds == lanes ? 1u : 0u;
    barrier.any |= holds != 0 ? 1u : 0u;
  }
  if (barrier.arrived > barrier.expected)
    report_fault(w, i, first_lane(lanes),
                 fmt::format("{} threads arrive at barrier {}, which waits for {}", barrier.arrived,
                             id, barrier.expected));
  return barrier.arrived == barrier.expected;
}

void barrier(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes == 0) return;
  if (is_aligned(i.code) && lanes != live_lanes(w)) {
    if ((w.active & ~lanes) != 0)
      report_fault(w, i, first_lane(w.active & ~lanes),
                   "divergent barrier: the lane skips it by its predicate");
    return wait_for_members(w, lanes);
  }
  const u32 id = uniform_operand(w, i, i.src[0], lanes);
  if (id >= barrier_count)
    report_fault(w, i, first_lane(lanes),
                 fmt::format("there is no barrier {}; a CTA has {}", id, barrier_count));
  const bool complete = arrive(w, i, id, lanes);
  if (w.cta->observer != nullptr) w.cta->observer->arrive(w, i, id, lanes, !is_arrival(i.code));
  if (!is_arrival(i.code)) {
    add_group(w, w.pc, lanes, Group::Wait::barrier, static_cast<int>(id));
    w.active &= ~lanes;
    w.limit = -1;
  }
  if (complete) release(*w.cta, id);
}

constexpr Row control(const char* name, Handler run, Shape shape) {
  return {name, run, shape};
}
constexpr Row barrier_row(const char* name, Part part) {
  return {name, barrier, Shape::barrier, Neutral::none, part, 1, {}, {Kind::b32, Kind::b32}};
}
constexpr Row reduce_row(const char* name, Part part) {
  return {name,
          barrier,
          Shape::barrier_reduce,
          Neutral::none,
          part,
          1,
          {part == count_of ? Kind::b32 : Kind::pred},
          {Kind::b32, Kind::b32, Kind::pred}};
}

// clang-format off
#define BARRIERS(name, aligned_sync, aligned_arrive) \
  barrier_row(name ".sync", aligned_sync), barrier_row(name ".arrive", aligned_arrive),
#define REDUCTIONS(name, tail) \
  reduce_row(name ".red.popc" tail ".u32", count_of), \
  reduce_row(name ".red.and" tail ".pred", all_of), \
      reduce_row(name ".red.or" tail ".pred", any_of),
#define FENCE(name) control(name, nothing, Shape::plain),
#define SCOPES(name) FENCE(name ".cta") FENCE(name ".cluster") FENCE(name ".gpu") FENCE(name ".sys")

constexpr Row rows[] = {
    control("bra", branch, Shape::branch), control("bra.uni", branch, Shape::branch),
    control("brx.idx", branch_table, Shape::branch_table),
    control("brx.idx.uni", branch_table, Shape::branch_table),
    control("call", nothing, Shape::call), control("call.uni", nothing, Shape::call),
    control("ret", finish, Shape::finish), control("ret.uni", finish, Shape::finish),
    control("exit", finish, Shape::finish),
    control("trap", trap, Shape::plain), control("brkpt", trap, Shape::plain),
    {"nanosleep.u32", give_way, Shape::plain, Neutral::none, 0, 1, {}, {Kind::b32}},
    BARRIERS("bar", sync_aligned, arrive_aligned) BARRIERS("bar.cta", sync_aligned, arrive_aligned)
    BARRIERS("barrier", sync_any, arrive_any) BARRIERS("barrier.cta", sync_any, arrive_any)
    barrier_row("barrier.sync.aligned", sync_aligned),
    barrier_row("barrier.cta.sync.aligned", sync_aligned),
    barrier_row("barrier.arrive.aligned", arrive_aligned),
    barrier_row("barrier.cta.arrive.aligned", arrive_aligned),
    REDUCTIONS("bar", "") REDUCTIONS("bar.cta", "") REDUCTIONS("barrier", ".aligned")
    REDUCTIONS("barrier.cta", ".aligned")
    FENCE("membar.cta") FENCE("membar.gl") FENCE("membar.sys")
    SCOPES("fence") SCOPES("fence.sc") SCOPES("fence.acq_rel")
    control("prefetch.global.L1", nothing, Shape::prefetch),
    control("prefetch.global.L2", nothing, Shape::prefetch),
    control("prefetch.global.L2::evict_last", nothing, Shape::prefetch),
    control("prefetch.global.L2::evict_normal", nothing, Shape::prefetch),
    control("prefetch.L1", nothing, Shape::prefetch),
    control("prefetch.L2", nothing, Shape::prefetch),
};
// clang-format on

}  // namespace

Rows control_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
