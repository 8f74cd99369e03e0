#pragma once
#include "runtime/host/exec/instruction.h"
#include "runtime/host/exec/warp.h"

#include <cstdint>

namespace lacuna::runtime::host {

/// Backward branches that a warp may take before another warp, or another group of its lanes, gets
/// a turn: whoever spins on what others must do cannot starve them.
constexpr std::int32_t turn_length = 1 << 14;

std::uint32_t live_lanes(const Warp& w);

/// Puts lanes aside; they are no longer part of the running group unless the caller keeps them
/// there.
void add_group(Warp& w, std::int32_t pc, std::uint32_t lanes,
               Group::Wait wait = Group::Wait::nothing, int barrier = 0);
/// Sends the running group to `target`.
void jump(Warp& w, std::int32_t target);
/// Stops `executing` lanes before the current instruction, until other lanes of the warp arrive at
/// it.
void wait_for_members(Warp& w, std::uint32_t executing);
/// Lets groups that wait for other lanes look again: some of those have left.
void wake_waiters(Warp& w);
/// Files the running group, joins groups that stand at one instruction, and runs the one with the
/// smallest pc. Leaves active 0 where none can run.
void reschedule(Warp& w);
bool can_run(const Warp& w);
/// Runs a warp until it must wait, has finished, or has had its turn.
void run(Warp& w, const Instruction* code);

/// For `.sync` instructions with a member mask for each lane (`masks`): whether all lanes that must
/// take part do. Otherwise the group waits and the instruction must not be executed. Throws where a
/// lane is not a member itself.
bool members_are_here(Warp& w, const Instruction& at, const std::uint32_t* masks,
                      std::uint32_t executing);
/// The same for `.aligned` instructions that take all 32 lanes. Throws where some never will: they
/// do not exist, have left or skip the instruction.
bool whole_warp_is_here(Warp& w, const Instruction& at, std::uint32_t executing);

}  // namespace lacuna::runtime::host
