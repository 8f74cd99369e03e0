#include "compiler/plan/entmax.h"

#include "runtime/program.h"
#include "runtime/sparsity.h"
#include "runtime/tiles.h"
#include "runtime/workspace.h"

namespace lacuna::runtime {
namespace {

/// From a byte of the workspace on.
TensorView from(const TensorView& workspace, std::uint64_t at) {
  return TensorView::contiguous(static_cast<std::byte*>(workspace.data) + at, DType::i32,
                                {workspace.shape[0] - static_cast<std::int64_t>(at / 4)});
}

/// Few queries: candidates of parts of the keys, then rows from those.
void forward_decode(EngineState& engine, const Planned& planned, const Args& args,
                    const ir::Call& call, plan::Route route, Stream stream, Stages* stages) {
  const auto kernels = kernels_of(engine, planned, route, variant_of(args), stream, stages);
  const plan::CandidateLayout layout =
      plan::candidate_layout(planned.plan, call.shape, route.splits);
  const Workspace workspace(*engine.device, args.workspace, layout.bytes, stream);
  const Candidates candidates{layout, route.splits, workspace.view()};
  for (const auto& kernel : kernels)
    launch(engine, planned, *kernel, args, call, candidates, stream, stages);
}

}  // namespace

void forward_entmax(EngineState& engine, const Planned& planned, const Args& args,
                    const ir::Call& call, plan::Route route, Stream stream, Stages* stages,
                    const Lists* given) {
  if (route.decode) return forward_decode(engine, planned, args, call, route, stream, stages);
  const auto kernels = kernels_of(engine, planned, route, variant_of(args), stream, stages);
  if (route.short_rows)
    return launch(engine, planned, *kernels.front(), args, call, stream, stages);
  const std::size_t first = kernels.size() - 3;
  const Loaded &threshold = *kernels[first], &live_tiles = *kernels[first + 1],
               &accumulate = *kernels[first + 2];
  const bool makes_masks = route.listed && !given;
  plan::TileLists masks;
  if (makes_masks) masks = lists_of(planned, threshold.pass, args, call);
  const plan::EntmaxLayout layout =
      plan::entmax_layout(planned.plan, threshold.pass, accumulate.pass, call.shape,
                          planned.plan.spec.statistic, masks.bytes);
  const Workspace workspace(*engine.device, args.workspace, layout.bytes, stream);
  const Entmax entmax{layout, workspace.view()};
  if (args.sparsity)
    args.sparsity->state().layout =
        plan::sparsity_layout(planned.plan.spec, accumulate.pass, call.shape);
  const TensorView mask_memory = from(workspace.view(), layout.masks_at);
  const Lists own{masks, mask_memory};
  if (makes_masks)
    make_lists(engine, planned, *kernels[0], args, call, masks, mask_memory, stream, stages);
  engine.device->clear(static_cast<std::byte*>(workspace.view().data) + layout.queue.at,
                       layout.queue.bytes, stream);
  const Lists* const read = given ? given : makes_masks ? &own : nullptr;
  launch(engine, planned, threshold, args, call, entmax, stream, stages, read);
  const TensorView live = from(workspace.view(), layout.live_at);
  for (const TilePhase phase : {TilePhase::order_rows, TilePhase::fill_rows}) {
    const Lists making{layout.live, live, phase};
    launch(engine, planned, live_tiles, args, call, Splits{}, stream, stages, &making);
  }
  const Lists reading{layout.live, live};
  launch(engine, planned, accumulate, args, call, entmax, stream, stages, &reading);
}

}  // namespace lacuna::runtime
