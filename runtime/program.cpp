#include "runtime/program.h"

#include "compiler/plan/explain.h"
#include "runtime/clock.h"
#include "runtime/program_check.h"

namespace lacuna {
namespace runtime {
namespace {

void launch(EngineState& engine, const Planned& planned, const Args& args, const ir::Call& call,
            std::size_t pass, const plan::Grid& grid, Stream stream, Stages* stages) {
  std::shared_ptr<const Kernel> kernel =
      kernel_for(engine, planned, pass, variant_of(args), stream, stages);
  std::optional<ReportBuffer> report;
  if (planned.plan.facts.checked) report.emplace(*engine.device);
  Packed packed = pack(planned, args, call, grid.q_tiles, report ? report->memory() : nullptr);
  Clock clock;
  kernel->launch({grid.blocks, packed.params, packed.slots, packed.regions, stream});
  if (report) report->raise(planned.plan.spec.pattern.tree(), stream);
  if (stages) stages->launch += clock.milliseconds();
}

}  // namespace

void forward(EngineState& engine, const Planned& planned, const Args& args, Stream stream,
             Stages* stages) {
  const plan::Plan& plan = planned.plan;
  ir::Call call = ir::bind(plan.spec, args);
  if (plan.facts.checked) {
    engine.device->require_no_capture(stream);
    check_values(*engine.device, plan.spec, args, call, stream);
  }
  for (std::size_t pass = 0; pass < plan.passes.size(); ++pass) {
    plan::Grid grid = plan::grid(plan.passes[pass], plan.spec, call.shape);
    if (grid.blocks > 0) launch(engine, planned, args, call, pass, grid, stream, stages);
  }
}

}  // namespace runtime

inline namespace LACUNA_ABI {

void Program::prepare() const {
  const plan::Plan& plan = state_->planned->plan;
  for (std::size_t pass = 0; pass < plan.passes.size(); ++pass) {
    for (plan::Variant variant : plan.variants) {
      runtime::kernel_for(*state_->engine, *state_->planned, pass, variant);
    }
  }
}

/// The forward passes there are keep everything in registers and shared memory.
std::size_t Program::workspace(const Shape&) const {
  return 0;
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
