#include "compiler/plan/explain.h"

#include "compiler/codegen/generate.h"
#include "compiler/plan/decided.h"
#include "compiler/plan/lists.h"
#include "compiler/plan/route.h"
#include "runtime/compiler.h"
#include "tools/lacuna/arguments.h"
#include "tools/lacuna/command.h"
#include "tools/lacuna/explain_tiles.h"
#include "tools/lacuna/loops.h"
#include "tools/lacuna/options.h"
#include "tools/lacuna/specs.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::tool {
namespace {

struct ExplainFlags {
  PatternFlags pattern;
  SpecFlags spec;
  TileFlags tiles;
  bool mix = false;
};

/// What only a compiler knows. A machine without NVRTC is told so, not failed: the plan stands
/// without it.
struct Cost {
  int registers = -1, spills = -1;
  std::string unknown;  ///< why
};

Cost cost_of(const plan::Plan& plan, const plan::Pass& pass) {
  try {
    EngineOptions options = EngineOptions::from_environment();
    auto compiler = runtime::open_nvrtc(options.nvrtc_library);
    auto source = codegen::generate(plan, pass, plan.variants.at(0));
    auto artifact =
        compiler->compile(source, {.arch = plan.facts.arch, .format = runtime::Format::cubin});
    return {artifact.registers, artifact.spill_stores + artifact.spill_loads, ""};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable && error.kind() != ErrorKind::unsupported) throw;
    std::string what = error.what();
    return {-1, -1, what.substr(0, what.find('\n'))};
  }
}

Json conjunct_json(const plan::Plan& plan, const plan::Conjunct& conjunct) {
  const plan::Decision spans = plan::decided_by_spans(plan, conjunct);
  return {{"text", conjunct.text},
          {"file", conjunct.where.file},
          {"line", conjunct.where.line},
          {"strategy", plan::name_of(conjunct.taken)},
          {"best", plan::name_of(conjunct.best)},
          {"why", conjunct.why},
          {"decided", spans.decided},
          {"left_open", spans.decided ? "" : spans.why}};
}

void add_passes(const plan::Plan& plan, Report& report) {
  for (const plan::Pass& pass : plan.passes) {
    Cost cost = cost_of(plan, pass);
    const plan::Schedule& schedule = pass.schedule;
    Json json = {{"pass", plan::name_of(pass.kind)},  {"machine", plan::name_of(pass.machine)},
                 {"tile_q", schedule.tile_q},         {"tile_k", schedule.tile_k},
                 {"warps", schedule.warps},           {"stages", schedule.stages},
                 {"shared_bytes", pass.shared_bytes}, {"split", pass.split},
                 {"packed_heads", pass.packed_heads}, {"listed", pass.listed}};
    const std::string name = fmt::format(
        "{}{}", pass.most_keys ? plan::name_of(pass) : std::string(plan::name_of(pass.kind)),
        pass.split    ? " over splits"
        : pass.listed ? " over lists"
                      : "");
    if (cost.unknown.empty()) {
      json["registers"] = cost.registers;
      json["spill_bytes"] = cost.spills;
      report.text += fmt::format("{} on {} by nvrtc: {} registers a thread, {} bytes spilled\n",
                                 name, plan.facts.arch.name(), cost.registers, cost.spills);
    } else {
      json["registers"] = nullptr;
      json["registers_unknown"] = cost.unknown;
      report.text += fmt::format("{}: registers are not known here: {}\n", name, cost.unknown);
    }
    report.json["passes"].push_back(json);
  }
}

/// The commonest instructions of a loop: "208 llvm.fma.f32, 180 fmul.f32, ...".
std::string commonest(const runtime::LoopMix& loop) {
  auto counts = loop.counts;
  std::stable_sort(counts.begin(), counts.end(),
                   [](auto& a, auto& b) { return a.second > b.second; });
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(counts.size(), 8); ++i) {
    text += fmt::format("{}{} {}", i ? ", " : "", counts[i].second, counts[i].first);
  }
  return text;
}

void add_mix(const plan::Plan& plan, Report& report) {
  EngineOptions options = EngineOptions::from_environment();
  auto compiler = runtime::open_llvm(options.llvm_library);
  auto source = codegen::generate(plan, plan.passes.at(0), plan.variants.at(0));
  auto artifact = compiler->compile(source, {.arch = plan.facts.arch, .keep_ir = true});
  report.text += fmt::format("instructions of each loop, without those inside of it, by {}\n",
                             artifact.compiler);
  for (const runtime::LoopMix& loop : artifact.loops) {
    report.json["loops"].push_back(loop_json(loop));
    std::string place = loop.place.empty() ? "outside of loops" : loop.place;
    // Only a trip count that is a number says anything to a reader.
    bool known = loop.trip_count.find_first_not_of("0123456789") == std::string::npos;
    if (!loop.place.empty() && known) place += fmt::format(", {} times", loop.trip_count);
    report.text += fmt::format("{:{}}{}: {}\n", "", 2 + 2 * loop.depth, place, commonest(loop));
  }
}

void add_shape(const plan::Plan& plan, const Shape& shape,
               const std::optional<plan::HeadTiles>& tiles, Json& json) {
  const plan::Route route = plan::route(plan, shape);
  json["route"] = route.decode ? "decode" : route.listed ? "listed" : "plain";
  const bool unlisted = plan::list_reader(plan) && !route.decode && !route.listed;
  json["unlisted_by"] = unlisted ? plan::list_limit(plan, shape) : "";
  json["splits"] = route.splits;
  json["workspace_bytes"] = plan::workspace_bytes(plan, shape, route);
  json["tiles"] = tiles ? tiles_json(*tiles) : Json(nullptr);
}

void add_test(const plan::Plan& plan, Json& json) {
  if (!plan::list_reader(plan)) return;
  const plan::TileTest test = plan::tile_test(plan);
  json["elements"] = {{"tested", test.elements},
                      {"for", test.conjunct},
                      {"why", test.why},
                      {"operations", test.operations},
                      {"visit_flops", test.visit}};
}

Report run_explain(const ExplainFlags& flags, const Terminal&) {
  Pattern pattern = flags.pattern.load();
  TiledCall call(pattern.tree(), flags.tiles);
  plan::Plan plan = call.with(flags.spec).plan(pattern);
  std::optional<Shape> shape = call.shape(parse_extents(flags.spec.shape));
  std::optional<plan::HeadTiles> tiles;
  if (shape) tiles = call.count(plan, *shape);
  Report report;
  report.text = plan::explain(plan, shape, tiles ? &*tiles : nullptr);
  report.json = {{"attention", pattern.name()}, {"digest", pattern.digest()},
                 {"plan", plan.digest},         {"arch", plan.facts.arch.name()},
                 {"conjuncts", Json::array()},  {"passes", Json::array()},
                 {"text", report.text}};
  for (const plan::Conjunct& conjunct : plan.conjuncts)
    report.json["conjuncts"].push_back(conjunct_json(plan, conjunct));
  add_test(plan, report.json);
  if (shape) add_shape(plan, *shape, tiles, report.json);
  add_passes(plan, report);
  if (flags.mix) add_mix(plan, report);
  return report;
}

}  // namespace

void add_explain(CLI::App& app, Invocation& invocation) {
  auto flags = std::make_shared<ExplainFlags>();
  CLI::App* command = add_command(
      app, invocation,
      {"explain", "print the plan of a pattern, as a database prints a query plan",
       "  lacuna explain local.lac\n"
       "  lacuna explain docs.lac --shape H=8,N=8192 --tensor doc=doc.npy --minimum\n"
       "  lacuna explain docs.lac --shape H=8 --tensor doc=doc.npy --cu-seqlens-q cu.npy "
       "--cu-seqlens-k cu.npy\n"
       "  lacuna explain local.lac --shape B=2,H=8,N=4096,D=128 --dtype bf16 --arch sm_90",
       "  'lacuna show' draws the tiles that it speaks of; 'lacuna compile --emit source' has the "
       "code."},
      flags, run_explain);
  flags->pattern.add_to(*command);
  flags->spec.add_to(*command);
  flags->tiles.add_to(*command);
  command->add_flag("--mix", flags->mix,
                    "with the instructions of each loop (needs the llvm compiler)");
}

}  // namespace lacuna::tool
