#include "runtime/host/exec/schedule.h"

#include "runtime/host/describe.h"
#include "runtime/host/report.h"

#include <fmt/format.h>

#include <bit>

namespace lacuna::runtime::host {
namespace {

/// How often a group that got its turn out of order is kept on before the smallest pc rules again.
constexpr std::int32_t favour = 1 << 10;

bool joins(const Group& a, const Group& b) {
  return a.pc == b.pc && a.wait != Group::Wait::barrier && b.wait != Group::Wait::barrier;
}

/// The group to run next: the smallest pc, or after a turn the next larger one, around.
int choose(const Warp& w, std::int32_t current) {
  int smallest = -1, next = -1;
  for (int g = 0; g < w.group_count; ++g) {
    if (w.groups[g].wait != Group::Wait::nothing) continue;
    const std::int32_t pc = w.groups[g].pc;
    if (smallest < 0 || pc < w.groups[smallest].pc) smallest = g;
    if (pc > current && (next < 0 || pc < w.groups[next].pc)) next = g;
  }
  return w.yields && next >= 0 ? next : smallest;
}

int find_group(const Warp& w, std::int32_t pc) {
  for (int g = 0; g < w.group_count; ++g)
    if (w.groups[g].pc == pc && w.groups[g].wait == Group::Wait::nothing) return g;
  return -1;
}

void start(Warp& w, int index) {
  const Group group = w.groups[index];
  w.groups[index] = w.groups[--w.group_count];
  w.pc = group.pc;
  w.active = group.lanes;
  w.limit = no_limit;
  for (int g = 0; g < w.group_count; ++g)
    if (w.groups[g].wait != Group::Wait::barrier && w.groups[g].pc > w.pc &&
        w.groups[g].pc < w.limit)
      w.limit = w.groups[g].pc;
}

}  // namespace

std::uint32_t live_lanes(const Warp& w) {
  return w.launched & ~w.exited;
}

void add_group(Warp& w, std::int32_t pc, std::uint32_t lanes, Group::Wait wait, int barrier) {
  const Group added{pc, lanes, wait, static_cast<std::uint8_t>(barrier)};
  for (int g = 0; g < w.group_count; ++g) {
    Group& group = w.groups[g];
    if (!joins(group, added)) continue;
    group.lanes |= lanes;
    group.wait = Group::Wait::nothing;  // who waited for members looks again
    return;
  }
  w.groups[w.group_count++] = added;
}

void jump(Warp& w, std::int32_t target) {
  if (target < w.pc) {
    if (--w.backward <= 0) w.yields = true;
    if (w.yields || w.group_count > 0) w.limit = -1;
  }
  w.pc = target;
}

void wait_for_members(Warp& w, std::uint32_t executing) {
  const std::int32_t here = w.pc - 1;
  const std::uint32_t others = w.active & ~executing;
  add_group(w, here, executing, Group::Wait::members);
  w.active = others;
  w.limit = -1;
}

void wake_waiters(Warp& w) {
  for (int g = 0; g < w.group_count; ++g)
    if (w.groups[g].wait == Group::Wait::members) w.groups[g].wait = Group::Wait::nothing;
}

void reschedule(Warp& w) {
  const std::int32_t current = w.pc;
  if (w.active != 0) add_group(w, w.pc, w.active);
  const bool had_lanes = w.active != 0;
  w.active = 0;
  int index = -1;
  if (!w.yields && w.favoured > 0 && had_lanes) {
    --w.favoured;
    index = find_group(w, current);
  } else {
    index = choose(w, current);
    w.favoured = w.yields ? favour : 0;
  }
  if (index >= 0) start(w, index);
}

bool can_run(const Warp& w) {
  if (w.active != 0) return true;
  for (int g = 0; g < w.group_count; ++g)
    if (w.groups[g].wait == Group::Wait::nothing) return true;
  return false;
}

void run(Warp& w, const Instruction* code) {
  w.yields = false;
  w.backward = turn_length;
  if (w.active == 0) reschedule(w);
  while (w.active != 0 && !w.yields) {
    const auto lanes = static_cast<std::uint64_t>(std::popcount(w.active));
    std::uint64_t count = 0;
    do {
      const Instruction& instruction = code[w.pc++];
      instruction.run(w, instruction);
      ++count;
    } while (w.pc < w.limit);
    w.instructions += count;
    w.lane_instructions += count * lanes;
    reschedule(w);
  }
}

bool members_are_here(Warp& w, const Instruction& at, const std::uint32_t* masks,
                      std::uint32_t executing) {
  const std::uint32_t live = live_lanes(w);
  std::uint32_t missing = 0;
  for (std::uint32_t rest = executing; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    if ((masks[lane] >> lane & 1) == 0)
      report_fault(w, at, lane,
                   fmt::format("the lane is not in its own member mask {:#010x}", masks[lane]));
    missing |= masks[lane] & live & ~executing;
  }
  if (missing == 0) return true;
  if ((missing & w.active) != 0)
    report_fault(w, at, std::countr_zero(missing & w.active),
                 "a member of the mask skips the instruction by its predicate");
  wait_for_members(w, executing);
  return false;
}

bool whole_warp_is_here(Warp& w, const Instruction& at, std::uint32_t executing) {
  if (executing == ~0u) return true;
  if (executing == 0) return false;  // skipped by all alike
  const auto lacks = [&](std::uint32_t lanes, std::string_view why) {
    if (lanes != 0)
      report_fault(w, at, std::countr_zero(lanes),
                   fmt::format("the instruction needs all lanes of the warp, but lanes {} {}",
                               describe_lanes(lanes), why));
  };
  lacks(w.active & ~executing, "skip it by its predicate");
  lacks(~w.launched, "do not exist");
  lacks(w.exited, "have exited");
  wait_for_members(w, executing);
  return false;
}

}  // namespace lacuna::runtime::host
