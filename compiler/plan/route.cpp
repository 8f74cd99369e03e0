#include "compiler/plan/route.h"

#include "compiler/plan/entmax.h"
#include "compiler/plan/lists.h"
#include "compiler/plan/materialise.h"
#include "compiler/plan/short_rows.h"

#include <algorithm>

namespace lacuna::plan {
namespace {

/// Also where heads do not divide: that call fails before it takes any route.
bool is_empty(const Shape& shape) {
  return shape.batch <= 0 || shape.heads <= 0 || shape.kv_heads <= 0 || shape.queries <= 0 ||
         shape.keys <= 0 || shape.heads % shape.kv_heads != 0;
}

}  // namespace

int multiprocessors(const Facts& facts) {
  return facts.multiprocessors > 0 ? facts.multiprocessors : row(facts.arch).multiprocessors;
}

namespace {

/// Decode, or {}.
Route decode(const Plan& plan, const Shape& shape) {
  const Pass& split = split_pass(plan);
  const bool packed = plan.spec.lengths == Lengths::packed;
  const std::int64_t sequences = packed ? shape.batch : 1;
  const std::int64_t queries = (shape.queries + sequences - 1) / sequences;
  const std::int64_t keys = shape.keys / sequences;
  const std::int64_t group = split.packed_heads ? shape.heads / shape.kv_heads : 1;
  const std::int64_t sms = multiprocessors(plan.facts);
  const bool idle =
      grid(plan.passes.front(), plan.spec, shape).blocks < static_cast<std::uint64_t>(sms);
  const bool entmax = weighs_by_entmax(plan);
  const int row_tiles = idle ? most_row_tiles : entmax ? 1 : 0;
  if (queries > std::int64_t{row_tiles} * split.schedule.tile_q / group) return {};
  const auto tiles = static_cast<std::int64_t>(grid(split, plan.spec, shape).blocks);
  const std::int64_t filling = sms * split.ctas_per_sm;
  const std::int64_t wanted = (filling + tiles - 1) / tiles;
  const std::int64_t fitting = keys / (std::int64_t{least_key_tiles} * split.schedule.tile_k);
  const auto splits = static_cast<int>(std::min({wanted, fitting, std::int64_t{most_splits}}));
  if (entmax) {
    const Route taken{true, std::max(splits, 1)};
    return outgrows_keys(plan, shape, taken.splits) ? Route{} : taken;
  }
  if (splits < 2) return {};
  return {true, splits};
}

}  // namespace

Route route(const Plan& plan, const Shape& shape) {
  if (is_empty(shape)) return {};
  // combine knows no heads apart.
  // Sparsity is what threshold and accumulate find.
  const bool splits = !ir::is_softmax_by_alpha(plan.spec.pattern.tree()) && !plan.spec.sparsity;
  Route taken = splits ? decode(plan, shape) : Route{};
  if (taken.decode) return taken;
  taken.short_rows = short_rows_of(plan, shape);
  return taken.short_rows ? taken : tiles_route(plan, shape);
}

Route tiles_route(const Plan& plan, const Shape& shape) {
  if (is_empty(shape)) return {};
  return {.listed = list_reader(plan) && list_limit(plan, shape).empty()};
}

std::vector<std::size_t> passes_of(const Plan& plan, Route route) {
  using Passes = std::vector<std::size_t>;
  if (weighs_by_entmax(plan))
    return route.short_rows ? Passes{route.short_rows}
           : route.decode   ? Passes{materialise_at, materialise_at + 1}
           : route.listed   ? Passes{5, 6, 1, 2}
                            : Passes{0, 1, 2};
  return route.decode ? Passes{1, 2} : route.listed ? Passes{3, 4} : Passes{0};
}

std::uint64_t workspace_bytes(const Plan& plan, const Shape& shape, Route route) {
  if (route.short_rows) return 0;
  if (weighs_by_entmax(plan) && route.decode)
    return candidate_layout(plan, shape, route.splits).bytes;
  // Rows without keys have zmax and gap, too.
  if (weighs_by_entmax(plan))
    return grid(plan.passes.front(), plan.spec, shape).blocks == 0
               ? 0
               : entmax_bytes(plan, shape, route.listed);
  if (route.listed) return list_bytes(plan, shape);
  if (!route.decode) return 0;
  const bool packed = plan.spec.lengths == Lengths::packed;
  const auto rows =
      static_cast<std::uint64_t>((packed ? 1 : shape.batch) * shape.heads * shape.queries);
  const int floats = plan.spec.value_dim + 2;  // of a row: templates/parts.cuh
  return rows * static_cast<std::uint64_t>(route.splits) * static_cast<std::uint64_t>(floats) * 4;
}

}  // namespace lacuna::plan
