#include "compiler/codegen/generate.h"
#include "compiler/plan/explain.h"
#include "runtime/compiler.h"
#include "tools/lacuna/arguments.h"
#include "tools/lacuna/command.h"
#include "tools/lacuna/files.h"
#include "tools/lacuna/loops.h"
#include "tools/lacuna/options.h"
#include "tools/lacuna/progress.h"
#include "tools/lacuna/specs.h"

#include <fmt/format.h>

#include <iostream>

namespace lacuna::tool {
namespace {

struct CompileFlags {
  PatternFlags pattern;
  SpecFlags spec;
  std::string emit = "source", compiler = "auto", out, pass;
  bool unaligned = false;
};

enum class Emit { pattern, plan, source, ir, ptx, cubin };

/// LLVM ends at PTX, and only LLVM has an IR to show.
CompilerKind compiler_for(Emit emit, CompilerKind wanted) {
  if (emit == Emit::ir && wanted == CompilerKind::nvrtc) {
    throw Error(ErrorKind::argument, "--emit ir needs --compiler llvm: NVRTC does not show its IR");
  }
  if (emit == Emit::cubin && wanted == CompilerKind::llvm) {
    throw Error(ErrorKind::argument, "--emit cubin needs --compiler nvrtc: LLVM ends at PTX");
  }
  if (wanted != CompilerKind::automatic) return wanted;
  return emit == Emit::cubin ? CompilerKind::nvrtc : CompilerKind::llvm;
}

runtime::Artifact compile(const codegen::Source& source, const plan::Plan& plan, Emit emit,
                          CompilerKind kind, Report& report) {
  EngineOptions environment = EngineOptions::from_environment();
  auto compiler = kind == CompilerKind::nvrtc ? runtime::open_nvrtc(environment.nvrtc_library)
                                              : runtime::open_llvm(environment.llvm_library);
  runtime::CompileOptions options{.arch = plan.facts.arch};
  options.format = emit == Emit::cubin ? runtime::Format::cubin : runtime::Format::ptx;
  options.keep_ir = emit == Emit::ir;
  auto artifact = compiler->compile(source, options);
  report.json["compiler"] = artifact.compiler;
  report.json["entry"] = artifact.entry;
  report.json["threads"] = artifact.threads;
  report.json["shared_bytes"] = artifact.shared_bytes;
  if (artifact.registers >= 0) report.json["registers"] = artifact.registers;
  if (artifact.spill_stores >= 0)
    report.json["spill_bytes"] = artifact.spill_stores + artifact.spill_loads;
  for (const runtime::LoopMix& loop : artifact.loops)
    report.json["loops"].push_back(loop_json(loop));
  return artifact;
}

/// The first, or the one of that name.
const plan::Pass& pass_of(const plan::Plan& plan, const std::string& name) {
  if (name.empty()) return plan.passes.front();
  std::string known;
  for (const plan::Pass& pass : plan.passes) {
    const std::string of_pass = plan::name_of(pass);
    if (of_pass == name) return pass;
    if (known.find(of_pass) == std::string::npos || of_pass.empty())
      known += (known.empty() ? "" : ", ") + of_pass;
  }
  throw Error(ErrorKind::argument, fmt::format("--pass is '{}'; this plan has {}", name, known));
}

std::string stage_text(const CompileFlags& flags, Emit emit, Report& report) {
  Pattern pattern = flags.pattern.load();
  report.json["attention"] = pattern.name();
  if (emit == Emit::pattern) return pattern.text();
  plan::Plan plan = flags.spec.plan(pattern);
  report.json["arch"] = plan.facts.arch.name();
  if (emit == Emit::plan) return plan::explain(plan);
  auto source = codegen::generate(plan, pass_of(plan, flags.pass), {.aligned = !flags.unaligned});
  if (emit == Emit::source) return source.text;
  CompilerKind kind = compiler_for(emit, parse_compiler(flags.compiler));
  auto artifact = compile(source, plan, emit, kind, report);
  return emit == Emit::ir ? artifact.ir : artifact.payload;
}

Report run_compile(const CompileFlags& flags, const Terminal& terminal) {
  auto emit = static_cast<Emit>(
      choose("--emit", flags.emit, {"pattern", "plan", "source", "ir", "ptx", "cubin"}));
  if (emit == Emit::cubin && flags.out.empty()) {
    throw Error(ErrorKind::argument, "--emit cubin is binary: name a file with --out");
  }
  compiler_for(emit, parse_compiler(flags.compiler));
  Progress progress(terminal);
  progress.say("compiling");
  Report report;
  report.json["emit"] = flags.emit;
  std::string text = stage_text(flags, emit, report);
  progress.clear();
  report.json["bytes"] = text.size();
  if (flags.out.empty()) {
    report.json["text"] = text;
    report.text = text;
    return report;
  }
  write_file(flags.out, text);
  report.json["out"] = flags.out;
  report.text = fmt::format("{}: {} bytes\n", flags.out, text.size());
  return report;
}

}  // namespace

void add_compile(CLI::App& app, Invocation& invocation) {
  auto flags = std::make_shared<CompileFlags>();
  CLI::App* command = add_command(
      app, invocation,
      {"compile", "print one stage of a pattern's way to machine code; no GPU is needed",
       "  lacuna compile local.lac --emit source\n"
       "  lacuna compile local.lac --emit ptx --compiler llvm --arch sm_80 --shape N=1,D=128 --out "
       "local.ptx\n"
       "  lacuna compile local.lac --emit cubin --arch sm_90 --out local.cubin",
       "  'lacuna run --dump DIR' keeps all stages of a call, and 'lacuna replay' takes them "
       "edited."},
      flags, run_compile);
  flags->pattern.add_to(*command);
  add_value(*command, "--emit", flags->emit, "pattern|plan|source|ir|ptx|cubin",
            "which stage (default: source)");
  add_value(*command, "--compiler", flags->compiler, "auto|nvrtc|llvm",
            "auto: nvrtc for cubin, llvm for ir and ptx");
  add_value(*command, "--pass", flags->pass, "NAME",
            "which kernel, as --emit plan names them (default: the first)");
  command->add_flag("--unaligned", flags->unaligned,
                    "the variant for rows that do not start on 16 bytes");
  add_value(*command, "--out", flags->out, "FILE", "write there instead of printing");
  flags->spec.add_to(*command);
}

}  // namespace lacuna::tool
