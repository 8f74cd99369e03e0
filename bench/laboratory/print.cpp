#include "bench/laboratory/print.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace lacuna::bench {
namespace {

using Json = nlohmann::ordered_json;

/// Two decimals, and no -0.00. A fit's last digits are noise that must not decide where 0.625 goes.
std::string number(double value) {
  const double exact = std::round(value * 1e6) / 1e6, rounded = std::round(exact * 100) / 100;
  return fmt::format("{:.2f}", rounded == 0 ? 0 : rounded);
}

double ratio(double needed, double least) {
  return least < 0.5 ? 1 : needed / least;
}

void mix_lines(std::string& out, std::string_view piece, std::string_view code, const Mix& mix) {
  out +=
      fmt::format("  {}, {} instructions of a lane for each score: {} in all, {} of softmax\n   ",
                  piece, code, number(mix.total()), number(mix.softmax()));
  for (int k = 0; k < class_count; ++k)
    if (std::abs(mix.of[k]) >= 0.005)
      out += fmt::format(" {} {}", name_of(static_cast<Class>(k)), number(mix.of[k]));
  out += '\n';
}

void tile_lines(std::string& out, std::string_view name, const std::optional<TileCost>& tile) {
  if (!tile) {
    out += fmt::format("  {}: not told apart by this pattern's launches\n", name);
    return;
  }
  if (tile->sass) mix_lines(out, name, "SASS", *tile->sass);
  mix_lines(out, name, "PTX", tile->ptx);
  out += fmt::format(
      "  {}, shared memory: {:.0f} wavefronts where {:.0f} would do; global memory: {:.0f} "
      "sectors where "
      "{:.0f} would do\n",
      name, tile->wavefronts, tile->least_wavefronts, tile->sectors, tile->least_sectors);
}

Json mix_json(const Mix& mix) {
  Json json;
  for (int k = 0; k < class_count; ++k)
    json[std::string(name_of(static_cast<Class>(k)))] = mix.of[k];
  json["total"] = mix.total();
  json["softmax"] = mix.softmax();
  return json;
}

Json lines_json(const Study& s) {
  Json json = Json::object();
  for (const auto& [source, mix] : s.by_source) json[source] = mix_json(mix);
  return json;
}

Json tile_json(const std::optional<TileCost>& tile) {
  if (!tile) return nullptr;
  return {{"sass_per_score", tile->sass ? mix_json(*tile->sass) : Json(nullptr)},
          {"ptx_per_score", mix_json(tile->ptx)},
          {"wavefronts", tile->wavefronts},
          {"least_wavefronts", tile->least_wavefronts},
          {"sectors", tile->sectors},
          {"least_sectors", tile->least_sectors}};
}

/// What names a row in both tables.
std::string key_of(const Study& s) {
  return fmt::format("{} | {} | {} | {} | {}", s.attention, name_of(s.spec.dtype), s.spec.head_dim,
                     s.arch.name(), s.schedule.name());
}
constexpr std::string_view key_columns = "attention | dtype | D | arch | schedule";

template <class Value>
std::string of_tile(const std::optional<TileCost>& tile, Value value) {
  return tile ? number(value(*tile)) : "-";
}
std::string sass_of_softmax(const std::optional<TileCost>& tile) {
  return tile && tile->sass ? number(tile->sass->softmax()) : "-";
}

std::string sass_of_all(const std::optional<TileCost>& tile) {
  return tile && tile->sass ? number(tile->sass->total()) : "-";
}

/// The tiles that a kernel mostly visits.
const std::optional<TileCost>& common(const Study& s) {
  return s.full ? s.full : s.partial;
}

constexpr std::string_view cost_columns =
    "registers | spilled | shared | CTAs | warps | limited by | SASS | FULL | least | settled | "
    "PARTIAL | live | dead | PTX FULL | PTX settled | PTX PARTIAL | banks | sectors | doubts";
std::string cost_row(const Study& s) {
  const auto softmax = [](const TileCost& t) { return t.ptx.softmax(); };
  const auto banks = [](const TileCost& t) { return ratio(t.wavefronts, t.least_wavefronts); };
  const auto sectors = [](const TileCost& t) { return ratio(t.sectors, t.least_sectors); };
  const std::string costs[] = {sass_of_softmax(s.full),     number(s.least),
                               sass_of_softmax(s.settled),  sass_of_softmax(s.partial),
                               sass_of_all(s.partial),      sass_of_all(s.dead),
                               of_tile(s.full, softmax),    of_tile(s.settled, softmax),
                               of_tile(s.partial, softmax), of_tile(common(s), banks),
                               of_tile(common(s), sectors)};
  return fmt::format("| {} | {} | {} | {} | {} | {}/{} | {} | {} | {} | {} |\n", key_of(s),
                     s.cta.registers, s.spilled_bytes, s.cta.shared_bytes, s.occupancy.ctas,
                     s.occupancy.warps, s.occupancy.most_warps, s.occupancy.limited_by,
                     s.instructions, fmt::join(costs, " | "), s.doubts.size());
}

std::string class_columns() {
  std::string names;
  for (int k = 0; k < class_count; ++k)
    names += fmt::format("{}{}", k == 0 ? "" : " | ", name_of(static_cast<Class>(k)));
  return names;
}
std::string class_row(const Study& s) {
  std::vector<std::string> counts;
  for (int k = 0; k < class_count; ++k)
    counts.push_back(common(s) && common(s)->sass ? number(common(s)->sass->of[k]) : "-");
  return fmt::format("| {} | {} |\n", key_of(s), fmt::join(counts, " | "));
}

std::string table(const std::string& header, const std::vector<Study>& studies,
                  std::string (*row)(const Study&)) {
  const auto count = std::count(header.begin(), header.end(), '|') + 1;
  std::string out = fmt::format("| {} |\n|", header);
  for (auto k = count; k > 0; --k) out += "---|";
  out += '\n';
  for (const Study& study : studies) out += row(study);
  return out;
}

bool stands_before(const Study& a, const Study& b) {
  const auto key = [](const Study& s) {
    return std::tuple(s.attention, name_of(s.spec.dtype), s.spec.head_dim, s.arch.sm);
  };
  return key(a) < key(b);
}

constexpr std::string_view head = R"(# The static laboratory

What can be known of these kernels' speed without a GPU; nothing here was timed, and nothing ran on a GPU. Written by
`scripts/laboratory.sh`; a change of a kernel shows as a diff. Rows of one kernel stand in the planner's order. One kernel, with
all its numbers: `build/bench/bench_laboratory kernel FILE.lac --shape D=64 --arch sm_90 --schedule 128x64w4s2 [--json]`.

)";

constexpr std::string_view meaning = R"(
* **registers, spilled** (bytes), **shared** (bytes): of a thread and of a CTA, from ptxas. **CTAs, warps, limited by**: how many
  an SM holds, by the limits of the CUDA programming guide. **SASS**: instructions of the whole kernel.
* **FULL, PARTIAL**: SASS instructions that a lane issues for each of its scores in a tile of that kind, products and what brings
  their operands (the classes product, ldmatrix, async copy, shared, memory) apart, where the maximum of every row rises in every
  tile. **settled**: the same for FULL tiles of rows whose maximum stays, as it mostly does far into a long row. **least**: FULL by
  hand: maximum 1, multiply-add 1, ex2 1, sum 1, half of a packing, and the rescaling of O, Dv / tile_k; settled it is 4.5.
  **PTX**: the same in PTX instructions.
* **live, dead**: all SASS instructions, products and operands too, that a lane issues for each score of a PARTIAL tile, in a warp
  whose rows see some key of it and in one whose rows see none; PARTIAL is of tiles without dead warps. -: no warp is ever dead.
* **banks**: wavefronts of shared memory, as a multiple of those without bank conflicts. **sectors**: of 32 bytes, asked of global
  memory, as a multiple of those that the bytes fill. Both for a FULL tile; PARTIAL, where a pattern has no FULL ones.
* How: nvdisasm gives the PTX line of each SASS instruction; the host device executes that PTX on five shapes, whose mixtures of
  CTAs, FULL and PARTIAL tiles and dead warps tell how often each line is executed for one of them (bench/laboratory/frequency.h).
  **doubts**: how many kinds of instruction (mma, ldmatrix, cp.async, ex2, shfl, bar) come out differently in PTX and SASS, or are
  not explained by CTAs, tiles and dead warps; listed at the end.
)";

}  // namespace

std::string to_text(const Study& s) {
  std::string out = fmt::format(
      "{} {} D={} Dv={} {} machine/{} {}\n"
      "  {} registers, {} bytes spilled, {} bytes of shared memory, {} threads; {} SASS "
      "instructions, compiled in {:.0f} ms\n"
      "  {} CTAs of an SM, {} of {} warps, limited by {}\n"
      "  {:.0f} scores of a lane for each tile; softmax takes at least {} instructions a score\n",
      s.attention, name_of(s.spec.dtype), s.spec.head_dim, s.spec.value_dim, s.arch.name(),
      s.machine, s.schedule.name(), s.cta.registers, s.spilled_bytes, s.cta.shared_bytes,
      s.cta.threads, s.instructions, s.compile_ms, s.occupancy.ctas, s.occupancy.warps,
      s.occupancy.most_warps, s.occupancy.limited_by, s.scores_per_lane, number(s.least));
  tile_lines(out, "FULL tile", s.full);
  tile_lines(out, "settled FULL tile", s.settled);
  tile_lines(out, "PARTIAL tile", s.partial);
  tile_lines(out, "dead warp of a PARTIAL tile", s.dead);
  for (const std::string& doubt : s.doubts) out += fmt::format("  doubt: {}\n", doubt);
  return out;
}

std::string to_lines(const Study& s, int count) {
  std::vector<std::pair<double, std::string>> lines;
  for (const auto& [source, mix] : s.by_source) {
    std::string text = fmt::format("    {}", source.empty() ? "?" : source);
    for (int k = 0; k < class_count; ++k)
      if (mix.of[k] >= 0.005)
        text += fmt::format(" {} {}", name_of(static_cast<Class>(k)), number(mix.of[k]));
    lines.emplace_back(mix.total() - mix[Class::product], text);
  }
  std::stable_sort(lines.begin(), lines.end(), [](auto& a, auto& b) { return a.first > b.first; });
  if (std::ssize(lines) > count) lines.resize(count);
  std::string out = "  SASS instructions for each score by source line, products apart:\n";
  for (const auto& [total, text] : lines) out += fmt::format("  {:>6}{}\n", number(total), text);
  return out;
}

Json to_json(const Study& s) {
  return {{"attention", s.attention},
          {"dtype", name_of(s.spec.dtype)},
          {"head_dim", s.spec.head_dim},
          {"value_dim", s.spec.value_dim},
          {"arch", s.arch.name()},
          {"machine", s.machine},
          {"schedule", s.schedule.name()},
          {"registers", s.cta.registers},
          {"spilled_bytes", s.spilled_bytes},
          {"shared_bytes", s.cta.shared_bytes},
          {"threads", s.cta.threads},
          {"ctas_per_sm", s.occupancy.ctas},
          {"warps_per_sm", s.occupancy.warps},
          {"limited_by", s.occupancy.limited_by},
          {"sass_instructions", s.instructions},
          {"compile_ms", s.compile_ms},
          {"scores_per_lane", s.scores_per_lane},
          {"least_softmax_per_score", s.least},
          {"full", tile_json(s.full)},
          {"settled", tile_json(s.settled)},
          {"partial", tile_json(s.partial)},
          {"dead", tile_json(s.dead)},
          {"by_source", lines_json(s)},
          {"doubts", s.doubts}};
}

std::vector<std::string> table_rows(const Study& study) {
  return {cost_row(study), class_row(study)};
}

std::string tools_line(std::string_view nvrtc, std::string_view nvdisasm) {
  return fmt::format("Compiled by {}, disassembled by nvdisasm {}.\n", nvrtc, nvdisasm);
}

std::string to_table(std::vector<Study> studies, std::string_view nvrtc,
                     std::string_view nvdisasm) {
  std::stable_sort(studies.begin(), studies.end(), stands_before);
  std::string out(head);
  out += tools_line(nvrtc, nvdisasm);
  out += meaning;
  out += "\n## What a tile costs\n\n";
  out += table(fmt::format("{} | {}", key_columns, cost_columns), studies, cost_row);
  out +=
      "\n## SASS instructions for each score of a FULL tile (PARTIAL where there is none), by "
      "class\n\n";
  out += table(fmt::format("{} | {}", key_columns, class_columns()), studies, class_row);
  out += "\n## Doubts\n\n";
  bool any = false;
  for (const Study& study : studies)
    for (const std::string& doubt : study.doubts) {
      out += fmt::format("* {}: {}\n", key_of(study), doubt);
      any = true;
    }
  if (!any) out += "None.\n";
  return out;
}

}  // namespace lacuna::bench
