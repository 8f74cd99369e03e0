#include "compiler/plan/entmax.h"
#include "tools/lacuna/command.h"
#include "tools/lacuna/dump.h"
#include "tools/lacuna/execute.h"

#include <fmt/format.h>

#include <cmath>

namespace lacuna::tool {
namespace {

struct ReplayFlags {
  std::string directory;
  EngineFlags engine;
};

struct Difference {
  std::int64_t differing = 0, elements = 0;
  double max = 0;
};

/// Bit for bit in meaning: NaN equals NaN, and -inf itself.
Difference difference(const Array& recorded, const Array& now) {
  Difference result{0, now.elements(), 0};
  for (std::int64_t i = 0; i < result.elements; ++i) {
    double a = recorded.real(i), b = now.real(i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    ++result.differing;
    double distance = std::fabs(a - b);
    result.max = std::isnan(distance) ? INFINITY : std::max(result.max, distance);
  }
  return result;
}

void report_difference(const char* name, const Array& recorded, const Array& now, Report& report) {
  if (!recorded.present()) {
    report.text += fmt::format("  {:<8} nothing was recorded: that run did not finish\n", name);
    return;
  }
  if (recorded.shape != now.shape) {
    throw Error(ErrorKind::argument,
                fmt::format("dump: outputs/{}.npy has another shape than this call", name));
  }
  Difference found = difference(recorded, now);
  report.json["outputs"][name] = {
      {"elements", found.elements}, {"differing", found.differing}, {"max", found.max}};
  if (found.differing == 0) {
    report.text += fmt::format("  {:<8} {} elements, all as recorded\n", name, found.elements);
  } else {
    report.exit_code = exit_failure;
    report.text +=
        fmt::format("  {:<8} {} of {} elements differ from the record, by up to {:.3g}\n", name,
                    found.differing, found.elements, found.max);
  }
}

Pattern pattern_of(const Recorded& recorded) {
  // The recorded origin, so that generated code carries the same #line and compares equal.
  PatternFlags flags{recorded.origin, recorded.attention, recorded.from.consts};
  return flags.parse(recorded.text);
}

Report run_replay(const ReplayFlags& flags, const Terminal& terminal) {
  Recorded recorded = read_dump(flags.directory);
  Pattern pattern = pattern_of(recorded);
  recorded.inputs.params = bind_params(pattern.tree(), recorded.params);
  EngineFlags engine = recorded.from.engine;
  if (!flags.engine.device.empty()) engine.device = flags.engine.device;
  if (!flags.engine.compiler.empty()) engine.compiler = flags.engine.compiler;
  if (!flags.engine.schedule.empty()) engine.schedule = flags.engine.schedule;
  engine.check_memory |= flags.engine.check_memory;
  EngineOptions options = engine.options();
  options.schedule = engine.schedule;  // as recorded, whatever the environment says today
  Progress progress(terminal);
  progress.say("running");
  Spec spec = recorded.inputs.spec(pattern, recorded.output, recorded.statistic);
  spec.escort = recorded.escort;
  runtime::Stages stages;
  DeviceCall call(options, spec, recorded.inputs, &stages);
  call.take({});
  const plan::Plan& plan = call.planned().plan;
  auto source = codegen::generate(plan, plan.passes.at(0), call.variant());
  bool edited = source.text != recorded.source;
  if (edited && plan::weighs_by_entmax(plan))
    throw Error(ErrorKind::unsupported,
                "the source was edited; of entmax, whose call takes several kernels, replay runs "
                "them as they are generated");
  if (edited) source.text = recorded.source;
  Results now = edited ? call.run_source(source, &stages) : call.run(&stages);
  progress.clear();
  Report report;
  report.json = {{"attention", pattern.name()},
                 {"edited", edited},
                 {"device", call.engine().device->description()},
                 {"compiler", call.engine().compiler->identity()},
                 {"stages_ms", to_json(stages)}};
  report.text = fmt::format(
      "{} from {}\n  device   {}\n  source   {}\n  stages   {}\n", pattern.name(), flags.directory,
      call.engine().device->description(),
      edited ? "source.cu of the dump, which is not what this version generates" : "as generated",
      to_text(stages));
  for (const Output& output : all_outputs)
    if ((now.*output.array).present())
      report_difference(output.name, recorded.results.*output.array, now.*output.array, report);
  return report;
}

}  // namespace

void add_replay(CLI::App& app, Invocation& invocation) {
  auto flags = std::make_shared<ReplayFlags>();
  CLI::App* command =
      add_command(app, invocation,
                  {"replay", "run a dump again, also with its source.cu edited (and nothing else)",
                   "  lacuna run causal.lac --q q.npy --k k.npy --v v.npy --out out --dump stages\n"
                   "  $EDITOR stages/source.cu && lacuna replay stages",
                   "  exit code 1 says that outputs differ from the recorded ones, which rounding "
                   "explains on another\n"
                   "  device or compiler, and nothing explains on the same."},
                  flags, run_replay);
  add_value(*command, "DIR", flags->directory, "", "what run --dump wrote")->required();
  flags->engine.add_to(*command);
}

}  // namespace lacuna::tool
