#include "compiler/plan/sparsity.h"

#include "compiler/plan/entmax.h"

#include <algorithm>

namespace lacuna::plan {

SparsityLayout sparsity_layout(const Spec& spec, const Pass& accumulate, const Shape& shape) {
  const Grid tiles = grid(accumulate, spec, shape);
  SparsityLayout layout{.tile_q = accumulate.schedule.tile_q,
                        .tile_k = accumulate.schedule.tile_k,
                        .q_tiles = tiles.q_tiles,
                        .tiles = static_cast<std::int64_t>(tiles.blocks)};
  // Threshold leaves groups of 32 tiles of keys at once.
  const std::int64_t group = std::int64_t{32} * layout.tile_k;
  layout.key_words = static_cast<std::int32_t>((shape.keys + group - 1) / group * (group / 32));
  const auto take = [&layout](std::uint64_t count, std::uint64_t size) {
    const Buffer buffer{layout.bytes, count * size};
    layout.bytes += (buffer.bytes + 15) / 16 * 16;
    return buffer;
  };
  const std::int64_t sequences = spec.lengths == Lengths::packed ? 1 : shape.batch;
  layout.rows = take(static_cast<std::uint64_t>(sequences * shape.heads * shape.queries),
                     sizeof(SparsityRow));
  layout.live_tiles = take(tiles.blocks, 8);
  layout.live_keys = take(tiles.blocks * static_cast<std::uint64_t>(layout.key_words), 8);
  return layout;
}

SparsityLayout sparsity_layout(const Plan& plan, const Shape& shape) {
  return sparsity_layout(plan.spec, plan.passes[accumulate_at], shape);
}

std::uint64_t sparsity_bytes(const Plan& plan, const Shape& shape) {
  const Pass& first = plan.passes[accumulate_at];
  std::uint64_t most = sparsity_layout(plan.spec, first, shape).bytes;
  for (const Schedule& s : first.others)
    most = std::max(most, sparsity_layout(plan.spec, with_schedule(plan, first, s), shape).bytes);
  return most;
}

}  // namespace lacuna::plan
