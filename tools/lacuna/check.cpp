#include "tools/lacuna/command.h"
#include "tools/lacuna/compare.h"
#include "tools/lacuna/execute.h"
#include "tools/lacuna/options.h"

#include <fmt/format.h>

#include <random>

namespace lacuna::tool {
namespace {

struct CheckFlags {
  PatternFlags pattern;
  EngineFlags engine;
  std::string shape, dtype = "f32", seed, scale, offset, lengths = "uniform";
  std::vector<std::string> params, tensors, axes;
};

std::uint64_t seed_of(const std::string& flag) {
  if (flag.empty()) return std::random_device()();
  auto seed = parse_integer(flag);
  if (!seed || *seed < 0)
    throw Error(ErrorKind::argument, fmt::format("--seed '{}' is not a number from 0", flag));
  return static_cast<std::uint64_t>(*seed);
}

Inputs make_inputs(const ir::Pattern& pattern, const CheckFlags& flags, const Extents& extents,
                   std::uint64_t seed) {
  Inputs inputs;
  inputs.params = bind_params(pattern, flags.params);
  inputs.tensors = read_tensors(pattern, flags.tensors);
  if (!flags.scale.empty()) inputs.scale = parse_float("--scale", flags.scale);
  if (!flags.offset.empty()) {
    inputs.offset = std::get<std::int32_t>(parse_literal("--offset", ir::Type::i32, flags.offset));
  }
  auto lengths =
      static_cast<Lengths>(choose("--lengths", flags.lengths, {"uniform", "padded", "packed"}));
  fill_random(pattern, {extents, parse_dtype(flags.dtype), seed, flags.axes, lengths}, inputs);
  return inputs;
}

Json shape_json(const Extents& extents) {
  const Shape& shape = extents.shape;
  return {{"B", shape.batch},       {"H", shape.heads}, {"G", shape.kv_heads},
          {"Nq", shape.queries},    {"Nk", shape.keys}, {"D", extents.head_dim},
          {"Dv", extents.value_dim}};
}

Report run_check(const CheckFlags& flags, const Terminal& terminal) {
  Pattern pattern = flags.pattern.load();
  Extents extents = parse_shape(flags.shape);
  std::uint64_t seed = seed_of(flags.seed);
  Progress progress(terminal);
  progress.say("making tensors");
  Inputs inputs = make_inputs(pattern.tree(), flags, extents, seed);
  DType dtype = parse_dtype(flags.dtype);
  Spec spec = inputs.spec(pattern, dtype, true);
  runtime::Stages stages;
  DeviceCall call(flags.engine.options(), spec, inputs, &stages);
  progress.say("running");
  Results results = call.run(&stages);
  progress.say("comparing with the reference");
  Comparison comparison = compare(spec, inputs, results);
  progress.clear();
  Report report;
  report.exit_code = comparison.within() ? exit_ok : exit_failure;
  report.json = {{"attention", pattern.name()},
                 {"shape", shape_json(extents)},
                 {"dtype", name_of(dtype)},
                 {"seed", seed},
                 {"device", call.engine().device->description()},
                 {"compiler", call.engine().compiler->identity()},
                 {"check", to_json(comparison)},
                 {"stages_ms", to_json(stages)}};
  report.text =
      fmt::format("{} {}: {}, seed {}\n  device   {}\n  compiler {}\n  pairs    {} attend\n{}",
                  pattern.name(), name_of(dtype),
                  comparison.within() ? "agrees with the reference" : "DIFFERS from the reference",
                  seed, call.engine().device->description(), call.engine().compiler->identity(),
                  comparison.live, to_text(comparison, dtype));
  return report;
}

}  // namespace

void add_check(CLI::App& app, Invocation& invocation) {
  auto flags = std::make_shared<CheckFlags>();
  CLI::App* command = add_command(
      app, invocation,
      {"check", "run a pattern on random tensors and compare with the reference",
       "  lacuna check causal.lac --shape H=4,G=2,Nq=67,Nk=131,D=64 --dtype bf16\n"
       "  lacuna check local.lac --shape N=200 --param reach=32 --seed 7 --compiler llvm",
       "  exit code 1 says that an element is farther from the reference than rounding explains; "
       "the seed\n"
       "  that is printed brings the same tensors back."},
      flags, run_check);
  flags->pattern.add_to(*command);
  add_value(*command, "--shape", flags->shape, "K=N,...",
            "B= H= G= Nq= Nk= (or N= for both) D= Dv=")
      ->required();
  add_value(*command, "--dtype", flags->dtype, "f16|bf16|f32",
            "storage of Q, K, V and O (default: f32)");
  add_value(*command, "--seed", flags->seed, "N",
            "of the random tensors (default: another every time)");
  add_repeated(*command, "--param", flags->params, "NAME=X", "a param of the pattern");
  add_repeated(*command, "--tensor", flags->tensors, "NAME=F.npy",
               "a tensor of the pattern, instead of a random one");
  add_repeated(*command, "--axis", flags->axes, "NAME=E,...",
               "extents of a tensor's _ axes (default: the longer of Nq, Nk)");
  add_value(*command, "--scale", flags->scale, "X", "of the dot products (default: 1/sqrt(D))");
  add_value(*command, "--offset", flags->offset, "N", "q = row + offset (default: Nk - Nq)");
  add_value(*command, "--lengths", flags->lengths, "uniform|padded|packed",
            "of the sequences; packed: Nq and Nk are totals (default: uniform)");
  flags->engine.add_to(*command);
}

}  // namespace lacuna::tool
