// What entmax costs a score of a visited tile: warp-instructions x 32 of the PTX that NVRTC makes
// for sm_80, executed and counted on the host device, slow paths included. Causal, one head. A
// count, never a time.
#include "compiler/plan/entmax.h"
#include "compiler/plan/materialise.h"
#include "compiler/plan/route.h"
#include "runtime/program.h"
#include "tools/lacuna/array.h"

#include "bench/entmax/cases.h"
#include "bench/entmax/passes.h"
#include "bench/entmax/regions.h"
#include "bench/laboratory/trace.h"
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lacuna::bench {
namespace {

using runtime::Entmax;
using runtime::Lists;

/// A model of adasplash 0.2.1, read from its code and never run: static instructions of a score in
/// its passes over K, products and copies apart. Alpha 1.5 (its second version, one refinement
/// asked for): row maximum 1, histogram 11, two refinements of 6. Others (its first version, ten):
/// maximum 1, ten of 6, a mask 1. Then 6.5 of a score of a live tile. Its live tiles are its own;
/// here they count as ours.
void print_model(const Case& c, double live) {
  const bool second = c.alpha == 1.5;
  const double dense = second ? 1 + 11 + 2 * 6 : 1 + 10 * 6 + 1;
  fmt::print(
      "    model of adasplash 0.2.1, not measured: {} passes over K; {:.0f} of a score, then 6.5 "
      "of "
      "one of a live tile: {:.2f} of a visited score in all\n",
      second ? 5 : 13, dense, dense + 6.5 * live);
}

void run(EngineState& engine, const Case& c, bool lines = false) {
  const Operands drawn = draw({c.scores, c.sigma, c.keys, c.head_dim, 1});
  const auto depth = static_cast<std::int64_t>(c.head_dim);
  std::vector<std::uint16_t> q = bf16_of(drawn.q), k = bf16_of(drawn.k), v = k,
                             o(static_cast<std::size_t>(c.queries * depth)), escort = o;
  const auto rows = [&](std::vector<std::uint16_t>& x, std::int64_t first, std::int64_t count) {
    return TensorView::contiguous(x.data() + first * depth, DType::bf16, {1, 1, count, depth});
  };
  std::vector<float> zmax(static_cast<std::size_t>(c.queries)), gap = zmax;
  const Spec spec{
      .pattern = Pattern::parse(fmt::format(
          "attention a {{\n  mask causal\n{}  weights entmax({})\n}}\n", score_of(c), c.alpha)),
      .head_dim = c.head_dim,
      .value_dim = c.head_dim,
      .statistic = c.statistic,
      .escort = c.escort};
  const auto planned = runtime::planned_for(engine, spec);
  Args args{.q = rows(q, c.keys - c.queries, c.queries),
            .k = rows(k, 0, c.keys),
            .v = rows(v, 0, c.keys),
            .o = rows(o, 0, c.queries)};
  if (c.statistic) {
    args.zmax = TensorView::contiguous(zmax.data(), DType::f32, {1, 1, c.queries});
    args.gap = TensorView::contiguous(gap.data(), DType::f32, {1, 1, c.queries});
  }
  if (c.escort) args.escort = rows(escort, 0, c.queries);
  const ir::Call call = ir::bind(spec, args);

  Trace trace;
  const auto watched = runtime::host::open_host({.threads = 1, .observe = trace.observer()});
  const auto plain = runtime::host::open_host({});
  const auto load = [&](std::size_t pass, const runtime::Device& device) {
    runtime::Compiled compiled = runtime::compiled_for(engine, *planned, pass, {});
    return runtime::Loaded{compiled.pass, device.load(compiled.artifact)};
  };
  const runtime::Loaded threshold = load(0, *watched), live_tiles = load(1, *plain),
                        accumulate = load(2, *watched);
  const plan::EntmaxLayout layout = plan::entmax_layout(
      planned->plan, threshold.pass, accumulate.pass, call.shape, c.statistic, 0);
  std::vector<std::uint64_t> memory(layout.bytes / 8 + 2);
  const auto words = [&](std::uint64_t at) {
    return TensorView::contiguous(reinterpret_cast<std::byte*>(memory.data()) + at, DType::i32,
                                  {static_cast<std::int64_t>((layout.bytes - at) / 4)});
  };
  const Entmax entmax{layout, words(0)};
  runtime::launch(engine, *planned, threshold, args, call, entmax, {}, nullptr, nullptr);
  const Counts of_threshold = trace.take();
  const double off = c.statistic ? gap_off(c, q, k, zmax, gap) : 0;
  for (const TilePhase phase : {TilePhase::order_rows, TilePhase::fill_rows}) {
    const Lists making{layout.live, words(layout.live_at), phase};
    runtime::launch(engine, *planned, live_tiles, args, call, runtime::Splits{}, {}, nullptr,
                    &making);
  }
  const Lists reading{layout.live, words(layout.live_at)};
  runtime::launch(engine, *planned, accumulate, args, call, entmax, {}, nullptr, &reading);
  const Counts of_accumulate = trace.take();

  const double tile_q = threshold.pass.schedule.tile_q, tile_k = threshold.pass.schedule.tile_k;
  double visited = 0;
  for (double first = 0; first < double(c.queries); first += tile_q)
    visited += std::ceil((double(c.keys - c.queries) + first + tile_q) / tile_k);
  const auto* offsets = reinterpret_cast<const std::int32_t*>(words(layout.live_at).data) +
                        layout.live.row_offsets.at / 4;
  const double live = offsets[2 * layout.live.rows];
  const plan::Schedule& s = accumulate.pass.schedule;
  fmt::print("{:10} n {:6} D {:3} sigma {:4} alpha {:5}{}{}: live tiles {:.3f}, {}\n",
             name_of(c.scores), c.keys, c.head_dim, c.sigma, c.alpha,
             c.cap > 0 ? fmt::format(" softcap {}", c.cap) : "",
             c.escort ? fmt::format(" escort, accumulate {}", s.name()) : "",
             live * s.tile_q * s.tile_k / (visited * tile_q * tile_k),
             c.statistic ? fmt::format("gap off by {:.1e}", off) : "no statistic");
  print("threshold", counted(of_threshold, visited * tile_q * tile_k));
  if (lines) print_lines(of_threshold, visited * tile_q * tile_k);
  print("accumulate", counted(of_accumulate, live * s.tile_q * s.tile_k));
  print_model(c, live * s.tile_q * s.tile_k / (visited * tile_q * tile_k));
  std::fflush(stdout);
}

/// Few queries: the last one, of heads that share K and V, by materialise and gather. A score is a
/// row's of a key.
void run_few(EngineState& engine, const Case& c, std::int64_t heads) {
  const Operands drawn = draw({c.scores, c.sigma, c.keys, c.head_dim, 1});
  const auto depth = static_cast<std::int64_t>(c.head_dim);
  std::vector<std::uint16_t> q = bf16_of(drawn.q), k = bf16_of(drawn.k), v = k,
                             o(static_cast<std::size_t>(heads * depth));
  const Spec spec{.pattern = Pattern::parse(fmt::format(
                      "attention a {{\n  mask causal\n  weights entmax({})\n}}\n", c.alpha)),
                  .head_dim = c.head_dim,
                  .value_dim = c.head_dim};
  const auto planned = runtime::planned_for(engine, spec);
  const auto view = [&](std::vector<std::uint16_t>& x, std::int64_t first, std::int64_t of,
                        std::int64_t rows) {
    return TensorView::contiguous(x.data() + first * depth, DType::bf16, {1, of, rows, depth});
  };
  const Args args{.q = view(q, c.keys - heads, heads, 1),
                  .k = view(k, 0, 1, c.keys),
                  .v = view(v, 0, 1, c.keys),
                  .o = view(o, 0, heads, 1)};
  const ir::Call call = ir::bind(spec, args);
  const plan::Route route = plan::route(planned->plan, call.shape);
  const plan::CandidateLayout layout =
      plan::candidate_layout(planned->plan, call.shape, route.splits);
  std::vector<std::uint64_t> memory(layout.bytes / 8 + 2);
  const runtime::Candidates candidates{
      layout, route.splits,
      TensorView::contiguous(memory.data(), DType::i32,
                             {static_cast<std::int64_t>(layout.bytes / 4)})};
  Trace trace;
  const auto watched = runtime::host::open_host({.threads = 1, .observe = trace.observer()});
  const double scores = static_cast<double>(heads * c.keys);
  std::map<std::string, Counted> passes;
  double kept = 0;
  for (const std::size_t pass : plan::passes_of(planned->plan, route)) {
    const runtime::Compiled compiled = runtime::compiled_for(engine, *planned, pass, {});
    const runtime::Loaded loaded{compiled.pass, watched->load(compiled.artifact)};
    runtime::launch(engine, *planned, loaded, args, call, candidates, {}, nullptr);
    passes[std::string(plan::name_of(compiled.pass.kind))] = counted(trace.take(), scores);
  }
  const auto* found = reinterpret_cast<const std::int32_t*>(memory.data());
  for (std::int64_t i = 0; i < heads * route.splits; ++i) kept += found[4 * i + 2];
  fmt::print("{:10} n {:6} D {:3} sigma {:4} alpha {:5}: {} heads, {} splits, {:.4f} candidates\n",
             name_of(c.scores), c.keys, c.head_dim, c.sigma, c.alpha, heads, route.splits,
             kept / scores);
  for (const auto& [name, sums] : passes) print(name.c_str(), sums);
  std::fflush(stdout);
}

/// Short rows: all queries of a causal head, in one launch. A score is one of the tiles of keys
/// that the mask leaves.
void run_short(EngineState& engine, const Case& c) {
  const Operands drawn = draw({c.scores, c.sigma, c.keys, c.head_dim, 1});
  const auto depth = static_cast<std::int64_t>(c.head_dim);
  std::vector<std::uint16_t> q = bf16_of(drawn.q), k = bf16_of(drawn.k), v = k, o(q.size());
  const Spec spec{.pattern = Pattern::parse(fmt::format(
                      "attention a {{\n  mask causal\n  weights entmax({})\n}}\n", c.alpha)),
                  .head_dim = c.head_dim,
                  .value_dim = c.head_dim};
  const auto planned = runtime::planned_for(engine, spec);
  const auto view = [&](std::vector<std::uint16_t>& x) {
    return TensorView::contiguous(x.data(), DType::bf16, {1, 1, c.keys, depth});
  };
  const Args args{.q = view(q), .k = view(k), .v = view(v), .o = view(o)};
  const ir::Call call = ir::bind(spec, args);
  const std::vector<plan::Pass>& passes = planned->plan.passes;
  const auto found = std::find_if(passes.begin(), passes.end(), [&](const plan::Pass& pass) {
    return pass.kind == plan::PassKind::short_rows && c.keys <= pass.most_keys;
  });
  if (found == passes.end()) return;
  Trace trace;
  const auto watched = runtime::host::open_host({.threads = 1, .observe = trace.observer()});
  const runtime::Compiled compiled =
      runtime::compiled_for(engine, *planned, static_cast<std::size_t>(found - passes.begin()), {});
  const runtime::Loaded loaded{compiled.pass, watched->load(compiled.artifact)};
  runtime::launch(engine, *planned, loaded, args, call, {}, nullptr);
  const plan::Schedule& s = compiled.pass.schedule;
  double visited = 0;
  for (std::int64_t first = 0; first < c.keys; first += s.tile_q)
    visited += std::ceil(double(std::min<std::int64_t>(first + s.tile_q, c.keys)) / s.tile_k);
  print(plan::name_of(compiled.pass).c_str(), counted(trace.take(), visited * s.tile_q * s.tile_k));
  std::fflush(stdout);
}

std::shared_ptr<EngineState> open(const std::string& schedule = "") {
  EngineOptions options = EngineOptions::from_environment();
  options.device = DeviceKind::host;
  options.compiler = CompilerKind::nvrtc;
  if (!schedule.empty()) options.schedule = schedule;
  return runtime::open_engine(options, {.nvrtc_on_host = true, .unchecked = true});
}

void sweep(EngineState& engine, std::int64_t keys, std::int64_t queries, int depth, double sigma,
           double alpha) {
  for (const Scores scores : {Scores::iid, Scores::clustered, Scores::local, Scores::correlated})
    run(engine, {scores, keys, queries, depth, sigma, alpha});
}

const CLI::Range lengths(1, 1 << 22), head_dims(8, 256), sigmas(1e-6, 1e6), alphas(1.01, 2.0);

void run_quick() {
  const auto engine = open();
  for (const std::int64_t keys : {8192, 32768})
    for (const Scores scores : {Scores::iid, Scores::clustered})
      run(*engine, {scores, keys, keys == 8192 ? 1024 : 256, 64, 1, 1.5});
}

void run_all() {
  const auto engine = open();
  for (const int depth : {64, 128}) {
    sweep(*engine, 8192, 8192, depth, 1, 1.5);
    sweep(*engine, 32768, 1024, depth, 1, 1.5);
  }
  for (const double sigma : {0.25, 0.5, 2.0, 4.0}) sweep(*engine, 8192, 1024, 64, sigma, 1.5);
  for (const double alpha : {1.25, 4.0 / 3, 1.7, 2.0}) sweep(*engine, 8192, 1024, 64, 1, alpha);
}

void run_flat(std::int64_t keys, int depth) {
  const auto engine = open();
  for (const double alpha : {1.25, 1.5, 2.0})
    for (const double sigma : {0.05, 0.25, 0.5, 1.0, 2.0, 4.0})
      run(*engine, {Scores::iid, keys, 256, depth, sigma, alpha});
}

void run_softcap() {
  const auto engine = open();
  for (const float cap : {0.0f, 30.0f}) run(*engine, {Scores::iid, 8192, 256, 64, 0.05, 1.5, cap});
  for (const int depth : {64, 128})
    for (const std::int64_t keys : {8192, 32768})
      for (const Scores scores : {Scores::iid, Scores::clustered})
        for (const float cap : {0.0f, 5.0f, 30.0f, 50.0f})
          if (depth == 64 || cap == 0 || cap == 30)
            run(*engine, {scores, keys, keys == 8192 ? 1024 : 256, depth, 1, 1.5, cap});
}

void run_escort() {
  const auto engine = open();
  for (const int depth : {64, 128}) {
    // Where a warp has 32 rows the escort takes a walk of its own.
    const auto twice = open(depth == 64 ? "128x64w4s4" : "128x32w4s4");
    for (const Scores scores : {Scores::iid, Scores::clustered}) {
      Case c{scores, 8192, 1024, depth, 1, 1.5};
      c.statistic = false;
      run(*engine, c);
      c.statistic = true;
      run(*engine, c);
      c.escort = true;
      run(*twice, c);
      run(*engine, c);
    }
  }
}

void run_few_queries() {
  const auto engine = open();
  for (const int depth : {64, 128})
    for (const double sigma : {1.0, 0.05})
      for (const Scores scores : {Scores::iid, Scores::clustered})
        for (const std::int64_t heads : {8, 16})
          run_few(*engine, {scores, 32768, 1, depth, sigma, 1.5}, heads);
}

void run_short_rows() {
  const auto engine = open();
  for (const std::int64_t keys : {256, 512, 1024, 2048})
    for (const double sigma : {1.0, 0.25})
      for (const Scores scores : {Scores::iid, Scores::clustered}) {
        const Case c{scores, keys, keys, 64, sigma, 1.5};
        run(*engine, c);
        run_short(*engine, c);
      }
}

void add_one(CLI::App& app, std::string& scores, Case& c, bool& lines) {
  std::map<std::string, Scores> names;
  for (const Scores each : all_scores) names.emplace(name_of(each), each);
  CLI::App* one = app.add_subcommand("one", "one setting");
  one->add_option("SCORES", scores, "how scores are distributed")
      ->required()
      ->check(CLI::IsMember(names));
  one->add_option("KEYS", c.keys)->required()->check(lengths);
  one->add_option("QUERIES", c.queries, "the last ones")->required()->check(lengths);
  one->add_option("D", c.head_dim)->required()->check(head_dims);
  one->add_option("SIGMA", c.sigma, "deviation of the scores")->required()->check(sigmas);
  one->add_option("ALPHA", c.alpha)->required()->check(alphas);
  one->add_flag("!--no-statistic", c.statistic, "as inference, which stores no gaps");
  one->add_flag("--lines", lines, "also the lines that take most");
  one->callback([&, names] {
    c.scores = names.at(scores);
    if (!(c.sigma > 0)) throw CLI::ValidationError("SIGMA", "is no number");
    if (c.queries > c.keys)
      throw CLI::ValidationError(
          "QUERIES", fmt::format("{}, expected no more than the {} keys", c.queries, c.keys));
    run(*open(), c, lines);
  });
}

void add_passes(CLI::App& app, std::string& which, std::uint64_t& seed, bool& f16) {
  CLI::App* passes = app.add_subcommand("passes", "how often calls walk K, and what they find");
  passes->add_option("WHICH", which, "settings: all, quick, or flat, some of whose rows are")
      ->capture_default_str()
      ->check(CLI::IsMember({"all", "quick", "flat"}));
  passes->add_option("SEED", seed)->capture_default_str()->check(CLI::Range(0.0, 1e18));
  passes->add_flag("--f16", f16, "in place of bf16");
  passes->callback([&] { print_passes(*open(), which, seed, f16); });
}

}  // namespace
}  // namespace lacuna::bench

int main(int argc, char** argv) {
  using namespace lacuna;
  CLI::App app("What entmax costs, counted on the host device in the PTX that NVRTC makes.");
  app.require_subcommand(0, 1);
  app.add_subcommand("quick", "four settings")->callback(bench::run_quick);
  app.add_subcommand("all", "distributions, lengths, sigmas and alphas")->callback(bench::run_all);
  app.add_subcommand("softcap", "scores with a cap")->callback(bench::run_softcap);
  app.add_subcommand("escort", "what the statistic and the escort cost accumulate")
      ->callback(bench::run_escort);
  app.add_subcommand("few", "few queries")->callback(bench::run_few_queries);
  app.add_subcommand("short", "short rows")->callback(bench::run_short_rows);
  std::int64_t keys = 8192;
  int depth = 64;
  CLI::App* flat = app.add_subcommand("flat", "rows that are flat, and some that are not");
  flat->add_option("KEYS", keys)->capture_default_str()->check(CLI::Range(256, 1 << 22));
  flat->add_option("D", depth)->capture_default_str()->check(bench::head_dims);
  flat->callback([&] { bench::run_flat(keys, depth); });
  bench::Case one{};
  bool lines = false, f16 = false;
  std::string scores, which = "all";
  bench::add_one(app, scores, one, lines);
  std::uint64_t seed = 1;
  bench::add_passes(app, which, seed, f16);
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) throw CLI::CallForHelp();
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_entmax: {}\n", error.what());
    return 1;
  }
}
