// Bugs seeded into the real kernels, one at a time: each is noticed, by its results or by a check
// of the host device. The kernels as they are pass both.
#include "tests/mutants/mutants.h"

#include "runtime/engine.h"
#include "runtime/host/host_device.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/sparsity.h"
#include "tests/fuzz/random.h"
#include "tests/mutants/cases.h"
#include "tests/mutants/seeded.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <iostream>

namespace {

using namespace lacuna;
using runtime::host::HostOptions;

/// How reports begin, and what the table of mutants calls them.
constexpr std::array<std::array<std::string_view, 2>, 10> reports = {{
    {"race: ", "race"},
    {"copy in flight: ", "copy in flight"},
    {"uninitialised ", "uninitialised"},
    {"out-of-bounds ", "out-of-bounds"},
    {"misaligned ", "misaligned"},
    {"divergent barrier: ", "divergent barrier"},
    {"warp synchronisation that cannot complete: ", "absent lanes"},
    {"the instruction needs all lanes ", "absent lanes"},
    {"deadlock: ", "deadlock"},
    {"order: ", "order"},
}};

/// What a run ended with: "" where its results agree with the reference; "value"; or a check.
struct Outcome {
  std::string caught, text;
};

std::shared_ptr<const runtime::Device> device(bool checking) {
  HostOptions options;
  options.instruction_limit = 20'000'000;  // a loop without an end is a report, too
  if (checking) options.checks = runtime::host::Checks::all();
  options.every_order = checking;
  return runtime::host::open_host(options);
}

std::shared_ptr<const runtime::Planned> planned(const tests::Case& which, plan::Arch arch) {
  const plan::Facts facts{.arch = arch, .schedule = plan::parse_schedule(which.schedule)};
  return runtime::planned_of(plan::plan(which.spec, facts));
}

/// On 16 bytes; absent where there is none.
TensorView workspace_in(std::vector<std::uint64_t>& memory, std::uint64_t bytes) {
  if (bytes == 0) return {};
  auto* const at = memory.data() + reinterpret_cast<std::uintptr_t>(memory.data()) / 8 % 2;
  return TensorView::contiguous(at, DType::u8, {static_cast<std::int64_t>(bytes)});
}

/// Also where keys are listed that are far from a threshold.
std::string wrong_sparsity(const plan::Plan& plan, const fuzz::OwnedCall& call,
                           const SparsityRows& found) {
  tests::ListedKeys keys;
  const std::string wrong = tests::wrong_sparsity(plan, call, found, keys);
  if (!wrong.empty()) return wrong;
  const std::int64_t listed = keys.listed + keys.of_dense,
                     weighed = keys.weighed + keys.weighed_of_dense;
  return listed > weighed + weighed / 40 + 4 ? fmt::format("{} keys for {}", listed, weighed) : "";
}

Outcome run(const tests::Case& which, bool checking,
            const std::shared_ptr<const runtime::Compiler>& compiler, fuzz::Random& random) {
  const auto engine = runtime::make_engine({}, device(checking), compiler, {}, /*unchecked=*/true);
  const auto plan = planned(which, engine->device->arch());
  engine->plans.insert(plan);
  fuzz::OwnedCall call = tests::call_of(which, random);
  // What a pass does not write holds no zeros by luck.
  const std::uint64_t bytes = plan::workspace_bytes(plan->plan, which.shape, which.route);
  std::vector<std::uint64_t> workspace(bytes / 8 + 2, ~std::uint64_t{0});
  call.args.workspace = workspace_in(workspace, bytes);
  try {
    std::optional<Sparsity> sparsity;
    if (which.spec.sparsity) {
      const Program program(std::make_shared<ProgramState>(engine, plan));
      call.args.sparsity = &sparsity.emplace(program.sparsity(which.shape));
    }
    std::string wrong = tests::run_and_compare(*engine, which.spec, call, which.route);
    if (sparsity) wrong += wrong_sparsity(plan->plan, call, sparsity->read());
    return {wrong.empty() ? "" : "value", wrong};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::device)
      throw std::runtime_error(std::string(error.what()) + error.log());
    for (const auto& [begin, name] : reports)
      if (std::string_view(error.what()).starts_with(begin))
        return {std::string(name), error.what()};
    return {"another report", error.what()};
  }
}

/// clang, and NVRTC where it is found.
std::vector<std::shared_ptr<const runtime::Compiler>> open_compilers() {
  const EngineOptions named = EngineOptions::from_environment();
  std::vector<std::shared_ptr<const runtime::Compiler>> all = {
      std::make_shared<tests::Once>(runtime::open_llvm(named.llvm_library))};
  try {
    all.push_back(std::make_shared<tests::Once>(runtime::open_nvrtc(named.nvrtc_library)));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    std::cerr << "mutants without nvrtc: " << error.what() << '\n';
  }
  return all;
}
const std::vector<std::shared_ptr<const runtime::Compiler>>& compilers() {
  static const auto all = open_compilers();
  return all;
}

bool is_entmax(std::string_view name) {
  return tests::case_named(name).spec.pattern.is_entmax();
}

void check_kernels(bool entmax) {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (const auto& inner : compilers())
    for (const tests::Case& which : tests::cases()) {
      if (is_entmax(which.name) != entmax) continue;
      const auto compiler = std::make_shared<tests::Seeded>(inner, nullptr);
      for (const bool checking : {false, true}) {
        INFO(inner->name() << ", " << which.name);
        CHECK(run(which, checking, compiler, random).text == "");
      }
    }
}

void check_mutants(bool entmax) {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  constexpr int most_draws = 2;  // of inputs, one of which shows it
  constexpr int nvrtc_each = 4;  // of clang's mutants so many, to one of NVRTC
  const char* const named = std::getenv("LACUNA_MUTANT");
  const std::string_view wanted = named ? named : "";
  int number = 0;
  fmt::print("{:<52} {:<10} {:<6} {:<18} {}\n", "mutant", "case", "by", "results", "checks");
  for (const tests::Mutant& mutant : tests::mutants()) {
    if (is_entmax(mutant.shape) != entmax || mutant.name.find(wanted) == mutant.name.npos) continue;
    const std::size_t count = number++ % nvrtc_each == 0 ? compilers().size() : 1;
    for (std::size_t c = 0; c < count; ++c) {
      const auto compiler = std::make_shared<tests::Seeded>(compilers()[c], &mutant);
      const tests::Case& which = tests::case_named(mutant.shape);
      Outcome plain, checked{"not run", ""};
      bool caught = false;
      int draws = 0;
      for (; draws < most_draws && !caught; ++draws) {
        // Without the checks, too, the host device reports some bugs.
        plain = run(which, false, compiler, random);
        caught = plain.caught == mutant.catcher;
        if (caught || mutant.catcher == "value") continue;
        checked = run(which, true, compiler, random);
        caught = checked.caught == mutant.catcher;
      }
      fmt::print("{:<52} {:<10} {:<6} {:<18} {}{}\n", mutant.name, mutant.shape, compiler->name(),
                 plain.caught, checked.caught, draws > 1 ? ", by the second draw" : "");
      INFO(mutant.name << ", " << compiler->name() << "\nresults: " << plain.text
                       << "\nchecks: " << checked.text);
      CHECK(caught);
    }
  }
}

}  // namespace

TEST_CASE("the kernels that mutants are made of are right, and the checks are silent") {
  check_kernels(false);
}
TEST_CASE("every mutant is caught by value or by a check") {
  check_mutants(false);
}
// A test of their own in ctest: beside the others, not after them.
TEST_CASE("entmax: the kernels that mutants are made of are right, and the checks are silent",
          "[.][entmax]") {
  check_kernels(true);
}
TEST_CASE("entmax: every mutant is caught by value or by a check", "[.][entmax]") {
  check_mutants(true);
}
