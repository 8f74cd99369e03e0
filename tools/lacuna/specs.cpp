#include "tools/lacuna/specs.h"

#include "tools/lacuna/arguments.h"
#include "tools/lacuna/options.h"

#include <fmt/format.h>

namespace lacuna::tool {

bool wants_statistic(bool statistic, bool lse, const Pattern& pattern) {
  if (lse && pattern.is_entmax())
    throw Error(ErrorKind::argument,
                fmt::format("--lse: {} weighs by entmax, which has zmax and gap: pass --statistic",
                            pattern.name()));
  return statistic || lse;
}

void SpecFlags::add_to(CLI::App& command) {
  add_value(command, "--shape", shape, "K=N,...",
            "B= H= G= Nq= Nk= (or N= for both) D= Dv= (default: D=64)");
  add_value(command, "--dtype", dtype, "f16|bf16|f32", "storage of Q, K and V (default: bf16)");
  add_value(command, "--output", output, "f16|bf16|f32", "storage of O (default: that of Q)");
  add_value(command, "--arch", arch, "sm_NN", "the GPU architecture (default: sm_90)");
  add_value(command, "--schedule", schedule, "128x64w4s2",
            "tiles of queries x keys, warps, stages; decode keeps its own (default: "
            "LACUNA_SCHEDULE, then "
            "what a model of the GPU ranks first)");
  add_value(command, "--lengths", lengths, "uniform|padded|packed",
            "how rows of a batch lie (default: uniform)");
  add_repeated(command, "--storage", storage, "NAME=TYPE",
               "storage of a tensor of the pattern (f32 f16 bf16 i64 ..)");
  command.add_flag("--statistic", statistic, "with the row statistic");
  command.add_flag("--lse", lse, "the same, of softmax alone");
  command.add_flag("--escort", escort, "entmax: with the mean of V that the gradient needs");
  command.add_flag("--sparsity", sparsity, "entmax: with what a call found, and took");
  command.add_flag("--checked", checked,
                   "with reports of reads outside a tensor, as on the host device");
}

Spec SpecFlags::spec(const Pattern& pattern) const {
  Extents extents = parse_extents(shape);
  Spec spec{.pattern = pattern,
            .dtype = parse_dtype(dtype),
            .head_dim = extents.head_dim,
            .value_dim = extents.value_dim,
            .statistic = wants_statistic(statistic, lse, pattern),
            .escort = escort,
            .sparsity = sparsity};
  if (!output.empty()) spec.output = parse_dtype(output);
  spec.lengths =
      static_cast<Lengths>(choose("--lengths", lengths, {"uniform", "padded", "packed"}));
  for (const Named& one : parse_named("--storage", storage)) {
    spec.storage[one.name] = static_cast<DType>(choose(
        "--storage", one.value, {"f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u8", "bool"}));
  }
  return spec;
}

plan::Plan SpecFlags::plan(const Pattern& pattern) const {
  plan::Facts facts{.arch = plan::parse_arch(arch), .checked = checked};
  const std::string named =
      schedule.empty() ? EngineOptions::from_environment().schedule : schedule;
  if (!named.empty()) facts.schedule = plan::parse_schedule(named);
  return plan::plan(spec(pattern), facts);
}

}  // namespace lacuna::tool
