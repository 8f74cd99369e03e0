#include "runtime/engine.h"

#include "compiler/plan/entmax.h"
#include "compiler/plan/lists.h"
#include "runtime/clock.h"
#include "runtime/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <future>

namespace lacuna {
namespace runtime {
namespace {

std::uint64_t number(std::string_view hex) {
  std::uint64_t value = 0;
  std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  return value;
}

std::shared_ptr<const Planned> make_plan(const EngineState& engine, const Spec& spec) {
  plan::Facts facts{.arch = engine.device->arch(),
                    .multiprocessors = engine.device->multiprocessors(),
                    .checked = engine.checked};
  if (!engine.options.schedule.empty())
    facts.schedule = plan::parse_schedule(engine.options.schedule);
  return planned_of(plan::plan(spec, facts));
}

void log_line(const EngineState& engine, std::string_view line) {
  if (engine.options.log) engine.options.log(line);
}

}  // namespace

std::shared_ptr<const Planned> planned_of(plan::Plan plan) {
  const codegen::ParamLayout layout = codegen::param_layout(plan.spec.pattern.tree());
  const std::string_view digest = plan.digest;
  const std::array numbers{number(digest.substr(0, 16)), number(digest.substr(16))};
  plan::MaskInputs masks = plan::mask_inputs(plan);
  std::shared_ptr<const Planned> softmax;
  if (plan::has_alpha_of_call(plan.spec.pattern.tree()))
    softmax = planned_of(plan::plan(plan::softmax_of(plan.spec), plan.facts));
  return std::make_shared<const Planned>(
      Planned{std::move(plan), layout, numbers, std::move(masks), std::move(softmax)});
}

std::shared_ptr<const Planned> planned_for(EngineState& engine, const Spec& spec, Stages* stages) {
  if (auto known = engine.plans.find(spec)) return known;
  Clock clock;
  auto planned = engine.plans.insert(make_plan(engine, spec));
  if (stages) stages->plan += clock.milliseconds();
  return planned;
}

CompileOptions compile_options(const EngineState& engine) {
  bool cubins = engine.compiler->name() == "nvrtc";  // clang ends at PTX, which every device loads
  return {.arch = engine.device->arch(), .format = cubins ? engine.device->format() : Format::ptx};
}

Artifact artifact_of(EngineState& engine, const codegen::Source& source, std::string_view label,
                     Stages& spent) {
  const CompileOptions options = compile_options(engine);
  Clock reading;
  bool compiled = false;
  CacheKey key =
      cache_key(source, codegen::included_templates(source.text), *engine.compiler, options);
  Artifact artifact = engine.disk.get(key, source.text, [&] {
    Clock compiling;
    Artifact made = engine.compiler->compile(source, options);
    spent.compile += compiling.milliseconds();
    compiled = true;
    return made;
  });
  if (!compiled) spent.disk += reading.milliseconds();
  const auto origin = compiled ? Stages::Origin::compiler : Stages::Origin::disk;
  spent.origin = std::max(spent.origin, origin);  // of several kernels, the costliest
  log_line(engine, fmt::format("{} {}: {} {:.1f} ms", source.name, label,
                               compiled ? "compiled in" : "read from the disk cache in",
                               reading.milliseconds()));
  return artifact;
}

namespace {

Artifact artifact_for(EngineState& engine, const plan::Plan& plan, const plan::Pass& pass,
                      plan::Variant variant, Stages& spent) {
  Clock generating;
  const codegen::Source source = codegen::generate(plan, pass, variant);
  spent.generate += generating.milliseconds();
  return artifact_of(engine, source, pass.schedule.name(), spent);
}

/// A pass whose tile is that which another, `leader`, has in the end. That is nearly always the
/// tile of its first schedule: for that the pass is compiled while the leader is. `derive`: the
/// passes that follow from the leader's, best first.
template <class Derive>
Compiled followed(EngineState& engine, const Planned& planned, std::size_t pass, std::size_t leader,
                  plan::Variant variant, Stages& spent, const Derive& derive) {
  const plan::Plan& plan = planned.plan;
  const plan::Pass& first = plan.passes[pass];
  Stages beside;  // of the other thread, until it has ended
  std::future<Artifact> ahead = std::async(
      std::launch::async, [&] { return artifact_for(engine, plan, first, variant, beside); });
  const std::vector<plan::Pass> passes =
      derive(kernel_for(engine, planned, leader, variant, {}, &spent)->pass);
  Compiled best{passes.front(), {}};
  if (best.pass.schedule == first.schedule) {
    Clock waiting;
    best.artifact = ahead.get();
    (beside.compile > 0 ? spent.compile : spent.disk) += waiting.milliseconds();
    spent.origin = std::max(spent.origin, beside.origin);
  } else {
    best.artifact = artifact_for(engine, plan, best.pass, variant, spent);
  }
  for (std::size_t i = 1; i < passes.size() && best.artifact.spill_stores > 0; ++i) {
    Compiled next{passes[i], artifact_for(engine, plan, passes[i], variant, spent)};
    if (next.artifact.spill_stores < best.artifact.spill_stores) best = std::move(next);
  }
  return best;
}

}  // namespace

/// A schedule whose code spills is passed over, as far as the next few: what a log says of
/// registers is known for certain, what the model thought of them was not.
Compiled compiled_for(EngineState& engine, const Planned& planned, std::size_t pass,
                      plan::Variant variant, Stages* stages) {
  Stages unused;
  Stages& spent = stages ? *stages : unused;
  const plan::Plan& plan = planned.plan;
  const plan::Pass& wanted = plan.passes[pass];
  using Passes = std::vector<plan::Pass>;
  if (wanted.kind == plan::PassKind::tile_lists)
    return followed(engine, planned, pass, pass + 1, variant, spent,
                    [](const plan::Pass& reader) { return Passes{plan::lists_for(reader)}; });
  if (wanted.kind == plan::PassKind::live_tiles)
    return followed(engine, planned, pass, plan::accumulate_at, variant, spent,
                    [](const plan::Pass& reader) { return Passes{plan::live_tiles_for(reader)}; });
  if (wanted.kind == plan::PassKind::threshold)
    return followed(engine, planned, pass, plan::accumulate_at, variant, spent,
                    [&](const plan::Pass& reader) {
                      return plan::thresholds_for(plan, reader, wanted.listed);
                    });
  Compiled best{wanted, {}};
  best.artifact = artifact_for(engine, plan, best.pass, variant, spent);
  const std::vector<plan::Schedule>& others = plan.passes[pass].others;
  for (std::size_t i = 0;
       i < std::min(plan::most_tried, others.size()) && best.artifact.spill_stores > 0; ++i) {
    Compiled next{plan::with_schedule(plan, plan.passes[pass], others[i]), {}};
    log_line(engine, fmt::format("schedule {} spills {} bytes, {} is tried instead",
                                 best.pass.schedule.name(), best.artifact.spill_stores,
                                 next.pass.schedule.name()));
    next.artifact = artifact_for(engine, plan, next.pass, variant, spent);
    if (next.artifact.spill_stores < best.artifact.spill_stores) best = std::move(next);
  }
  return best;
}

std::shared_ptr<const Loaded> kernel_for(EngineState& engine, const Planned& planned,
                                         std::size_t pass, plan::Variant variant, Stream stream,
                                         Stages* stages) {
  KernelKey key{planned.digest, static_cast<std::uint32_t>(pass), variant.aligned};
  // Before others could wait for this build: it is this caller's stream that may record.
  if (auto known = engine.kernels.find(key)) return known;
  engine.device->require_no_capture(stream);
  return engine.kernels.get(key, [&] {
    Compiled compiled = compiled_for(engine, planned, pass, variant, stages);
    Clock clock;
    auto kernel = engine.device->load(compiled.artifact);
    if (stages) stages->load += clock.milliseconds();
    return std::make_shared<const Loaded>(Loaded{std::move(compiled.pass), std::move(kernel)});
  });
}

}  // namespace runtime

inline namespace LACUNA_ABI {

Engine::Engine(const EngineOptions& options) : state_(runtime::open_engine(options)) {}

Program Engine::program(const Spec& spec) const {
  return Program(std::make_shared<ProgramState>(state_, runtime::planned_for(*state_, spec)));
}

std::string Engine::description() const {
  return state_->device->description() + ", " + state_->compiler->identity() + state_->notice;
}

}  // namespace LACUNA_ABI
}  // namespace lacuna
