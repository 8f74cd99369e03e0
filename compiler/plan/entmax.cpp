#include "compiler/plan/entmax.h"

#include "compiler/base/digest.h"
#include "compiler/plan/materialise.h"
#include "compiler/plan/route.h"
#include "compiler/plan/short_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

namespace lacuna::plan {
namespace {

/// What templates/threshold.cuh keeps in shared memory besides tiles of Q and K.
int own_shared_bytes(Machine machine) {
  return machine == Machine::sm80 ? 128 : 16;  // Q and K lie on 128 bytes, or on 4
}

/// Candidates, of a lane of `rows` rows (templates/candidates.cuh).
std::int64_t lane_bytes(int rows) {
  return std::int64_t{rows} * candidate_slots * 8 + std::int64_t{rows} / 2 * candidate_blocks * 32;
}
int rows_of_lane(const Pass& pass) {
  const int of_warp = pass.schedule.tile_q / pass.schedule.warps;
  return pass.machine == Machine::sm80 ? of_warp / 8 : of_warp / 4;
}

/// Candidates come in blocks of 2 rows and 2 keys, and live tiles are found by words of 32 keys, or
/// by parts of one.
bool in_blocks(Machine machine, const Schedule& s) {
  if (s.tile_k % 32 != 0 && 32 % s.tile_k != 0) return false;
  return machine == Machine::sm80 || (s.tile_q % (8 * s.warps) == 0 && s.tile_k % 16 == 0);
}

}  // namespace

bool weighs_by_entmax(const Plan& plan) {
  return ir::is_entmax(plan.spec.pattern.tree());
}

bool has_alpha_of_call(const ir::Pattern& pattern) {
  return ir::is_entmax(pattern) && !pattern.graph.is_constant(pattern.weights.alpha);
}

Spec softmax_of(const Spec& spec) {
  auto pattern = std::make_shared<ir::Pattern>(spec.pattern.tree());
  pattern->weights.kind = ir::WeightsKind::softmax;
  pattern->digest = Digest().add("softmax of", pattern->digest).hex();
  Spec softmax = spec;
  softmax.escort = false;
  softmax.pattern = Pattern(std::move(pattern));
  softmax.sparsity = false;
  return softmax;
}

int entmax_power(const ir::Pattern& pattern) {
  const ir::NodeId alpha = pattern.weights.alpha;
  if (!pattern.graph.is_constant(alpha)) return 0;
  const float beta = 1.0f / (pattern.graph.float_value(alpha) - 1.0f);
  const float whole = std::round(beta);
  // 4/3 is no f32.
  return whole >= 1 && whole <= 4 && std::fabs(beta - whole) < 1e-5f ? static_cast<int>(whole) : 0;
}

std::vector<Pass> thresholds_for(const Plan& plan, const Pass& accumulate, bool listed) {
  const Spec keys = keys_alone(plan.spec);
  const ArchRow& sm = row(plan.facts.arch);
  // Of accumulate's warps each has 16 rows only because it has two sums of them.
  const bool one_walk = takes_one_walk(accumulate.machine, plan.spec, accumulate.schedule);
  std::vector<Pass> all;
  const auto add = [&](int tile_k, int stages) {
    Pass pass{.kind = PassKind::threshold, .machine = accumulate.machine};
    pass.schedule = accumulate.schedule;
    if (one_walk && pass.schedule.warps % 2 == 0) pass.schedule.warps /= 2;
    pass.schedule.tile_k = tile_k;
    pass.schedule.stages = stages;
    pass.granule_k = accumulate.schedule.tile_k;
    pass.listed = listed;
    pass.shared_bytes =
        needs(pass.machine, keys, pass.schedule).shared_bytes + own_shared_bytes(pass.machine);
    if (pass.shared_bytes > sm.shared_per_block) return;
    for (const Pass& known : all)
      if (known.schedule == pass.schedule) return;
    pass.ctas_per_sm = occupancy(pass.machine, keys, pass.schedule, plan.facts.arch);
    all.push_back(pass);
  };
  const int granule = accumulate.schedule.tile_k;
  if (accumulate.machine == Machine::sm80) {
    if (granule < 64 && 64 % granule == 0) {
      add(64, 3);
      add(64, 2);
    }
    add(granule, 3);
    add(granule, 2);
  }
  add(granule, accumulate.schedule.stages);
  return all;
}

std::string escort_walks(const Plan& plan, const Pass& pass) {
  if (!plan.spec.escort || pass.kind != PassKind::accumulate) return "";
  if (takes_one_walk(pass.machine, plan.spec, pass.schedule))
    return "            one walk for O and the escort; O takes the last step of the gap to first "
           "order\n";
  const std::string why =
      pass.machine == Machine::fma ? "f32 has no products of two weights at once"
      : pass.schedule.tile_q > 16 * pass.schedule.warps
          ? "a warp has more than 16 rows"
          : fmt::format("sums of two times {} values a row leave too few registers",
                        plan.spec.value_dim);
  return fmt::format("            a second walk over live tiles for the escort: {}\n", why);
}

Pass live_tiles_for(const Pass& accumulate) {
  Pass pass = lists_for(accumulate);
  pass.kind = PassKind::live_tiles;
  return pass;
}

void add_entmax(Plan& plan) {
  const auto on_tiles = [](const Conjunct& c) { return c.taken == Strategy::tiles; };
  const bool listed = std::any_of(plan.conjuncts.begin(), plan.conjuncts.end(), on_tiles);
  Pass accumulate = plan.passes.front();
  accumulate.kind = PassKind::accumulate;
  accumulate.listed = true;
  std::vector<Schedule>& others = accumulate.others;
  others.insert(others.begin(), accumulate.schedule);
  std::erase_if(others, [&](const Schedule& s) { return !in_blocks(accumulate.machine, s); });
  if (others.empty())
    throw Error(ErrorKind::unsupported,
                "schedule " + accumulate.schedule.name() +
                    " is not legal for entmax: its tiles have 16 keys or a multiple of 32, and on "
                    "machine/fma a multiple of 8 queries for each warp");
  accumulate = with_schedule(plan, accumulate, others.front());
  accumulate.others.erase(accumulate.others.begin());
  if (accumulate.others.size() > most_tried) accumulate.others.resize(most_tried);
  plan.passes = {thresholds_for(plan, accumulate, false).front(), live_tiles_for(accumulate),
                 accumulate};
  add_materialise(plan);
  if (listed) {
    const Pass threshold = thresholds_for(plan, accumulate, true).front();
    plan.passes.push_back(lists_for(threshold));
    plan.passes.push_back(threshold);
    plan.lists = list_traits(plan);
  }
  add_short_rows(plan);
}

std::uint64_t threshold_ctas(const Plan& plan, const Pass& threshold, const Shape& shape) {
  const auto resident = static_cast<std::uint64_t>(multiprocessors(plan.facts)) *
                        static_cast<std::uint64_t>(threshold.ctas_per_sm);
  return std::min(grid(threshold, plan.spec, shape).blocks, resident);
}

EntmaxLayout entmax_layout(const Plan& plan, const Pass& threshold, const Pass& accumulate,
                           const Shape& shape, bool statistic, std::uint64_t mask_bytes) {
  EntmaxLayout layout;
  std::uint64_t at = 0;
  const auto take = [&at](std::uint64_t bytes) {
    const Buffer buffer{at, bytes};
    at += (bytes + 15) / 16 * 16;
    return buffer;
  };
  layout.queue = take(16);
  layout.scratch = take(threshold_ctas(plan, threshold, shape) *
                        static_cast<std::uint64_t>(threshold.threads()) *
                        static_cast<std::uint64_t>(lane_bytes(rows_of_lane(threshold))));
  if (!statistic) {
    const bool packed = plan.spec.lengths == Lengths::packed;
    const auto rows =
        static_cast<std::uint64_t>((packed ? 1 : shape.batch) * shape.heads * shape.queries);
    layout.zmax = take(rows * 4);
    layout.gap = take(rows * 4);
  }
  layout.live_at = at;
  layout.live = tile_lists(accumulate, plan.spec, shape, {.by_batch = true, .by_head = true});
  take(layout.live.bytes);
  layout.masks_at = at;
  take(mask_bytes);
  layout.bytes = at;
  return layout;
}

std::uint64_t entmax_bytes(const Plan& plan, const Shape& shape, bool listed) {
  Pass accumulate = plan.passes[accumulate_at];
  std::vector<Schedule> schedules = accumulate.others;
  schedules.insert(schedules.begin(), accumulate.schedule);
  ListTraits traits = plan.lists;
  traits.by_batch = true;
  std::uint64_t most = 0;
  for (const Schedule& s : schedules) {
    accumulate = with_schedule(plan, accumulate, s);
    for (const Pass& threshold : thresholds_for(plan, accumulate, listed)) {
      try {
        const std::uint64_t masks =
            listed ? tile_lists(threshold, plan.spec, shape, traits).bytes : 0;
        most = std::max(
            most,
            entmax_layout(plan, threshold, accumulate, shape, plan.spec.statistic, masks).bytes);
      } catch (const Error&) {
        // More tiles than lists number. Of the first schedule that is the call's own error; others
        // are for kernels that spill, and throw then.
        if (s == schedules.front()) throw;
      }
    }
  }
  return most;
}

}  // namespace lacuna::plan
