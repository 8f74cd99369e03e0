#include "runtime/engine.h"

#include "compiler/plan/entmax.h"
#include "compiler/plan/lists.h"
#include "runtime/clock.h"
#include "runtime/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <future>
#include <optional>

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
  return std::make_shared<const Planned>(
      Planned{std::move(plan), layout, numbers, std::move(masks)});
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

namespace {

Artifact artifact_for(EngineState& engine, const plan::Plan& plan, const plan::Pass& pass,
                      plan::Variant variant, Stages& spent) {
  Clock generating;
  codegen::Source source = codegen::generate(plan, pass, variant);
  CompileOptions options = compile_options(engine);
  spent.generate += generating.milliseconds();
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
  log_line(engine, fmt::format("{} {}: {} {:.1f} ms", source.name, pass.schedule.name(),
                               compiled ? "compiled in" : "read from the disk cache in",
                               reading.milliseconds()));
  return artifact;
}

/// Lists are made for the tiles that their reader has in the end. Those are nearly always the tiles
/// of its first schedule: for them lists are compiled while the reader is.
Compiled lists_compiled(EngineState& engine, const Planned& planned, std::size_t pass,
                        plan::Variant variant, Stages& spent) {
  const plan::Plan& plan = planned.plan;
  const plan::Pass& first = plan.passes[pass];
  Stages beside;  // of the other thread, until it has ended
  std::future<Artifact> ahead = std::async(
      std::launch::async, [&] { return artifact_for(engine, plan, first, variant, beside); });
  Compiled lists{plan::lists_for(kernel_for(engine, planned, pass + 1, variant, {}, &spent)->pass),
                 {}};
  Clock waiting;
  if (lists.pass.schedule != first.schedule) {
    lists.artifact = artifact_for(engine, plan, lists.pass, variant, spent);
    return lists;
  }
  lists.artifact = ahead.get();
  (beside.compile > 0 ? spent.compile : spent.disk) += waiting.milliseconds();
  spent.origin = std::max(spent.origin, beside.origin);
  return lists;
}

/// What leaves tiles for an accumulate pass, or makes lists of them: its tile is that which
/// accumulate has in the end.
Compiled compiled_entmax(EngineState& engine, const Planned& planned, std::size_t pass,
                         plan::Variant variant, Stages& spent) {
  const plan::Plan& plan = planned.plan;
  const plan::Pass& wanted = plan.passes[pass];
  const plan::Pass accumulate =
      kernel_for(engine, planned, plan.passes.size() - 1, variant, {}, &spent)->pass;
  if (wanted.kind == plan::PassKind::live_tiles) {
    const plan::Pass made = plan::live_tiles_for(accumulate);
    return {made, artifact_for(engine, plan, made, variant, spent)};
  }
  std::optional<Compiled> best;
  for (const plan::Pass& next : plan::thresholds_for(plan, accumulate, wanted.listed)) {
    Compiled compiled{next, artifact_for(engine, plan, next, variant, spent)};
    const bool spills = compiled.artifact.spill_stores > 0;
    if (!best || compiled.artifact.spill_stores < best->artifact.spill_stores)
      best = std::move(compiled);
    if (!spills) break;
  }
  return std::move(*best);
}

}  // namespace

/// A schedule whose code spills is passed over, as far as the next few: what a log says of
/// registers is known for certain, what the model thought of them was not.
Compiled compiled_for(EngineState& engine, const Planned& planned, std::size_t pass,
                      plan::Variant variant, Stages* stages) {
  Stages unused;
  Stages& spent = stages ? *stages : unused;
  const plan::Plan& plan = planned.plan;
  if (plan.passes[pass].kind == plan::PassKind::tile_lists)
    return lists_compiled(engine, planned, pass, variant, spent);
  Compiled best{plan.passes[pass], {}};
  if (best.pass.kind == plan::PassKind::threshold || best.pass.kind == plan::PassKind::live_tiles)
    return compiled_entmax(engine, planned, pass, variant, spent);
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
