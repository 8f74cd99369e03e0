#include "compiler/plan/plan.h"

#include "compiler/base/digest.h"
#include "compiler/ir/call.h"
#include "compiler/plan/conjunct.h"
#include "compiler/plan/entmax.h"
#include "compiler/plan/lists.h"
#include "compiler/plan/materialise.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::plan {
namespace {

Pass flash_forward(const Spec& spec, const Facts& facts) {
  Pass pass{.machine = machine_of(spec.dtype)};
  if (facts.schedule) {
    pass.schedule = *facts.schedule;
    if (const std::string limit = illegal(pass.machine, spec, pass.schedule, facts.arch);
        !limit.empty())
      throw Error(
          ErrorKind::unsupported,
          fmt::format("schedule {} is not legal for {} with head_dim {} and value_dim {} on "
                      "machine/{}: {}",
                      pass.schedule.name(), name_of(spec.dtype), spec.head_dim, spec.value_dim,
                      name_of(pass.machine), limit));
  } else {
    pass.others = schedules(pass.machine, spec, facts.arch);
    pass.schedule = pass.others.front();
    pass.others.erase(pass.others.begin());
  }
  pass.shared_bytes = needs(pass.machine, spec, pass.schedule).shared_bytes;
  return pass;
}

/// The conjunct that keeps the heads of a group from sharing a tile: one that reads the head before
/// elements are tested, as the range of keys or as a choice of the rows of K and V. Or "".
std::string unpacked_by(const Plan& plan) {
  const ir::Graph& graph = plan.spec.pattern.tree().graph;
  const auto reads_head = [&](ir::NodeId id) {
    return (graph.dependence(id) & ir::on(ir::Variable::h)) != 0;
  };
  for (const Conjunct& c : plan.conjuncts) {
    if (c.key_only && reads_head(c.expr)) return c.text;
    for (const Band& band : c.bands)
      for (const Affine* side : {&band.left, &band.right})
        for (const auto& [atom, factor] : side->atoms)
          if (reads_head(atom)) return c.text;
  }
  return "";
}

/// Lists of tiles, and flash forward over them: for masks that are not bands alone.
void add_listed(Plan& plan) {
  const auto on_tiles = [](const Conjunct& c) { return c.taken == Strategy::tiles; };
  if (std::none_of(plan.conjuncts.begin(), plan.conjuncts.end(), on_tiles)) return;
  Pass reader = plan.passes.front();
  reader.listed = true;
  if (reader.others.size() > most_tried)
    reader.others.erase(reader.others.begin() + most_tried, reader.others.end());
  plan.passes.push_back(lists_for(reader));
  plan.passes.push_back(reader);
  plan.lists = list_traits(plan);
}

/// Flash forward over parts of the keys, in small tiles of rows, and what combines the parts.
void add_decode(Plan& plan) {
  const Spec& spec = plan.spec;
  Pass pass{.machine = machine_of(spec.dtype)};
  pass.others = decode_schedules(pass.machine, spec, plan.facts.arch);
  pass.schedule = pass.others.front();
  pass.others.erase(pass.others.begin());
  pass.split = true;
  pass.packed_heads = plan.unpacked_by.empty();
  pass.shared_bytes = needs(pass.machine, spec, pass.schedule).shared_bytes;
  pass.ctas_per_sm = decode_ctas_per_sm(pass.machine, spec, pass.schedule, plan.facts.arch);
  plan.passes.push_back(pass);
  // A warp to a row: combine has no keys of its own, nor anything in shared memory.
  plan.passes.push_back({.kind = PassKind::combine,
                         .machine = pass.machine,
                         .schedule = {.tile_q = 4, .tile_k = 1, .warps = 4, .stages = 1}});
}

void add(Digest& digest, const Span& where) {
  digest.add("file", where.file).add("line", where.line);
}

// The lines of the pattern too: generated code and reports carry them.
std::string digest_of(const Plan& plan) {
  const Spec& spec = plan.spec;
  const ir::Pattern& pattern = spec.pattern.tree();
  Digest digest;
  digest.add("name", pattern.name);
  for (const Span& where : pattern.score_where) add(digest, where);
  add(digest, pattern.weights.where);
  digest.add("pattern", spec.pattern.digest());
  digest.add("dtype", static_cast<int>(spec.dtype))
      .add("output", static_cast<int>(spec.output.value_or(spec.dtype)));
  digest.add("head_dim", spec.head_dim).add("value_dim", spec.value_dim);
  digest.add("statistic", spec.statistic).add("escort", spec.escort);
  digest.add("lengths", static_cast<int>(spec.lengths));
  if (spec.sparsity) digest.add("sparsity", true);
  for (const auto& [name, dtype] : spec.storage)
    digest.add("tensor", name).add("storage", static_cast<int>(dtype));
  digest.add("arch", plan.facts.arch.name()).add("checked", plan.facts.checked);
  for (const Conjunct& c : plan.conjuncts) {
    digest.add("strategy", static_cast<int>(c.taken)).add("conjunct", c.text);
    add(digest, c.where);
  }
  for (const Pass& pass : plan.passes) {
    const Schedule& s = pass.schedule;
    digest.add("pass", static_cast<int>(pass.kind)).add("machine", name_of(pass.machine));
    digest.add("tile_q", s.tile_q)
        .add("tile_k", s.tile_k)
        .add("warps", s.warps)
        .add("stages", s.stages)
        .add("split", pass.split)
        .add("packed heads", pass.packed_heads)
        .add("granule", pass.granule_k)
        .add("listed", pass.listed);
    if (pass.most_keys > 0) digest.add("keys", pass.most_keys);
  }
  return digest.hex();
}

}  // namespace

std::string_view name_of(Strategy strategy) {
  constexpr std::string_view names[] = {"select q", "select k", "order",
                                        "band",     "tiles",    "elements"};
  return names[static_cast<int>(strategy)];
}

std::string_view name_of(PassKind kind) {
  constexpr std::string_view names[] = {"flash_forward", "combine",    "tile_lists",
                                        "threshold",     "live_tiles", "accumulate",
                                        "materialise",   "gather",     "short_rows"};
  return names[static_cast<int>(kind)];
}

std::string name_of(const Pass& pass) {
  if (pass.kind == PassKind::short_rows)
    return fmt::format("{}_{}", name_of(pass.kind), pass.schedule.tile_q);
  const bool one_of_several =
      pass.kind == PassKind::flash_forward || pass.kind == PassKind::threshold;
  return fmt::format("{}{}{}", name_of(pass.kind), pass.split && one_of_several ? "_split" : "",
                     pass.listed && one_of_several ? "_listed" : "");
}

Plan plan(const Spec& spec, const Facts& facts) {
  ir::check_spec(spec);
  const ir::Pattern& pattern = spec.pattern.tree();
  Plan plan{.spec = spec,
            .facts = facts,
            .conjuncts = conjuncts_of(pattern),
            .passes = {},
            .variants = {},
            .digest = {}};
  plan.unpacked_by = unpacked_by(plan);
  plan.passes.push_back(flash_forward(spec, facts));
  if (weighs_by_entmax(plan)) {
    add_entmax(plan);
  } else {
    add_decode(plan);
    add_listed(plan);
  }
  plan.variants = {Variant{true}, Variant{false}};
  plan.digest = digest_of(plan);
  return plan;
}

const Pass* list_reader(const Plan& plan) {
  for (std::size_t i = 0; i + 1 < plan.passes.size(); ++i)
    if (plan.passes[i].kind == PassKind::tile_lists) return &plan.passes[i + 1];
  return nullptr;
}

Pass with_schedule(const Plan& plan, const Pass& pass, const Schedule& schedule) {
  Pass changed = pass;
  changed.schedule = schedule;
  changed.shared_bytes = pass.kind == PassKind::materialise
                             ? materialise_shared_bytes(pass.machine, plan.spec, schedule)
                             : needs(pass.machine, plan.spec, schedule).shared_bytes;
  return changed;
}

Grid grid(const Pass& pass, const Spec& spec, const Shape& shape, int splits) {
  const std::int64_t tile = pass.schedule.tile_q;
  const bool packed = spec.lengths == Lengths::packed;
  if (shape.queries == 0 || shape.heads == 0 || shape.batch == 0) return {};
  const std::int64_t group = pass.packed_heads ? shape.heads / shape.kv_heads : 1;
  const std::int64_t rows = shape.queries * group;
  // Packed: sequence s owns the slots from cu[s] / tile + s on (templates/lengths.cuh).
  const std::int64_t tiles = packed ? rows / tile + shape.batch : (rows + tile - 1) / tile;
  const std::int64_t heads =
      shape.heads / group * (packed ? 1 : shape.batch) * (pass.split ? splits : 1);
  const std::int64_t limit = 0x7fffffff;
  if (tiles > limit / heads)
    throw Error(
        ErrorKind::argument,
        fmt::format("{} tiles of {} queries in {} heads are more than the {} blocks of a grid",
                    tiles, tile, heads, limit));
  return {static_cast<std::int32_t>(tiles), static_cast<std::uint64_t>(tiles * heads)};
}

}  // namespace lacuna::plan
