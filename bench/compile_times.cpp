// What a kernel costs to compile, by each compiler and for each target, without any cache.
#include "compiler/codegen/generate.h"
#include "runtime/compiler.h"

#include "bench/measure.h"
#include <fmt/format.h>

#include <functional>

namespace {

using namespace lacuna;

struct Target {
  std::string name;
  std::function<std::shared_ptr<const runtime::Compiler>()> open;
  plan::Arch arch;
  runtime::Format format;
};

void measure(const Target& target, const Spec& spec) {
  std::shared_ptr<const runtime::Compiler> compiler;
  try {
    compiler = target.open();
  } catch (const Error& error) {
    fmt::print("{:22} not here: {}\n", target.name, error.what());
    return;
  }
  const plan::Plan plan = plan::plan(spec, {.arch = target.arch});
  const codegen::Source source = codegen::generate(plan, plan.passes[0], plan.variants[0]);
  runtime::Artifact artifact;
  const auto times = bench::time(5, [&] {
    artifact = compiler->compile(source, {.arch = target.arch, .format = target.format});
  });
  fmt::print("{:22} D={:3} {:4}  least {:6.1f} ms, median {:6.1f} ms, {:7} bytes", target.name,
             spec.head_dim, name_of(spec.dtype), times.least, times.median,
             artifact.payload.size());
  if (artifact.registers >= 0)
    fmt::print(", {} registers, {} bytes spilled", artifact.registers,
               artifact.spill_stores + artifact.spill_loads);
  fmt::print("\n");
}

}  // namespace

int main() {
  const auto nvrtc = [] { return runtime::open_nvrtc(); };
  const auto llvm = [] { return runtime::open_llvm(); };
  const Target targets[] = {
      {"llvm  -> PTX   sm_80", llvm, {80}, runtime::Format::ptx},
      {"nvrtc -> PTX   sm_80", nvrtc, {80}, runtime::Format::ptx},
      {"nvrtc -> cubin sm_80", nvrtc, {80}, runtime::Format::cubin},
      {"nvrtc -> cubin sm_90", nvrtc, {90}, runtime::Format::cubin},
  };
  const Pattern pattern = Pattern::parse(
      "attention causal_window {\n  param reach: i32 = 1024\n  mask causal\n  mask "
      "window(reach)\n}");
  for (const int d : {64, 128, 256})
    for (const Target& target : targets)
      measure(target, {.pattern = pattern,
                       .dtype = DType::f16,
                       .head_dim = d,
                       .value_dim = d,
                       .statistic = true});
}
