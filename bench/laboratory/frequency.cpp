#include "bench/laboratory/frequency.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
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
using Key = std::array<long long, 3>;
Key key_of(const Fit::Cost& cost) {
  return {std::llround(cost.full * 1024), std::llround(cost.partial * 1024),
          std::llround(cost.dead * 1024)};
}

struct Pair {
  std::string_view sass, ptx;
};
constexpr Pair one_to_one[] = {
    {"HMMA", "mma"},     {"LDSM", "ldmatrix"}, {"LDGSTS.E.BYPASS", "cp.async.cg"},
    {"MUFU.EX2", "ex2"}, {"SHFL", "shfl"},     {"BAR", "bar.sync"}};

/// A PTX line: what its statements cost, and how many copies of each stand in the machine code.
struct Line {
  Fit::Cost cost;
  double copies = 1;
};
using Lines = std::map<int, Line>;

bool is_one_to_one(std::string_view opcode, std::string_view Pair::*side) {
  return std::any_of(std::begin(one_to_one), std::end(one_to_one),
                     [&](const Pair& pair) { return opcode.starts_with(pair.*side); });
}

/// Copies of the lines that say so themselves.
std::map<int, double> counted_copies(const std::vector<SassBlock>& blocks,
                                     const std::vector<StatementCost>& statements) {
  std::map<int, double> in_ptx, copies;
  for (const StatementCost& one : statements)
    if (is_one_to_one(one.opcode, &Pair::ptx)) ++in_ptx[one.line];
  for (const SassBlock& block : blocks)
    for (const SassInstruction& one : block.code)
      if (is_one_to_one(one.opcode, &Pair::sass) && in_ptx.count(one.ptx_line) != 0)
        copies[one.ptx_line] += 1 / in_ptx[one.ptx_line];
  return copies;
}

Lines lines_of(const std::vector<SassBlock>& blocks, const std::vector<StatementCost>& statements) {
  constexpr Causes anything{.full = 1, .partial = 1, .dead = 1};
  Lines lines;
  for (const StatementCost& one : statements) {
    const auto [line, first] = lines.try_emplace(one.line);
    Fit::Cost& cost = line->second.cost;
    if (first || one.executions.of(anything) > cost.of(anything)) cost = one.executions;
  }
  const std::map<int, double> counted = counted_copies(blocks, statements);
  std::map<Key, std::map<double, int>> votes;  // what most of the lines of one cost say
  for (const auto& [line, copies] : counted) ++votes[key_of(lines[line].cost)][copies];
  for (auto& [number, line] : lines) {
    const auto own = counted.find(number);
    const auto alike = votes.find(key_of(line.cost));
    if (own != counted.end())
      line.copies = own->second;
    else if (alike != votes.end())
      line.copies =
          std::max_element(alike->second.begin(), alike->second.end(), [](auto& a, auto& b) {
            return a.second < b.second;
          })->first;
  }
  return lines;
}

Fit::Cost cost_of(const SassBlock& block, const Lines& lines) {
  struct Votes {
    int weight = 0;
    Fit::Cost cost;
  };
  std::map<Key, Votes> votes;
  if (block.slow_path) return {};
  for (const SassInstruction& one : block.code) {
    if (one.ptx_line == 0) continue;
    const auto found = lines.find(one.ptx_line);
    const Line line = found == lines.end() ? Line{} : found->second;  // never executed
    const Fit::Cost cost = {line.cost.cta / line.copies, line.cost.full / line.copies,
                            line.cost.partial / line.copies, line.cost.dead / line.copies};
    Votes& mine = votes[key_of(cost)];
    mine.weight += is_fixed(one) ? weight_of_fixed : 1;
    mine.cost = cost;
  }
  Votes best;
  for (const auto& [key, mine] : votes)
    if (mine.weight > best.weight) best = mine;
  return best.cost;
}

std::string differ(const Pair& pair, std::string_view piece, double ptx, double sass) {
  if (std::abs(ptx - sass) <= 0.005 * std::max(ptx, sass) + 1e-6) return "";
  return fmt::format("a {} executes {:.2f} {} in PTX and {:.2f} {} in SASS", piece, ptx, pair.ptx,
                     sass, pair.sass);
}

}  // namespace

std::vector<Fit::Cost> block_costs(const std::vector<SassBlock>& blocks,
                                   const std::vector<StatementCost>& statements) {
  const Lines lines = lines_of(blocks, statements);
  std::vector<Fit::Cost> costs;
  for (const SassBlock& block : blocks) costs.push_back(cost_of(block, lines));
  return costs;
}

std::vector<std::string> imbalances(const std::vector<SassBlock>& blocks,
                                    const std::vector<Fit::Cost>& costs,
                                    const std::vector<StatementCost>& statements,
                                    const std::vector<Piece>& pieces) {
  std::vector<std::string> all;
  for (const Pair& pair : one_to_one)
    for (const auto& [piece, causes] : pieces) {
      double ptx = 0, sass = 0;
      for (const StatementCost& one : statements)
        if (one.opcode.starts_with(pair.ptx)) ptx += one.executions.of(causes);
      for (std::size_t b = 0; b < blocks.size(); ++b)
        for (const SassInstruction& one : blocks[b].code)
          if (one.opcode.starts_with(pair.sass)) sass += costs[b].of(causes);
      if (std::string sentence = differ(pair, piece, ptx, sass); !sentence.empty())
        all.push_back(std::move(sentence));
    }
  return all;
}

}  // namespace lacuna::bench
