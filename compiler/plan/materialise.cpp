#include "compiler/plan/materialise.h"

#include "lacuna/error.hpp"

#include "compiler/plan/entmax.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::plan {
namespace {

int ctas_per_sm(const Pass& pass, const Plan& plan) {
  const ArchRow& sm = row(plan.facts.arch);
  const int fitting = sm.shared_per_sm / (pass.shared_bytes + sm.shared_reserved);
  return std::max(1, std::min(fitting, decode_ctas_per_sm(pass.machine, keys_alone(plan.spec),
                                                          pass.schedule, plan.facts.arch)));
}

std::int64_t rows_of(const Spec& spec, const Shape& shape) {
  const std::int64_t sequences = spec.lengths == Lengths::packed ? 1 : shape.batch;
  return sequences * shape.heads * shape.queries;
}

}  // namespace

// What templates/materialise.cuh keeps; generated code asserts that both agree.
int materialise_shared_bytes(Machine machine, const Spec& spec, const Schedule& s) {
  const int of_row = 4 * (materialise_capacity + 8) + 16;  // scores, and what is found of them
  const int bytes = needs(machine, keys_alone(spec), s).shared_bytes + s.tile_q * of_row +
                    s.warps * materialise_capacity * 4;
  return machine == Machine::sm80 ? (bytes + 127) / 128 * 128 : bytes;
}

void add_materialise(Plan& plan) {
  const Spec& spec = plan.spec;
  Pass pass{.kind = PassKind::materialise, .machine = machine_of(spec.dtype)};
  const int most = row(plan.facts.arch).shared_per_block;
  for (const Schedule& s : decode_schedules(pass.machine, keys_alone(spec), plan.facts.arch))
    if (materialise_shared_bytes(pass.machine, spec, s) <= most) pass.others.push_back(s);
  if (pass.others.empty())
    throw Error(ErrorKind::unsupported,
                fmt::format("no schedule of materialise fits head_dim {} on {}", spec.head_dim,
                            plan.facts.arch.name()));
  pass.schedule = pass.others.front();
  pass.others.erase(pass.others.begin());
  // The workspace is that of one tile of keys.
  std::erase_if(pass.others, [&](const Schedule& s) { return s.tile_k != pass.schedule.tile_k; });
  pass.split = true;
  pass.packed_heads = plan.unpacked_by.empty();
  pass.shared_bytes = materialise_shared_bytes(pass.machine, spec, pass.schedule);
  pass.ctas_per_sm = ctas_per_sm(pass, plan);
  plan.passes.push_back(pass);
  constexpr int warps = 4;
  plan.passes.push_back(
      {.kind = PassKind::gather,
       .machine = pass.machine,
       .schedule = {.tile_q = 1, .tile_k = 1, .warps = warps, .stages = 1},
       .shared_bytes = warps * (16 + 4 * spec.value_dim * (spec.escort ? 2 : 1))});
}

const Pass& split_pass(const Plan& plan) {
  return plan.passes.at(weighs_by_entmax(plan) ? materialise_at : 1);
}

CandidateLayout candidate_layout(const Plan& plan, const Shape& shape, int splits) {
  const std::int64_t tile = split_pass(plan).schedule.tile_k;
  const std::int64_t tiles = (shape.keys + tile - 1) / tile;
  const std::int64_t lists = rows_of(plan.spec, shape) * splits;
  CandidateLayout layout;
  layout.room = (tiles + splits - 1) / splits * tile;
  layout.found = {0, static_cast<std::uint64_t>(lists * 16)};
  layout.candidates = {layout.found.bytes, static_cast<std::uint64_t>(lists * layout.room * 8)};
  layout.bytes = layout.found.bytes + layout.candidates.bytes;
  return layout;
}

bool outgrows_keys(const Plan& plan, const Shape& shape, int splits) {
  constexpr std::uint64_t little = std::uint64_t{256} << 20;
  const Spec& spec = plan.spec;
  const std::int64_t sequences = spec.lengths == Lengths::packed ? 1 : shape.batch;
  const auto keys = static_cast<std::uint64_t>(sequences * shape.kv_heads * shape.keys);
  const auto columns = static_cast<std::uint64_t>(spec.head_dim + spec.value_dim);
  const std::uint64_t operands = keys * columns * static_cast<std::uint64_t>(size_of(spec.dtype));
  return candidate_layout(plan, shape, splits).bytes > std::max(4 * operands, little);
}

}  // namespace lacuna::plan
