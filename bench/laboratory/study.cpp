#include "bench/laboratory/study.h"

#include "compiler/codegen/generate.h"
#include "runtime/clock.h"

#include "bench/laboratory/frequency.h"
#include "bench/laboratory/launches.h"
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace lacuna::bench {
namespace {

constexpr double warp_size = 32;

/// What the launches say about one statement.
struct Measured {
  int line = 0;
  std::string opcode, source;
  Fit::Cost executions, wavefronts, least_wavefronts, sectors, least_sectors;
};

std::vector<Measured> measure(const std::vector<Launched>& launches, const Fit& fit) {
  std::map<std::ptrdiff_t, const Statement*> all;
  for (const Launched& one : launches)
    for (const auto& [at, statement] : one.counts) all.emplace(at, &statement);
  std::vector<Measured> measured;
  for (const auto& [at, statement] : all) {
    const auto solve = [&, at = at](double Tally::*what) {
      std::vector<double> counts;
      for (const Launched& one : launches) {
        const auto found = one.counts.find(at);
        counts.push_back(found == one.counts.end() ? 0 : found->second.tally.*what);
      }
      return fit.solve(counts);
    };
    measured.push_back({statement->line, statement->opcode, statement->source,
                        solve(&Tally::executions), solve(&Tally::wavefronts),
                        solve(&Tally::least_wavefronts), solve(&Tally::sectors),
                        solve(&Tally::least_sectors)});
  }
  return measured;
}

/// How far the launches are from what the fit makes of them, all instructions together.
double residual(const std::vector<Launched>& launches, const Fit& fit) {
  std::vector<double> totals;
  for (const Launched& one : launches) {
    double total = 0;
    for (const auto& [at, statement] : one.counts) total += statement.tally.executions;
    totals.push_back(total);
  }
  const Fit::Cost cost = fit.solve(totals);
  double worst = 0;
  for (std::size_t k = 0; k < launches.size(); ++k) {
    const double fitted = cost.of(launches[k].causes);
    worst = std::max(worst, std::abs(fitted - totals[k]) / totals[k]);
  }
  return worst;
}

/// Everything that the launches of one kind of scores say.
struct Measurement {
  bool knows_full, knows_partial, knows_dead;
  double residual;
  std::vector<Measured> statements;
};
Measurement execute(const Subject& subject, const runtime::Planned& planned,
                    const runtime::Artifact& ptx, Scores scores) {
  const std::vector<Launched> launches =
      launch_all(subject, planned, ptx, scores, mixtures(planned.plan.passes[0].schedule));
  std::vector<Causes> causes;
  for (const Launched& one : launches) causes.push_back(one.causes);
  const Fit fit(causes);
  return {fit.knows_full(), fit.knows_partial(), fit.knows_dead(), residual(launches, fit),
          measure(launches, fit)};
}

Mix sass_mix(const std::vector<SassBlock>& blocks, const std::vector<Fit::Cost>& costs,
             const Causes& piece, double scores) {
  Mix mix;
  for (std::size_t b = 0; b < blocks.size(); ++b)
    for (const SassInstruction& one : blocks[b].code)
      mix[one.kind] += costs[b].of(piece) * warp_size / scores;
  return mix;
}

/// On machine/fma the products are multiply-adds like any others; their number is known.
void name_products(Mix& mix, const Study& study, const Causes& piece) {
  if (study.machine != "fma" || piece.dead != 0) return;
  const double products = study.spec.head_dim + study.spec.value_dim;
  mix[Class::real] -= products;
  mix[Class::product] += products;
}

std::string without_blanks(std::string_view text) {
  std::string kept;
  for (const char c : text)
    if (static_cast<unsigned char>(c) > ' ') kept += c;
  return kept;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

/// The line numbers that ptxas noted are of the PTX that was executed.
std::string different_ptx(const std::string& embedded, const std::string& executed,
                          const std::vector<Measured>& measured) {
  const auto theirs = lines_of(embedded), ours = lines_of(executed);
  for (const Measured& one : measured) {
    const auto k = static_cast<std::size_t>(one.line) - 1;
    if (k >= theirs.size() || k >= ours.size() ||
        without_blanks(theirs[k]) != without_blanks(ours[k]))
      return fmt::format("line {} of the cubin's PTX is not the one that was executed", one.line);
  }
  return "";
}

std::vector<StatementCost> statement_costs(const std::vector<Measured>& measured) {
  std::vector<StatementCost> costs;
  for (const Measured& one : measured) costs.push_back({one.line, one.opcode, one.executions});
  return costs;
}

constexpr Causes full_tile{.full = 1}, partial_tile{.partial = 1};
/// Its share of a PARTIAL tile, less what it saves.
Causes dead_warp(const Study& study) {
  return {.partial = 1.0 / study.schedule.warps, .dead = 1};
}

/// Turns a measurement into the costs of tiles, with machine code where there is some.
class Tiles {
 public:
  Tiles(const Study& study, const Measurement& measurement, const std::vector<SassBlock>& blocks)
      : study_(study),
        measurement_(measurement),
        blocks_(blocks),
        costs_(block_costs(blocks, statement_costs(measurement.statements))) {}

  TileCost of(const Causes& piece) const {
    const double scores = scores_of(piece);
    TileCost cost;
    for (const Measured& one : measurement_.statements) {
      cost.ptx[class_of_ptx(one.opcode)] += one.executions.of(piece) * warp_size / scores;
      cost.wavefronts += one.wavefronts.of(piece);
      cost.least_wavefronts += one.least_wavefronts.of(piece);
      cost.sectors += one.sectors.of(piece);
      cost.least_sectors += one.least_sectors.of(piece);
    }
    name_products(cost.ptx, study_, piece);
    if (blocks_.empty()) return cost;
    cost.sass = sass_mix(blocks_, costs_, piece, scores);
    name_products(*cost.sass, study_, piece);
    return cost;
  }

  /// The same machine code by the source line that it came from, without products.
  std::map<std::string, Mix> by_source(const Causes& piece) const {
    std::map<int, std::string> sources;
    for (const Measured& one : measurement_.statements) sources[one.line] = one.source;
    std::map<std::string, Mix> mixes;
    const double scores = scores_of(piece);
    for (std::size_t b = 0; b < blocks_.size(); ++b)
      for (const SassInstruction& one : blocks_[b].code)
        if (const double times = costs_[b].of(piece); times != 0)
          mixes[sources[one.ptx_line]][one.kind] += times * warp_size / scores;
    return mixes;
  }

  std::vector<std::string> doubts() const {
    std::vector<std::string> all;
    if (measurement_.residual > 0.01)
      all.push_back(
          fmt::format("CTAs, tiles and dead warps explain the instructions of a launch "
                      "but for {:.1f} %",
                      100 * measurement_.residual));
    if (blocks_.empty()) return all;
    const std::vector<StatementCost> statements = statement_costs(measurement_.statements);
    std::vector<Piece> pieces = {{"FULL tile", full_tile}, {"PARTIAL tile", partial_tile}};
    if (measurement_.knows_dead) pieces.push_back({"dead warp", dead_warp(study_)});
    for (std::string& doubt : imbalances(blocks_, costs_, statements, pieces))
      all.push_back(std::move(doubt));
    return all;
  }

 private:
  double scores_of(const Causes& piece) const {
    return study_.scores_per_lane * study_.cta.threads * (piece.full + piece.partial);
  }

  const Study& study_;
  const Measurement& measurement_;
  const std::vector<SassBlock>& blocks_;
  std::vector<Fit::Cost> costs_;
};

}  // namespace

double least_instructions(const Spec& spec, const plan::Schedule& schedule) {
  return 4.5 + static_cast<double>(spec.value_dim) / schedule.tile_k;
}

Study study(const Subject& subject, const runtime::Compiler& nvrtc,
            const Disassembler* disassembler) {
  const Spec& spec = subject.spec;
  const runtime::Planned planned{
      .plan = plan::plan(spec, {.arch = subject.arch, .schedule = subject.schedule}),
      .layout = codegen::param_layout(spec.pattern.tree())};
  const plan::Pass& pass = planned.plan.passes[0];
  const codegen::Source source = codegen::generate(planned.plan, pass, {.aligned = true});
  const auto compile = [&](runtime::Format format) {
    return nvrtc.compile(source, {.arch = subject.arch, .format = format});
  };
  const runtime::Artifact ptx = compile(runtime::Format::ptx);
  const runtime::Clock clock;
  const runtime::Artifact cubin = compile(runtime::Format::cubin);
  Study study{.attention = spec.pattern.name(),
              .machine = std::string(name_of(pass.machine)),
              .spec = spec,
              .arch = subject.arch,
              .schedule = pass.schedule,
              .cta = {cubin.registers, cubin.shared_bytes, cubin.threads},
              .spilled_bytes = cubin.spill_stores + cubin.spill_loads,
              .compile_ms = clock.milliseconds()};
  study.occupancy = occupancy(study.cta, study.arch);
  study.scores_per_lane = double(pass.schedule.tile_q) * pass.schedule.tile_k / pass.threads();
  study.least = least_instructions(spec, pass.schedule);

  std::vector<SassBlock> blocks;
  if (disassembler != nullptr) blocks = parse_sass(disassembler->disassemble(cubin.payload));
  for (const SassBlock& block : blocks) study.instructions += static_cast<int>(block.code.size());
  const Measurement rising = execute(subject, planned, ptx, Scores::rising),
                    settled = execute(subject, planned, ptx, Scores::settled);
  const Tiles tiles(study, rising, blocks);
  if (rising.knows_full) study.full = tiles.of(full_tile);
  if (rising.knows_partial) study.partial = tiles.of(partial_tile);
  if (rising.knows_dead) study.dead = tiles.of(dead_warp(study));
  if (settled.knows_full) study.settled = Tiles(study, settled, blocks).of(full_tile);
  study.by_source = tiles.by_source(study.full ? full_tile : partial_tile);
  study.doubts = tiles.doubts();
  if (const std::string other =
          different_ptx(embedded_ptx(cubin.payload), ptx.payload, rising.statements);
      !other.empty())
    study.doubts.push_back(other);
  return study;
}

}  // namespace lacuna::bench
