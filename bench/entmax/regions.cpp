#include "bench/entmax/regions.h"

#include "compiler/codegen/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

namespace lacuna::bench {
namespace {

/// Names of functions that an instruction is counted for, by where their text stands.
constexpr std::array counted_functions = {
    "take",       "turn",           "fetch", "distances",   "open_rows", "walk",       "collect",
    "append",     "rise",           "raise", "sweep",       "unload",    "solve",      "add",
    "improve",    "each_candidate", "leave", "leave_group", "mark_keys", "store_rows", "work",
    "start",      "weigh_to",       "step",  "store",       "again",     "score",      "take_row",
    "sift",       "each",           "find",  "narrowed",    "meet",      "found",      "take_slot",
    "clear_bits", "set_key",        "fulls", "begin",       "join",      "tell",       "add_values",
    "finish"};

/// The function that holds a line of a template.
std::string function_at(const std::string& file, int line) {
  static std::map<std::string, std::vector<std::string>> known;
  std::vector<std::string>& names = known[file];
  if (names.empty()) {
    names.emplace_back();
    std::string current;
    for (const codegen::TemplateFile& one : codegen::templates()) {
      if (one.name != file) continue;
      std::size_t at = 0;
      while (at < one.text.size()) {
        const std::size_t end = std::min(one.text.find('\n', at), one.text.size());
        const std::string_view text = one.text.substr(at, end - at);
        at = end + 1;
        if (text.find("LACUNA_MEMBER") != text.npos || text.find("LACUNA_DEVICE") != text.npos) {
          const std::size_t open = text.find('('), space = text.rfind(' ', open);
          if (open != text.npos) current = text.substr(space + 1, open - space - 1);
        }
        names.push_back(current);
      }
    }
  }
  return static_cast<std::size_t>(line) < names.size() ? names[static_cast<std::size_t>(line)] : "";
}

/// "threshold.cuh:88 (inlined at ...": the innermost function that is counted.
std::string region_of(const Statement& statement) {
  const std::string& op = statement.opcode;
  if (op.starts_with("mma")) return "mma";
  if (op.starts_with("ldmatrix") || op.starts_with("cp.async")) return "copy";
  std::string_view rest = statement.source;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(".cuh:");
    if (colon == rest.npos) break;
    const std::size_t begin = rest.find_last_of(" (", colon);
    const std::string file(rest.substr(begin == rest.npos ? 0 : begin + 1,
                                       colon + 4 - (begin == rest.npos ? 0 : begin + 1)));
    int line = 0;
    std::from_chars(rest.data() + colon + 5, rest.data() + rest.size(), line);
    if (file == "lengths.cuh") return "setup";
    const std::string name = function_at(file, line);
    if (file == "machine/sm80.cuh" && name != "row_sum" && name != "row_max") return "copy";
    // A pair of weights is half an operand of a product.
    if (name == "load_keys" || name == "load_queries" || name == "pair") return "copy";
    if (file == "scores.cuh") return "mask";
    for (const char* counted : counted_functions)
      if (name == counted) return name;
    rest.remove_prefix(colon + 5);
  }
  return "setup";
}

bool is_move(const std::string& op) {
  return op.starts_with("mov") || op.starts_with("not.pred") || op == "cvt.u64.u32" ||
         op == "add.s64" || op == "add.u64";
}

}  // namespace

Counted counted(const Counts& counts, double scores) {
  Counted sums;
  for (const auto& [at, statement] : counts) {
    const double each = statement.tally.executions * 32 / scores;
    const std::string region = region_of(statement);
    const bool apart = region == "mma" || region == "copy" || region == "turn" || region == "fetch";
    if (is_move(statement.opcode)) {
      if (!apart) sums.moves += each;
      continue;
    }
    sums.by_region[region] += each;
    if (!apart) sums.rest += each;
  }
  return sums;
}

void print(const char* pass, const Counted& sums) {
  fmt::print("    {:10} rest {:6.2f} (+ moves {:.2f}) |", pass, sums.rest, sums.moves);
  for (const auto& [region, each] : sums.by_region)
    if (each >= 0.005) fmt::print(" {} {:.2f}", region, each);
  fmt::print("\n");
}

void print_lines(const Counts& counts, double scores) {
  std::map<std::string, double> by_line;
  for (const auto& [at, statement] : counts)
    if (!is_move(statement.opcode))
      by_line[region_of(statement) + " < " + statement.source + " " + statement.opcode] +=
          statement.tally.executions * 32 / scores;
  std::vector<std::pair<double, std::string>> lines;
  for (const auto& [line, each] : by_line)
    if (each >= 0.002) lines.emplace_back(-each, line);
  std::sort(lines.begin(), lines.end());
  for (const auto& [each, line] : lines) fmt::print("      {:.3f} {}\n", -each, line);
}

}  // namespace lacuna::bench
