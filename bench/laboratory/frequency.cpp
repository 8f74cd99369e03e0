#include "bench/laboratory/frequency.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lacuna::bench {
namespace {

constexpr int weight_of_fixed = 8;

bool is_fixed(const SassInstruction& one) {
  switch (one.kind) {
    case Class::product:
    case Class::matrix:
    case Class::async:
    case Class::shared:
    case Class::exchange:
    case Class::barrier:
      return true;
    case Class::memory:
      return !one.opcode.starts_with("LDC");
    default:
      return false;
  }
}

/// Fits are exact up to rounding: equal costs get equal keys.
std::pair<long long, long long> key_of(const Fit::Cost& cost) {
  return {std::llround(cost.full * 1024), std::llround(cost.partial * 1024)};
}

Fit::Cost cost_of(const SassBlock& block, const LineCosts& lines) {
  struct Votes {
    int weight = 0;
    Fit::Cost cost;
  };
  std::map<std::pair<long long, long long>, Votes> votes;
  if (block.slow_path) return {};
  for (const SassInstruction& one : block.code) {
    if (one.ptx_line == 0) continue;
    const auto found = lines.find(one.ptx_line);
    const Fit::Cost cost = found == lines.end() ? Fit::Cost{} : found->second;  // never executed
    Votes& mine = votes[key_of(cost)];
    mine.weight += is_fixed(one) ? weight_of_fixed : 1;
    mine.cost = cost;
  }
  Votes best;
  for (const auto& [key, mine] : votes)
    if (mine.weight > best.weight) best = mine;
  return best.cost;
}

struct Pair {
  std::string_view sass, ptx;
};
constexpr Pair one_to_one[] = {
    {"HMMA", "mma"},     {"LDSM", "ldmatrix"}, {"LDGSTS.E.BYPASS", "cp.async.cg"},
    {"MUFU.EX2", "ex2"}, {"SHFL", "shfl"},     {"BAR", "bar.sync"}};

std::string differ(const Pair& pair, std::string_view tile, double ptx, double sass) {
  if (std::abs(ptx - sass) <= 0.005 * std::max(ptx, sass) + 1e-6) return "";
  return fmt::format("a {} tile executes {:.2f} {} in PTX and {:.2f} {} in SASS", tile, ptx,
                     pair.ptx, sass, pair.sass);
}

}  // namespace

std::vector<Fit::Cost> block_costs(const std::vector<SassBlock>& blocks, const LineCosts& lines) {
  std::vector<Fit::Cost> costs;
  for (const SassBlock& block : blocks) costs.push_back(cost_of(block, lines));
  return costs;
}

std::vector<std::string> imbalances(const std::vector<SassBlock>& blocks,
                                    const std::vector<Fit::Cost>& costs,
                                    const std::vector<StatementCost>& statements) {
  std::vector<std::string> all;
  for (const Pair& pair : one_to_one) {
    Fit::Cost ptx, sass;
    for (const StatementCost& one : statements) {
      if (!one.opcode.starts_with(pair.ptx)) continue;
      ptx.full += one.executions.full;
      ptx.partial += one.executions.partial;
    }
    for (std::size_t b = 0; b < blocks.size(); ++b)
      for (const SassInstruction& one : blocks[b].code) {
        if (!one.opcode.starts_with(pair.sass)) continue;
        sass.full += costs[b].full;
        sass.partial += costs[b].partial;
      }
    for (const std::string& sentence : {differ(pair, "FULL", ptx.full, sass.full),
                                        differ(pair, "PARTIAL", ptx.partial, sass.partial)})
      if (!sentence.empty()) all.push_back(sentence);
  }
  return all;
}

}  // namespace lacuna::bench
