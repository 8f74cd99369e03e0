#include "runtime/clock.h"
#include "tools/lacuna/command.h"
#include "tools/lacuna/compare.h"
#include "tools/lacuna/dump.h"
#include "tools/lacuna/execute.h"
#include "tools/lacuna/files.h"
#include "tools/lacuna/npy.h"
#include "tools/lacuna/options.h"
#include "tools/lacuna/sparsity.h"
#include "tools/lacuna/specs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <vector>

namespace lacuna::tool {
namespace {

struct RunFlags {
  PatternFlags pattern;
  EngineFlags engine;
  InputFlags inputs;
  std::string out, dump, output_gradient;
  std::vector<std::string> gradients;
  bool statistic = false, lse = false, escort = false, sparsity = false, check = false;
};

void refuse_gradients(const RunFlags& flags) {
  if (flags.output_gradient.empty() && flags.gradients.empty()) return;
  throw Error(ErrorKind::argument,
              fmt::format("{} asks for gradients, which this version does not offer yet",
                          flags.output_gradient.empty() ? "--grad" : "--do"));
}

/// What the tool itself spends time on, beside the stages of the engine, in milliseconds.
struct Times {
  double read = 0, check = 0, write = 0, total = 0;
};

std::string stages_text(const runtime::Stages& stages, const Times& times) {
  std::string text = fmt::format("read {:.3g} ms, {}", times.read, to_text(stages));
  if (times.check > 0) text += fmt::format(", check {:.3g} ms", times.check);
  if (times.write > 0) text += fmt::format(", write {:.3g} ms", times.write);
  return text + fmt::format("; {:.3g} ms in all", times.total);
}

Json stages_json(const runtime::Stages& stages, const Times& times) {
  Json json = {{"read", times.read}};
  json.update(to_json(stages));
  json.update({{"check", times.check}, {"write", times.write}, {"total", times.total}});
  return json;
}

/// The passes that the call takes: {"tile_lists", "flash_forward"}, or
/// {"flash_forward over 5 splits", "combine"}.
std::vector<std::string> kernels_of(const plan::Plan& plan, const plan::Route& route) {
  std::vector<std::string> names;
  for (const std::size_t index : plan::passes_of(plan, route)) {
    const plan::Pass& pass = plan.passes[index];
    names.emplace_back(plan::name_of(pass.kind));
    if (pass.split) names.back() += fmt::format(" over {} splits", route.splits);
  }
  return names;
}

std::string describe(const DeviceCall& call, const runtime::Stages& stages, const Times& times) {
  const plan::Plan& plan = call.planned().plan;
  const Shape& shape = call.bound().shape;
  return fmt::format(
      "{}: {} sequence{} of {} queries and {} keys, {} heads over {}, D {} Dv {}, {}\n"
      "  device   {}\n"
      "  compiler {}{}\n"
      "  kernel   {} {}, {} (from the {})\n"
      "  stages   {}\n",
      plan.spec.pattern.name(), shape.batch, shape.batch == 1 ? "" : "s", shape.queries, shape.keys,
      shape.heads, shape.kv_heads, plan.spec.head_dim, plan.spec.value_dim,
      name_of(plan.spec.dtype), call.engine().device->description(),
      call.engine().compiler->identity(), call.engine().notice,
      fmt::join(kernels_of(plan, call.route()), ", "), plan.facts.arch.name(),
      call.variant().aligned ? "aligned" : "unaligned", name_of(stages.origin),
      stages_text(stages, times));
}

Json describe_json(const DeviceCall& call, const runtime::Stages& stages) {
  const plan::Plan& plan = call.planned().plan;
  const Shape& shape = call.bound().shape;
  return {{"attention", plan.spec.pattern.name()},
          {"digest", plan.spec.pattern.digest()},
          {"shape",
           {{"B", shape.batch},
            {"H", shape.heads},
            {"G", shape.kv_heads},
            {"Nq", shape.queries},
            {"Nk", shape.keys},
            {"D", plan.spec.head_dim},
            {"Dv", plan.spec.value_dim}}},
          {"dtype", name_of(plan.spec.dtype)},
          {"device", call.engine().device->description()},
          {"compiler", call.engine().compiler->identity()},
          {"arch", plan.facts.arch.name()},
          {"kernels", kernels_of(plan, call.route())},
          {"splits", call.route().splits},
          {"listed", call.route().listed},
          {"variant", call.variant().aligned ? "aligned" : "unaligned"},
          {"kernel_from", name_of(stages.origin)}};
}

/// Compares with the reference and says how far; false where that is beyond the bound.
bool check(const Spec& spec, const Inputs& inputs, const Results& results, Report& report) {
  Comparison comparison = compare(spec, inputs, results);
  report.json["check"] = to_json(comparison);
  report.text += to_text(comparison, DType::f32);
  if (comparison.within()) return true;
  report.exit_code = exit_failure;
  report.text += "  nothing was written: the result is beyond the bound\n";
  return false;
}

void refuse_sparsity_of_dump(const RunFlags& flags) {
  if (flags.sparsity && !flags.dump.empty())
    throw Error(ErrorKind::argument, "--sparsity and --dump: a dump does not hold it");
}

/// Publishes the outputs and says where they are.
void publish(const RunFlags& flags, Outputs& outputs, const Results& results,
             const std::optional<SparsityRows>& found, Report& report) {
  auto add = [&](const char* name, const Array& array) {
    auto file = fmt::format("{}.npy", name);
    auto path = (std::filesystem::path(flags.out) / file).string();
    outputs.add(file, format_npy(array));
    report.json["outputs"][name] = path;
    report.text += fmt::format("  {:<8} {}\n", name, path);
  };
  add("o", results.o);
  if (flags.escort) add("escort", results.escort);
  if (flags.statistic || flags.lse)
    for (const Output& output : all_outputs)
      if ((results.*output.array).present() && output.of_rows)
        add(output.name, results.*output.array);
  if (found) {
    const std::vector<std::int64_t>& o = results.o.shape;
    for (const auto& [name, array] : arrays_of(*found, {o.at(0), o.at(1), o.at(2)}))
      add(name.c_str(), array);
    report.json["sparsity"] = to_json(*found);
    report.text += to_text(*found);
  }
  outputs.commit();
}

Report run(const RunFlags& flags, const Terminal& terminal) {
  runtime::Clock total;
  refuse_gradients(flags);
  refuse_sparsity_of_dump(flags);
  Outputs outputs(flags.out);
  Pattern pattern = flags.pattern.load();
  const bool statistic = wants_statistic(flags.statistic, flags.lse, pattern);
  Progress progress(terminal);
  progress.say("reading tensors");
  Times times;
  runtime::Clock read;
  Inputs inputs = read_inputs(pattern.tree(), flags.inputs);
  times.read = read.milliseconds();
  // O leaves the kernel in f32: it is rounded once, by whoever reads it.
  Spec spec = inputs.spec(pattern, DType::f32, statistic || flags.check);
  spec.sparsity = flags.sparsity;
  spec.escort = flags.escort;
  std::optional<Dump> dump;
  if (!flags.dump.empty()) dump.emplace(flags.dump);
  runtime::Stages stages;
  DeviceCall call(flags.engine.options(), spec, inputs, &stages);
  if (dump) {
    call.take({});  // a dump holds the plain route, and its replay runs that
    progress.say("dumping the stages");
    dump->before(call, inputs, {flags.pattern.consts, flags.engine});
  }
  progress.say("running");
  Results results = call.run(&stages);
  Report report{{}, describe_json(call, stages)};
  if (dump) {
    dump->after(results);
    report.json["dump"] = flags.dump;
    report.text += fmt::format(
        "  dump     {0} (source: {0}/source.cu; run it again: lacuna replay {0})\n", flags.dump);
  }
  bool within = true;
  if (flags.check) {
    progress.say("comparing with the reference");
    runtime::Clock checking;
    within = check(spec, inputs, results, report);
    times.check = checking.milliseconds();
  }
  if (within) {
    runtime::Clock writing;
    std::optional<SparsityRows> found;
    if (spec.sparsity) found = call.sparsity();
    publish(flags, outputs, results, found, report);
    times.write = writing.milliseconds();
  }
  times.total = total.milliseconds();
  report.text = describe(call, stages, times) + report.text;
  report.json["stages_ms"] = stages_json(stages, times);
  return report;
}

}  // namespace

void add_run(CLI::App& app, Invocation& invocation) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = add_command(
      app, invocation,
      {"run", "compute attention on tensors from .npy files",
       "  lacuna run causal.lac --q q.npy --k k.npy --v v.npy --out out --check\n"
       "  lacuna run local.lac --tensor doc=doc.npy --param reach=512 --dtype bf16 \\\n"
       "      --q q.npy --k k.npy --v v.npy --out out --statistic --dump stages",
       "  out/o.npy has the result as float32; with --dump, 'lacuna replay stages' runs it again,\n"
       "  also with stages/source.cu edited."},
      flags, run);
  flags->pattern.add_to(*command);
  add_value(*command, "--q", flags->inputs.q, "F.npy", "queries [B,H,Nq,D], float32 or float16")
      ->required();
  add_value(*command, "--k", flags->inputs.k, "F.npy", "keys [B,G,Nk,D]")->required();
  add_value(*command, "--v", flags->inputs.v, "F.npy", "values [B,G,Nk,Dv]")->required();
  add_repeated(*command, "--tensor", flags->inputs.tensors, "NAME=F.npy",
               "a tensor of the pattern");
  add_repeated(*command, "--param", flags->inputs.params, "NAME=X", "a param of the pattern");
  add_value(*command, "--dtype", flags->inputs.dtype, "f16|bf16|f32",
            "storage of Q, K, V (default: as in the files)");
  flags->engine.add_to(*command);
  add_value(*command, "--scale", flags->inputs.scale, "X",
            "of the dot products (default: 1/sqrt(D))");
  add_lengths(*command, flags->inputs.lengths);
  add_value(*command, "--do", flags->output_gradient, "F.npy", "gradients (not offered yet)");
  add_repeated(*command, "--grad", flags->gradients, "NAME", "gradients (not offered yet)");
  add_value(*command, "--out", flags->out, "DIR", "where o.npy goes")->required();
  command->add_flag("--statistic", flags->statistic,
                    "also write the row statistic: softmax's lse.npy, the log of the sum of "
                    "exponentials; entmax's zmax.npy, the largest score, and gap.npy, (alpha - 1) "
                    "times the distance from it to the threshold");
  command->add_flag(
      "--sparsity", flags->sparsity,
      "of entmax: also write passes.npy, candidates.npy, support.npy, residual.npy of "
      "each row, live_tiles.npy of each tile of queries, and its live keys: those of "
      "tile i are live_keys.npy from live_offsets.npy [i] to [i + 1]");
  command->add_flag("--lse", flags->lse, "the same, of softmax alone");
  command->add_flag("--escort", flags->escort,
                    "entmax: also write escort.npy, the mean of V by p^(2 - alpha) where p > 0, "
                    "which the gradient needs");
  add_value(*command, "--dump", flags->dump, "DIR",
            "keep every stage there, of the plain route: no lists of masks, no splits");
  command->add_flag("--check", flags->check,
                    "compare with the reference; write nothing where it differs");
}

}  // namespace lacuna::tool
