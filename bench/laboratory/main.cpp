// build/bench/bench_laboratory: what can be known of a kernel's speed without a GPU.
#include "compiler/codegen/generate.h"
#include "tools/lacuna/options.h"
#include "tools/lacuna/specs.h"

#include "bench/laboratory/print.h"
#include "bench/laboratory/subjects.h"
#include "bench/measure.h"
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <future>
#include <optional>

namespace {

using namespace lacuna;

struct KernelFlags {
  tool::PatternFlags pattern;
  tool::SpecFlags spec;
  std::vector<std::string> params;
  bool all = false, json = false;
  int lines = 0;
};

std::vector<bench::Subject> subjects_of(const KernelFlags& flags) {
  const Pattern pattern = flags.pattern.load();
  bench::Subject subject{.spec = flags.spec.spec(pattern),
                         .arch = plan::parse_arch(flags.spec.arch),
                         .schedule = {},
                         .params = tool::bind_params(pattern.tree(), flags.params)};
  if (!flags.spec.schedule.empty()) subject.schedule = plan::parse_schedule(flags.spec.schedule);
  if (flags.all) return bench::every_schedule(subject);
  return {subject};
}

void run_kernel(const KernelFlags& flags) {
  const std::vector<bench::Subject> subjects = subjects_of(flags);
  const auto nvrtc = runtime::open_nvrtc();
  const bench::Disassembler disassembler;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const bench::Subject& subject : subjects) {
    const bench::Study study = bench::study(subject, *nvrtc, &disassembler);
    if (flags.json)
      json.push_back(bench::to_json(study));
    else
      fmt::print("{}{}\n", bench::to_text(study),
                 flags.lines > 0 ? bench::to_lines(study, flags.lines) : "");
  }
  if (flags.json) fmt::print("{}\n", json.dump(2));
}

/// Two at a time; the first failure stops both.
std::vector<bench::Study> study_all(const std::vector<bench::Subject>& subjects,
                                    const runtime::Compiler& nvrtc,
                                    const bench::Disassembler& disassembler) {
  std::vector<std::optional<bench::Study>> studies(subjects.size());
  std::atomic<std::size_t> next{0}, done{0};
  const auto work = [&] {
    try {
      for (std::size_t k; (k = next++) < subjects.size();) {
        studies[k] = bench::study(subjects[k], nvrtc, &disassembler);
        fmt::print(stderr, "\r{} of {} kernels", ++done, subjects.size());
      }
    } catch (...) {
      next = subjects.size();
      throw;
    }
  };
  std::future<void> other = std::async(std::launch::async, work);
  work();
  other.get();
  fmt::print(stderr, "\n");
  std::vector<bench::Study> all;
  for (std::optional<bench::Study>& one : studies) all.push_back(std::move(*one));
  return all;
}

void run_table() {
  const auto nvrtc = runtime::open_nvrtc();
  const bench::Disassembler disassembler;
  std::vector<bench::Study> studies = study_all(bench::table_subjects(), *nvrtc, disassembler);
  fmt::print("{}", bench::to_table(std::move(studies), nvrtc->identity(), disassembler.version()));
}

/// Processor time of this process, which other work on the machine leaves alone.
double processor_ms() {
  return 1e3 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

/// The least of some rounds, without any cache. Measured: every machine has its own.
void run_times() {
  constexpr int rounds = 5;
  const auto nvrtc = runtime::open_nvrtc();
  fmt::print(
      "{}, source to cubin, least of {} rounds\n\n| kernel | D | arch | schedule | processor | "
      "clock "
      "|\n|---|---|---|---|---|---|\n",
      nvrtc->identity(), rounds);
  for (const bench::Subject& subject : bench::timed_subjects()) {
    const plan::Plan plan =
        plan::plan(subject.spec, {.arch = subject.arch, .schedule = subject.schedule});
    const codegen::Source source = codegen::generate(plan, plan.passes[0], {.aligned = true});
    double processor = 1e300;
    const bench::Times clock = bench::time(rounds, [&] {
      const double start = processor_ms();
      nvrtc->compile(source, {.arch = subject.arch, .format = runtime::Format::cubin});
      processor = std::min(processor, processor_ms() - start);
    });
    fmt::print("| {} {} | {} | {} | {} | {:.0f} ms | {:.0f} ms |\n", subject.spec.pattern.name(),
               name_of(subject.spec.dtype), subject.spec.head_dim, subject.arch.name(),
               plan.passes[0].schedule.name(), processor, clock.least);
  }
}

void add_kernel(CLI::App& app, KernelFlags& flags) {
  CLI::App* kernel = app.add_subcommand("kernel", "one kernel, by schedule");
  flags.pattern.add_to(*kernel);
  flags.spec.add_to(*kernel);
  kernel->add_flag("--all-schedules", flags.all, "every legal one, the planner's favourite first");
  tool::add_repeated(*kernel, "--param", flags.params, "NAME=X", "a param of the pattern");
  kernel->add_option("--lines", flags.lines, "also the N source lines that issue most")
      ->type_name("N");
  kernel->add_flag("--json", flags.json, "print one JSON array instead of text");
  kernel->callback([&flags] { run_kernel(flags); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "What can be known of a kernel's speed without a GPU: registers, occupancy, machine code by "
      "class\n"
      "for each score, and what the host device counts of shared and global memory.");
  app.require_subcommand(1);
  KernelFlags flags;
  add_kernel(app, flags);
  app.add_subcommand("table", "print results/laboratory.md")->callback(run_table);
  app.add_subcommand("times", "time cold compiles of the planner's choices")->callback(run_times);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const Error& error) {
    fmt::print(stderr, "bench_laboratory: {}\n", error.what());
    return 1;
  }
}
