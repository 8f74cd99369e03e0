#include "bench/laboratory/launches.h"

#include "compiler/ir/bindings.h"
#include "compiler/ir/evaluate.h"
#include "compiler/plan/tile_map.h"
#include "runtime/program.h"
#include "tools/lacuna/execute.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace lacuna::bench {
namespace {

/// Queries of ones, and keys whose components are all the same. Tensors of the pattern hold ones,
/// which join every query with every key, or zeros where they add to scores that are to stay.
void set_values(tool::Inputs& inputs, Scores scores) {
  const bool settled = scores == Scores::settled;
  const std::int64_t keys = inputs.k.shape[2], depth = inputs.k.shape[3];
  for (std::int64_t i = 0; i < inputs.q.elements(); ++i) inputs.q.set_real(i, 1);
  for (std::int64_t k = 0; k < keys; ++k)
    for (std::int64_t d = 0; d < depth; ++d)
      inputs.k.set_real(k * depth + d, settled ? 0 : static_cast<double>(k / 8) / 128 - 1);
  for (auto& [name, array] : inputs.tensors)
    for (std::int64_t i = 0; i < array.elements(); ++i)
      if (array.dtype == DType::f32)
        array.set_real(i, settled ? 0 : 1);
      else
        array.set_integer(i, 1);
}

/// Copies of a call's tensors where a GPU's allocator would put them: sectors depend on it.
class AlignedMemory {
 public:
  void* copy(const TensorView& view) {
    const std::size_t bytes = static_cast<std::size_t>(view.elements()) * size_of(view.dtype);
    memory_.push_back(std::make_unique<std::byte[]>(bytes + alignment));
    const auto start = reinterpret_cast<std::uintptr_t>(memory_.back().get());
    std::byte* at = memory_.back().get() + (alignment - start % alignment);
    if (bytes > 0) std::memcpy(at, view.data, bytes);
    return at;
  }

 private:
  static constexpr std::size_t alignment = 256;
  std::vector<std::unique_ptr<std::byte[]>> memory_;
};

/// Reads as generated code does: an index outside of its tensor is that of the nearest element.
class Clamped final : public ir::Bindings {
 public:
  Clamped(const ir::Pattern& pattern, const ir::Bindings& exact)
      : pattern_(pattern), exact_(exact) {}
  ir::Value param(std::uint32_t index) const override { return exact_.param(index); }
  ir::Value read(std::uint32_t tensor, std::span<const std::int32_t> indices,
                 const ir::Site& site) const override {
    std::vector<std::int32_t> inside(indices.begin(), indices.end());
    for (std::size_t axis = 0; axis < inside.size(); ++axis)
      if (pattern_.tensors[tensor].axes[axis].kind == ir::AxisKind::key)
        inside[axis] = std::clamp(inside[axis], 0, site.k_len - 1);
    return exact_.read(tensor, inside, site);
  }

 private:
  const ir::Pattern& pattern_;
  const ir::Bindings& exact_;
};

/// Looks for warps without a live key, element by element.
class DeadWarps {
 public:
  DeadWarps(const plan::Plan& plan, const ir::Site& site, std::int32_t offset,
            const ir::Bindings& bindings)
      : pattern_(plan.spec.pattern.tree()),
        warps_(plan.passes[0].schedule.warps),
        site_(site),
        offset_(offset),
        evaluator_(pattern_.graph, bindings) {}

  /// In the PARTIAL tiles.
  std::int64_t count(const plan::TileMap& map) {
    const int rows = map.tile_q / warps_;
    std::int64_t dead = 0;
    for (std::int64_t row = 0; row < map.rows; ++row)
      for (std::int64_t column = 0; column < map.columns; ++column)
        if (map.at(row, column) == plan::TileState::partial)
          for (int w = 0; w < warps_; ++w)
            dead += !sees(row * map.tile_q + w * rows, rows, column * map.tile_k, map.tile_k);
    return dead;
  }

 private:
  bool sees(std::int64_t first_row, int rows, std::int64_t first_key, int keys) {
    for (std::int64_t r = first_row; r < std::min<std::int64_t>(first_row + rows, site_.q_len);
         ++r) {
      site_.q = static_cast<std::int32_t>(r + offset_);
      evaluator_.move_to(site_);
      for (std::int64_t k = first_key; k < std::min<std::int64_t>(first_key + keys, site_.k_len);
           ++k) {
        evaluator_.move_to_key(static_cast<std::int32_t>(k));
        if (evaluator_.attends(pattern_.masks)) return true;
      }
    }
    return false;
  }

  const ir::Pattern& pattern_;
  int warps_;
  ir::Site site_;
  std::int32_t offset_;
  ir::Evaluator evaluator_;
};

class Launcher {
 public:
  Launcher(const Subject& subject, const runtime::Planned& planned, const runtime::Artifact& ptx,
           Scores scores)
      : subject_(subject),
        planned_(planned),
        scores_(scores),
        kernel_(runtime::host::open_host({.threads = 1, .observe = trace_.observer()})->load(ptx)) {
  }

  Launched run(const Extent& extent) {
    const Spec& spec = planned_.plan.spec;
    tool::Inputs inputs;
    inputs.params = subject_.params;
    inputs.offset = extent.offset;
    const Shape shape{1, 1, 1, extent.queries, extent.keys};
    tool::fill_random(
        spec.pattern.tree(),
        {.extents = {shape, spec.head_dim, spec.value_dim, true}, .dtype = spec.dtype, .seed = 1},
        inputs);
    set_values(inputs, scores_);
    const tool::Results results = tool::results_for(inputs, spec);
    tool::HostCall call(inputs, &results);
    AlignedMemory memory;
    call.place([&](const TensorView& view) { return memory.copy(view); });
    const ir::Call bound = ir::bind(spec, call.args());
    const plan::Grid grid = plan::grid(planned_.plan.passes[0], spec, bound.shape);
    const runtime::Packed packed =
        runtime::pack(planned_, call.args(), bound, grid.q_tiles, nullptr);
    kernel_->launch({grid.blocks, packed.params, packed.slots, packed.regions, {}});
    return {causes(call.args(), bound, grid, extent), trace_.take()};
  }

 private:
  Causes causes(const Args& args, const ir::Call& call, const plan::Grid& grid,
                const Extent& extent) const {
    const Spec& spec = planned_.plan.spec;
    const std::vector<ir::Sequence> sequences = ir::sequences_of(spec, args, call);
    const ir::CallBindings bindings(spec.pattern.tree(), call, sequences, false);
    const ir::Site site{.q_len = static_cast<std::int32_t>(extent.queries),
                        .k_len = static_cast<std::int32_t>(extent.keys),
                        .batch = 1,
                        .heads = 1,
                        .kv_heads = 1,
                        .head_dim = spec.head_dim};
    const Clamped clamped(spec.pattern.tree(), bindings);
    const plan::TileMap map =
        plan::tile_map(planned_.plan, planned_.plan.passes[0], site, extent.offset, clamped);
    return {static_cast<double>(grid.blocks), static_cast<double>(map.count(plan::TileState::full)),
            static_cast<double>(map.count(plan::TileState::partial)),
            static_cast<double>(DeadWarps(planned_.plan, site, extent.offset, clamped).count(map))};
  }

  const Subject& subject_;
  const runtime::Planned& planned_;
  Scores scores_;
  Trace trace_;
  std::shared_ptr<const runtime::Kernel> kernel_;
};

}  // namespace

std::vector<Extent> mixtures(const plan::Schedule& s) {
  const std::int64_t queries = 2 * s.tile_q;
  // Whole tiles of keys, at least as many as there are queries.
  const std::int64_t few = (queries + s.tile_k - 1) / s.tile_k * s.tile_k + 4 * s.tile_k;
  const std::int64_t many = few + 4 * s.tile_k;
  const auto aligned = [&](std::int64_t keys) { return static_cast<std::int32_t>(keys - queries); };
  const auto far = static_cast<std::int32_t>(many);  // every key lies before every query
  return {{queries, few, aligned(few)},
          {queries, many, aligned(many)},
          {queries, many, aligned(many) - s.tile_k / 2},
          {queries, many, far},
          {queries, many - 1, far}};
}

std::vector<Launched> launch_all(const Subject& subject, const runtime::Planned& planned,
                                 const runtime::Artifact& ptx, Scores scores,
                                 const std::vector<Extent>& extents) {
  Launcher launcher(subject, planned, ptx, scores);
  std::vector<Launched> all;
  for (const Extent& extent : extents) all.push_back(launcher.run(extent));
  return all;
}

}  // namespace lacuna::bench
