#include "compiler/plan/lists.h"

#include "lacuna/error.hpp"

#include "compiler/plan/divisor.h"
#include "compiler/plan/span_program.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::plan {
namespace {

constexpr std::int64_t limit = 0x7fffffff;

/// a * b, both of 0 .. 2^31 - 1, or an error that says what there are too many of.
std::int32_t product(std::int64_t a, std::int64_t b, std::string_view what) {
  if (a > limit || b > limit || a * b > limit)
    throw Error(ErrorKind::argument,
                fmt::format("tile lists: {} x {} {} are more than {}", a, b, what, limit));
  return static_cast<std::int32_t>(a * b);
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Slots of a list: enough for any lengths of packed sequences (templates/lengths.cuh).
std::int64_t slots(std::int64_t rows, std::int64_t tile, const Spec& spec, const Shape& shape) {
  return spec.lengths == Lengths::packed ? rows / tile + shape.batch : ceil_div(rows, tile);
}

class Workspace {
 public:
  Buffer take(std::uint64_t count, std::uint64_t size) {
    const Buffer buffer{bytes_, count * size};
    bytes_ += (buffer.bytes + 15) / 16 * 16;
    return buffer;
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::uint64_t bytes_ = 0;
};

void lay_out(TileLists& lists, const ListTraits& traits) {
  const auto count = [](std::int32_t n) { return static_cast<std::uint64_t>(n); };
  Workspace all;
  lists.row_offsets = all.take(2 * count(lists.rows) + 1, 4);
  lists.row_order = all.take(count(lists.rows), 4);
  lists.row_indices = all.take(count(lists.capacity), 4);
  if (traits.transposed) {
    lists.column_offsets = all.take(2 * count(lists.columns) + 1, 4);
    lists.column_order = all.take(count(lists.columns), 4);
    lists.column_indices = all.take(count(lists.capacity), 4);
  }
  lists.kept = all.bytes();
  lists.spans = all.take((count(lists.columns) + count(lists.key_groups)) *
                             static_cast<std::uint64_t>(traits.key_values),
                         8);
  lists.states = all.take(count(lists.rows) * count(lists.groups), 8);
  lists.spare_order =
      all.take(count(traits.transposed ? std::max(lists.rows, lists.columns) : lists.rows), 4);
  lists.bytes = all.bytes();
}

}  // namespace

Pass lists_for(const Pass& reader) {
  Pass pass{.kind = PassKind::tile_lists, .machine = reader.machine};
  pass.schedule = {.tile_q = reader.schedule.tile_q,
                   .tile_k = reader.schedule.tile_k,
                   .warps = tile_list_threads / 32,
                   .stages = 1};
  pass.shared_bytes = tile_list_shared_bytes;
  return pass;
}

ListTraits list_traits(const Plan& plan) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  std::vector<ir::NodeId> conjuncts;
  ir::Dependence all = 0;
  for (const Conjunct& c : plan.conjuncts) {
    conjuncts.push_back(c.expr);
    all |= pattern.graph.dependence(c.expr);
  }
  // Lengths may differ from sequence to sequence where they are given.
  return {.by_batch = (all & ir::on(ir::Variable::b)) != 0,
          .by_head = (all & ir::on(ir::Variable::h)) != 0,
          .by_kv_head = (all & ir::on(ir::Variable::g)) != 0,
          .key_values = static_cast<int>(span_program(pattern, conjuncts).key_values.size())};
}

namespace {

/// The lists of a shape under each schedule that its reader may have in the end.
template <class Use>
void each_layout(const Plan& plan, const Shape& shape, Use use) {
  const Pass& reader = *list_reader(plan);
  ListTraits traits = plan.lists;
  traits.by_batch = true;
  use(tile_lists(reader, plan.spec, shape, traits));
  for (const Schedule& s : reader.others)
    use(tile_lists(with_schedule(plan, reader, s), plan.spec, shape, traits));
}

}  // namespace

std::string list_limit(const Plan& plan, const Shape& shape) {
  try {
    each_layout(plan, shape, [](const TileLists&) {});
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::uint64_t list_bytes(const Plan& plan, const Shape& shape) {
  std::uint64_t most = 0;
  each_layout(plan, shape, [&](const TileLists& lists) { most = std::max(most, lists.bytes); });
  return most;
}

TileLists tile_lists(const Pass& pass, const Spec& spec, const Shape& shape,
                     const ListTraits& traits) {
  if (pass.packed_heads)
    throw Error(ErrorKind::unsupported,
                "tile lists: a row of them is queries of one head, but the "
                "pass packs the heads of a group into its rows");
  const bool packed = spec.lengths == Lengths::packed;
  const std::int64_t tile_q = pass.schedule.tile_q, tile_k = pass.schedule.tile_k;
  TileLists lists;
  const bool by_batch = !packed && (traits.by_batch || spec.lengths == Lengths::padded);
  lists.list_batch = product(by_batch ? shape.batch : 1, 1, "sequences");
  const std::int64_t heads = traits.by_head ? shape.heads : traits.by_kv_head ? shape.kv_heads : 1;
  lists.list_heads = product(heads, 1, "heads");
  const std::int32_t count = product(lists.list_batch, lists.list_heads, "lists");
  lists.q_tiles = product(slots(shape.queries, tile_q, spec, shape), 1, "tiles of queries");
  lists.k_tiles = product(slots(shape.keys, tile_k, spec, shape), 1, "tiles of keys");
  lists.k_groups = product(slots(shape.keys, 32 * tile_k, spec, shape), 1, "groups of tiles");
  lists.rows = product(count, lists.q_tiles, "tiles of queries");
  lists.columns = product(count, lists.k_tiles, "tiles of keys");
  lists.key_groups = product(count, lists.k_groups, "groups of tiles of keys");
  // A sequence has no more key tiles than all keys together.
  const std::int64_t most = ceil_div(shape.keys, tile_k);
  lists.capacity = product(lists.rows, most, "tiles");
  lists.groups = static_cast<std::int32_t>(ceil_div(most, 32));
  lists.transposed = traits.transposed;
  lay_out(lists, traits);
  return lists;
}

std::uint64_t blocks(const TileLists& lists, TilePhase phase) {
  constexpr std::int64_t warps = tile_list_threads / 32;
  const auto ctas = [](std::int64_t warps_wanted) {
    return static_cast<std::uint64_t>(ceil_div(warps_wanted, warps));
  };
  switch (phase) {
    case TilePhase::summarise:
      return lists.spans.bytes ? ctas(lists.columns) : 0;
    case TilePhase::summarise_groups:
      return lists.spans.bytes ? ctas(lists.key_groups) : 0;
    case TilePhase::classify:
      return ctas(lists.rows);
    case TilePhase::order_rows:
      return 1;
    case TilePhase::fill_rows:  // one at least: it also clears what count_columns does not reach
      return std::max<std::uint64_t>(ctas(lists.rows), 1);
    case TilePhase::count_columns:
    case TilePhase::fill_columns:
      return lists.transposed ? ctas(lists.key_groups) : 0;
    case TilePhase::order_columns:
      return lists.transposed ? 1 : 0;
  }
  return 0;
}

TileReadArg read_arg(const TileLists& lists, const Shape& shape, const Spec& spec,
                     std::uint64_t workspace) {
  const std::int64_t sequences = spec.lengths == Lengths::packed ? 1 : shape.batch;
  const auto narrow = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
  TileReadArg arg{};
  arg.rows = build_arg(lists, workspace, TilePhase::classify).rows;
  arg.heads = narrow(shape.heads / lists.list_heads);
  arg.copies = narrow(arg.heads * (sequences / lists.list_batch));
  arg.by_heads = divisor(arg.heads);
  arg.by_copies = divisor(arg.copies);
  arg.by_list_heads = divisor(lists.list_heads);
  return arg;
}

TileBuildArg build_arg(const TileLists& lists, std::uint64_t workspace, TilePhase phase) {
  const auto address = [workspace](const Buffer& buffer) {
    return buffer.bytes ? workspace + buffer.at : 0;
  };
  TileBuildArg arg{};
  arg.rows = {address(lists.row_offsets), address(lists.row_indices), address(lists.row_order),
              lists.list_batch, lists.list_heads};
  arg.columns = {address(lists.column_offsets), address(lists.column_indices),
                 address(lists.column_order), lists.list_batch, lists.list_heads};
  arg.spans = address(lists.spans);
  arg.states = address(lists.states);
  arg.order = address(lists.spare_order);
  arg.k_tiles = lists.k_tiles;
  arg.k_groups = lists.k_groups;
  arg.groups = lists.groups;
  arg.capacity = lists.capacity;
  arg.phase = static_cast<int>(phase);
  return arg;
}

}  // namespace lacuna::plan
