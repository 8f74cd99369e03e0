#include "runtime/program.h"

#include "compiler/plan/explain.h"
#include "compiler/plan/inside.h"
#include "compiler/plan/short_rows.h"
#include "runtime/clock.h"
#include "runtime/program_check.h"
#include "runtime/sparsity.h"
#include "runtime/tiles.h"
#include "runtime/workspace.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <future>
#include <system_error>
#include <thread>
#include <vector>

namespace lacuna {
namespace runtime {

namespace {

/// One launch of what `pack_into` packs for a report, or for none.
template <class Pack>
void launch_packed(EngineState& engine, const Planned& planned, const Loaded& loaded,
                   std::uint64_t blocks, Stream stream, Stages* stages, const Pack& pack_into,
                   std::optional<int> shared_bytes = {}) {
  if (blocks == 0) return;
  std::optional<ReportBuffer> report;
  if (planned.plan.facts.checked) report.emplace(*engine.device);
  const Packed packed = pack_into(report ? report->memory() : nullptr);
  Clock clock;
  loaded.kernel->launch(
      {blocks, packed.params, packed.slots, packed.regions, stream, shared_bytes});
  if (report) report->raise(planned.plan.spec.pattern.tree(), stream);
  if (stages) stages->launch += clock.milliseconds();
}

}  // namespace

void launch(EngineState& engine, const Planned& planned, const Loaded& loaded, const Args& args,
            const ir::Call& call, const Splits& splits, Stream stream, Stages* stages,
            const Lists* lists) {
  plan::Grid grid = plan::grid(loaded.pass, planned.plan.spec, call.shape, splits.count);
  if (lists && lists->phase) grid.blocks = plan::blocks(lists->layout, *lists->phase);
  launch_packed(engine, planned, loaded, grid.blocks, stream, stages, [&](void* report) {
    return pack(planned, args, call, grid.q_tiles, report, splits, lists);
  });
}

void launch(EngineState& engine, const Planned& planned, const Loaded& loaded, const Args& args,
            const ir::Call& call, const Entmax& entmax, Stream stream, Stages* stages,
            const Lists* lists) {
  const std::uint64_t blocks = loaded.pass.kind == plan::PassKind::threshold
                                   ? plan::threshold_ctas(planned.plan, loaded.pass, call.shape)
                                   : plan::grid(loaded.pass, planned.plan.spec, call.shape).blocks;
  launch_packed(engine, planned, loaded, blocks, stream, stages, [&](void* report) {
    return pack(planned, args, call, loaded.pass, report, lists, entmax);
  });
}

void launch(EngineState& engine, const Planned& planned, const Loaded& loaded, const Args& args,
            const ir::Call& call, const Candidates& candidates, Stream stream, Stages* stages) {
  const std::uint64_t blocks =
      plan::grid(loaded.pass, planned.plan.spec, call.shape, candidates.splits).blocks;
  launch_packed(engine, planned, loaded, blocks, stream, stages, [&](void* report) {
    return pack(planned, args, call, loaded.pass, report, candidates);
  });
}

void launch(EngineState& engine, const Planned& planned, const Loaded& loaded, const Args& args,
            const ir::Call& call, Stream stream, Stages* stages) {
  const std::uint64_t blocks = plan::grid(loaded.pass, planned.plan.spec, call.shape).blocks;
  launch_packed(
      engine, planned, loaded, blocks, stream, stages,
      [&](void* report) { return pack(planned, args, call, loaded.pass, report); },
      plan::short_rows_shared_bytes(loaded.pass, planned.plan.spec, call.shape.keys));
}

void make_lists(EngineState& engine, const Planned& planned, const Loaded& maker, const Args& args,
                const ir::Call& call, const plan::TileLists& layout, const TensorView& workspace,
                Stream stream, Stages* stages) {
  for (int phase = 0; phase <= static_cast<int>(TilePhase::fill_rows); ++phase) {
    const Lists making{layout, workspace, static_cast<TilePhase>(phase)};
    launch(engine, planned, maker, args, call, {}, stream, stages, &making);
  }
}

namespace {

/// Makes the lists, then runs the pass that reads them.
void forward_listed(EngineState& engine, const Planned& planned, const Loaded& maker,
                    const Loaded& reader, const Args& args, const ir::Call& call, Stream stream,
                    Stages* stages) {
  const plan::TileLists layout = lists_of(planned, reader.pass, args, call);
  const Workspace workspace(*engine.device, args.workspace, layout.bytes, stream);
  make_lists(engine, planned, maker, args, call, layout, workspace.view(), stream, stages);
  const Lists reading{layout, workspace.view()};
  launch(engine, planned, reader, args, call, {}, stream, stages, &reading);
}

}  // namespace

std::vector<std::shared_ptr<const Loaded>> kernels_of(EngineState& engine, const Planned& planned,
                                                      plan::Route route, plan::Variant variant,
                                                      Stream stream, Stages* stages) {
  std::vector<std::shared_ptr<const Loaded>> kernels;
  for (const std::size_t pass : plan::passes_of(planned.plan, route)) {
    const bool varies = planned.plan.passes[pass].varies();
    kernels.push_back(
        kernel_for(engine, planned, pass, varies ? variant : plan::Variant{}, stream, stages));
  }
  return kernels;
}

namespace {

/// The log of an engine names the reason why a call has no lists where its plan would make them.
void log_unlisted(const EngineState& engine, const plan::Plan& plan, const Shape& shape,
                  plan::Route route) {
  if (!engine.options.log || route.decode || route.listed || route.short_rows ||
      !plan::list_reader(plan))
    return;
  const std::string limit = plan::list_limit(plan, shape);
  engine.options.log(fmt::format(
      "{}: {} without lists: {}", plan.spec.pattern.name(), plan::name_of(plan.passes[0].kind),
      limit.empty() ? "a read of the masks may lie outside its tensor, and is checked" : limit));
}

/// α of a call, where it is the value of a param.
std::optional<float> alpha_of(const plan::Plan& plan, const ir::Call& call) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  const ir::Node& alpha = pattern.graph[pattern.weights.alpha];
  if (alpha.op != ir::Op::param) return {};
  return std::bit_cast<float>(call.params[alpha.payload]);
}

/// The heads whose α is 1.
void forward_softmax(EngineState& engine, const Planned& planned, const Args& args, Stream stream,
                     Stages* stages) {
  Args softmax = args;
  softmax.lse = args.zmax;
  softmax.zmax = softmax.gap = {};
  softmax.tiles = nullptr;  // those are of another tile
  softmax.sparsity = nullptr;
  softmax.escort = {};
  forward(engine, *planned.softmax, softmax, stream, stages);
  if (!planned.plan.spec.escort) return;
  softmax.o = args.escort;
  forward(engine, *planned.softmax, softmax, stream, stages);
}

void forward_routes(EngineState& engine, const Planned& planned, const Args& args,
                    const ir::Call& call, const std::vector<ir::Sequence>& sequences, Stream stream,
                    Stages* stages, std::optional<plan::Route> wanted) {
  const plan::Plan& plan = planned.plan;
  if (args.tiles && !wanted)
    return forward_with_tiles(engine, planned, args, call, sequences, stream, stages);
  const plan::Route route = wanted ? *wanted : plan::route(plan, call, sequences);
  log_unlisted(engine, plan, call.shape, route);
  if (plan::grid(plan.passes.front(), plan.spec, call.shape).blocks == 0) return;
  if (plan::weighs_by_entmax(plan))
    return forward_entmax(engine, planned, args, call, route, stream, stages);
  const auto kernels = kernels_of(engine, planned, route, variant_of(args), stream, stages);
  if (route.listed)
    return forward_listed(engine, planned, *kernels[0], *kernels[1], args, call, stream, stages);
  const Workspace workspace(*engine.device, args.workspace,
                            plan::workspace_bytes(plan, call.shape, route), stream);
  const Splits splits{route.splits, workspace.view()};
  for (const auto& kernel : kernels)
    launch(engine, planned, *kernel, args, call, splits, stream, stages);
}

}  // namespace

void forward(EngineState& engine, const Planned& planned, const Args& args, Stream stream,
             Stages* stages, std::optional<plan::Route> wanted) {
  const plan::Plan& plan = planned.plan;
  const ir::Call call = ir::bind(plan.spec, args);
  std::vector<ir::Sequence> sequences;
  if (plan.facts.checked) {
    engine.device->require_no_capture(stream);
    sequences = check_values(*engine.device, plan.spec, args, call, stream);
  }
  begin_sparsity(engine, planned, args, call, stream);
  const std::optional<float> alpha = planned.softmax ? alpha_of(plan, call) : std::nullopt;
  // Rows of softmax have a gap too, which entmax's passes write.
  if (alpha != 1.0f || plan.spec.statistic)
    forward_routes(engine, planned, args, call, sequences, stream, stages, wanted);
  if (planned.softmax && (!alpha || alpha == 1.0f))
    forward_softmax(engine, planned, args, stream, stages);
}

}  // namespace runtime

inline namespace LACUNA_ABI {

void Program::prepare() const {
  struct Wanted {
    const runtime::Planned& planned;
    std::size_t pass;
    plan::Variant variant;
  };
  std::vector<Wanted> wanted;
  for (const runtime::Planned* planned = state_->planned.get(); planned;
       planned = planned->softmax.get()) {
    const plan::Plan& plan = planned->plan;
    for (std::size_t pass = 0; pass < plan.passes.size(); ++pass)
      for (plan::Variant variant : plan.variants)
        if (variant == plan::Variant{} || plan.passes[pass].varies())
          wanted.push_back({*planned, pass, variant});
  }
  const auto load = [&](const Wanted& kernel) {
    return runtime::kernel_for(*state_->engine, kernel.planned, kernel.pass, kernel.variant);
  };
  std::atomic<std::size_t> next = 0;
  const auto load_some = [&] {
    for (std::size_t i = next++; i < wanted.size(); i = next++) load(wanted[i]);
  };
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  {
    std::vector<std::future<void>> others;
    try {
      while (others.size() + 1 < std::min(cores, wanted.size()))
        others.push_back(std::async(std::launch::async, load_some));
    } catch (const std::system_error&) {
      // No more threads: those that there are, and this one, do it.
    }
    load_some();
    for (std::future<void>& other : others) other.get();
  }
  for (const Wanted& kernel : wanted) load(kernel)->kernel->bring();
}

std::size_t Program::workspace(const Shape& shape) const {
  std::size_t most = 0;
  for (const runtime::Planned* planned = state_->planned.get(); planned;
       planned = planned->softmax.get()) {
    const plan::Plan& plan = planned->plan;
    plan::Route route = plan::route(plan, shape);
    most = std::max<std::size_t>(most, plan::workspace_bytes(plan, shape, route));
    // With lists that were made before, a call takes neither decode nor short rows.
    const bool lists_nothing = route.decode || route.short_rows;
    if (lists_nothing && plan::weighs_by_entmax(plan) && plan::list_reader(plan))
      most = std::max<std::size_t>(most, plan::workspace_bytes(plan, shape, {}));
  }
  return most;
}

void Program::forward(const Args& args, Stream stream) const {
  runtime::forward(*state_->engine, *state_->planned, args, stream);
}

std::string Program::explain(std::optional<Shape> shape) const {
  return plan::explain(state_->planned->plan, shape);
}

const Spec& Program::spec() const {
  return state_->planned->plan.spec;
}

}  // namespace LACUNA_ABI
}  // namespace lacuna
