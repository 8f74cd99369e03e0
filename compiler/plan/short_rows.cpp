#include "compiler/plan/short_rows.h"

#include "compiler/plan/route.h"

#include <algorithm>
#include <optional>

namespace lacuna::plan {
namespace {

constexpr int most_keys = 2048, most_turns = 64;

int padded(int columns) {
  return (columns + 15) / 16 * 16;
}

/// Queries and keys of the tiles of templates/short_rows.cuh, besides scores.
int operand_bytes(const Pass& pass, const Spec& spec) {
  const Schedule& s = pass.schedule;
  if (pass.machine == Machine::fma) return needs(pass.machine, spec, s).shared_bytes;
  const int q = padded(spec.head_dim), widest = std::max(q, padded(spec.value_dim));
  return 2 * (s.tile_q * q + s.stages * key_warps(pass) * s.tile_k * widest);
}
/// What warps say to each other, and which tiles have a weight.
int told_bytes(const Pass& pass) {
  return 2 * key_warps(pass) * pass.schedule.tile_q * 16 + 16;
}
int shared_bytes(const Pass& pass, const Spec& spec, int turns) {
  const Schedule& s = pass.schedule;
  const int bytes = operand_bytes(pass, spec) + told_bytes(pass) +
                    turns * s.tile_q * key_warps(pass) * s.tile_k * 4;
  return pass.machine == Machine::sm80 ? (bytes + 127) / 128 * 128 : bytes;
}

/// Sums of O, scores and weights of a tile, fragments, and the state of rows.
bool registers_fit(const Pass& pass, const Plan& plan) {
  const Schedule& s = pass.schedule;
  const int rows = pass.machine == Machine::sm80 ? 2 : s.tile_q / (4 * s.warps);
  const int lanes = pass.machine == Machine::sm80 ? 4 : 8;
  const int live = rows * (plan.spec.value_dim / lanes + s.tile_k / lanes + 10) + 60;
  return live <= row(plan.facts.arch).registers_per_sm / pass.threads();
}

/// The pass with room for the most keys that fit, or for most_keys.
std::optional<Pass> with_room(Pass pass, const Plan& plan) {
  const Schedule& s = pass.schedule;
  if (!registers_fit(pass, plan)) return {};
  const int turn = key_warps(pass) * s.tile_k;
  for (int turns = std::min(most_keys / turn, most_turns); turns > 0; --turns) {
    pass.shared_bytes = shared_bytes(pass, plan.spec, turns);
    pass.most_keys = turns * turn;
    if (pass.shared_bytes <= row(plan.facts.arch).shared_per_block) return pass;
  }
  return {};
}

/// Of tiles of so many queries: with the most keys up to `wanted`, then the most warps.
std::optional<Pass> best(const Plan& plan, int tile_q, int wanted) {
  const Machine machine = machine_of(plan.spec.dtype);
  std::vector<Schedule> all;
  if (machine == Machine::sm80) {
    for (const int tile_k : {64, 32, 16}) all.push_back({tile_q, tile_k, 8, 2});
  } else {
    for (const int warps : {8, 4}) all.push_back({tile_q, 32, warps, 1});
  }
  std::optional<Pass> found;
  for (const Schedule& s : all) {
    if (machine == Machine::fma && s.tile_q % (4 * s.warps) != 0) continue;
    const std::optional<Pass> one =
        with_room({.kind = PassKind::short_rows, .machine = machine, .schedule = s}, plan);
    if (one && (!found || std::min(one->most_keys, wanted) > std::min(found->most_keys, wanted)))
      found = one;
  }
  return found;
}

}  // namespace

int key_warps(const Pass& pass) {
  return pass.machine == Machine::sm80 ? pass.schedule.warps * 16 / pass.schedule.tile_q : 1;
}

int short_rows_shared_bytes(const Pass& pass, const Spec& spec, std::int64_t keys) {
  const std::int64_t turn = key_warps(pass) * pass.schedule.tile_k;
  return shared_bytes(pass, spec, static_cast<int>((keys + turn - 1) / turn));
}

int turns_of(const Pass& pass) {
  return pass.most_keys / (key_warps(pass) * pass.schedule.tile_k);
}

void add_short_rows(Plan& plan) {
  if (plan.spec.sparsity) return;
  int before = 0;
  for (const int tile_q : {widest_short_tile, 32, 16}) {
    const std::optional<Pass> pass = best(plan, tile_q, most_keys * 16 / tile_q);
    if (!pass || pass->most_keys <= before) continue;
    before = pass->most_keys;
    plan.passes.push_back(*pass);
  }
}

std::size_t short_rows_of(const Plan& plan, const Shape& shape) {
  if (plan.facts.schedule) return 0;
  const auto sms = static_cast<std::uint64_t>(multiprocessors(plan.facts));
  const bool idle = grid(plan.passes.front(), plan.spec, shape).blocks < sms;
  for (std::size_t i = 0; i < plan.passes.size(); ++i) {
    const Pass& pass = plan.passes[i];
    if (pass.kind == PassKind::short_rows && shape.keys <= pass.most_keys &&
        (pass.schedule.tile_q == widest_short_tile || idle))
      return i;
  }
  return 0;
}

}  // namespace lacuna::plan
