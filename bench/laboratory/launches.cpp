#include "bench/laboratory/launches.h"

#include "compiler/ir/bindings.h"
#include "compiler/plan/tile_map.h"
#include "runtime/program.h"
#include "tools/lacuna/execute.h"

#include <cstring>
#include <memory>

namespace lacuna::bench {
namespace {

struct Extent {
  std::int64_t queries, keys;
  std::int32_t offset;
};

std::vector<Extent> extents_for(const plan::Schedule& s) {
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
    const plan::TileCounts tiles =
        plan::count_tiles(planned_.plan, planned_.plan.passes[0], site, extent.offset, bindings);
    return {static_cast<double>(grid.blocks), static_cast<double>(tiles.full),
            static_cast<double>(tiles.partial)};
  }

  const Subject& subject_;
  const runtime::Planned& planned_;
  Scores scores_;
  Trace trace_;
  std::shared_ptr<const runtime::Kernel> kernel_;
};

}  // namespace

std::vector<Launched> launch_all(const Subject& subject, const runtime::Planned& planned,
                                 const runtime::Artifact& ptx, Scores scores) {
  Launcher launcher(subject, planned, ptx, scores);
  std::vector<Launched> all;
  for (const Extent& extent : extents_for(planned.plan.passes[0].schedule))
    all.push_back(launcher.run(extent));
  return all;
}

}  // namespace lacuna::bench
