#include "compiler/plan/schedule.h"

#include "lacuna/error.hpp"

#include "compiler/ir/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace lacuna::plan {
namespace {

constexpr int max_registers = 255, warp_size = 32;

int padded(int columns) {
  return (columns + 15) / 16 * 16;
}

/// Rows of 16 that a warp multiplies at once.
int m_tiles(const Schedule& s) {
  return s.tile_q / (16 * s.warps);
}

// What templates/machine/fma.cuh keeps; generated code asserts that both agree.
int fma_shared_bytes(const Spec& spec, const Schedule& s) {
  const int stride = std::max(spec.head_dim, spec.value_dim) + 4;
  return 4 * (s.tile_q * stride + s.tile_k * stride + s.tile_q * (s.tile_k + 4));
}
// What templates/machine/sm80.cuh keeps.
int sm80_shared_bytes(const Spec& spec, const Schedule& s) {
  const int q = padded(spec.head_dim), widest = std::max(q, padded(spec.value_dim));
  return 2 * (s.tile_q * q + s.stages * s.tile_k * widest);
}

Needs fma_needs(const Spec& spec, const Schedule& s) {
  const int rows = s.tile_q / (4 * s.warps), keys = s.tile_k / 8;
  return {fma_shared_bytes(spec, s), rows * (spec.value_dim / 8 + keys + 8) + 4 * keys + 48};
}
/// Of a thread whose rows have so many sums: those; scores, and what else goes into a sum;
/// fragments and the state of rows; what every kernel needs; and an address of each copy of 16
/// bytes, which stand unrolled.
int sm80_registers(const Spec& spec, const Schedule& s, int sums) {
  const int of_m_tile = sums * (spec.value_dim + s.tile_k) / 2 + 14;
  const int copies = s.tile_k * padded(spec.head_dim) / 8 / (s.warps * warp_size);
  return m_tiles(s) * of_m_tile + 62 + copies * 4 / 3;
}
int sums_of(const Spec& spec, const Schedule& s) {
  return takes_one_walk(Machine::sm80, spec, s) ? 2 : 1;
}
Needs sm80_needs(const Spec& spec, const Schedule& s) {
  return {sm80_shared_bytes(spec, s), sm80_registers(spec, s, sums_of(spec, s))};
}

/// Whether tiles are divided as the machine divides them; "" or what is wrong.
std::string misshapen(Machine machine, const Schedule& s) {
  const int row_unit = machine == Machine::fma ? 4 : 16,
            key_unit = machine == Machine::fma ? 8 : 16;
  if (s.warps < 1 || s.warps > 16)
    return fmt::format("{} warps; a CTA has 1 to 16 of them here", s.warps);
  if (s.tile_q < 1 || s.tile_q % (row_unit * s.warps) != 0)
    return fmt::format("{} queries are not a multiple of {} for each of {} warps", s.tile_q,
                       row_unit, s.warps);
  if (s.tile_k < 1 || s.tile_k % key_unit != 0)
    return fmt::format("{} keys are not a multiple of {}", s.tile_k, key_unit);
  const int most_keys = 32 * (machine == Machine::fma ? 8 : 4);  // a lane's keys are bits of a word
  if (s.tile_k > most_keys)
    return fmt::format("{} keys; machine/{} takes {} at most", s.tile_k, name_of(machine),
                       most_keys);
  const int most = machine == Machine::fma ? 1 : 8, least = machine == Machine::fma ? 1 : 2;
  if (s.stages < least || s.stages > most)
    return fmt::format(
        "{} stages; machine/{} takes {}", s.stages, name_of(machine),
        least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most));
  return "";
}

std::vector<Schedule> candidates(Machine machine) {
  std::vector<Schedule> all;
  if (machine == Machine::fma) {
    for (const int tile_q : {64, 32, 16})
      for (const int tile_k : {32, 16, 8})
        for (const int warps : {4, 2, 1}) all.push_back({tile_q, tile_k, warps, 1});
    return all;
  }
  for (const int warps : {4, 8, 2, 1})
    for (const int m : {1, 2})
      for (const int tile_k : {64, 32, 128, 16})
        for (const int stages : {2, 4})
          if (16 * m * warps <= 128) all.push_back({16 * m * warps, tile_k, warps, stages});
  return all;
}

constexpr int decode_rows = 16;

std::vector<Schedule> decode_candidates(Machine machine) {
  std::vector<Schedule> all;
  if (machine == Machine::fma) {
    for (const int tile_k : {32, 16, 8})
      for (const int warps : {4, 2, 1}) all.push_back({decode_rows, tile_k, warps, 1});
    return all;
  }
  for (const int tile_k : {64, 32, 16, 128})
    for (const int stages : {4, 6, 8, 3, 2}) all.push_back({decode_rows, tile_k, 1, stages});
  return all;
}

/// Of elements that are tested and scored one by one: about, and at most 32. Where those with a
/// weight are counted each score is there once more.
int registers_beside(const Spec& spec, const Schedule& s) {
  const ir::Pattern& pattern = spec.pattern.tree();
  const int reads = static_cast<int>(std::min<std::size_t>(pattern.tensors.size(), 4));
  const int counts = spec.sparsity ? m_tiles(s) * (s.tile_k / 2 + 2) : 0;
  return 6 * reads + (pattern.score == ir::no_node ? 0 : 8) + counts;
}

std::vector<Schedule> cheapest_first(std::vector<std::pair<double, Schedule>> ranked) {
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Schedule> all;
  for (const auto& [cost, schedule] : ranked) all.push_back(schedule);
  return all;
}

[[noreturn]] void reject_all(Machine machine, const Spec& spec, const Arch& arch) {
  throw Error(ErrorKind::unsupported,
              fmt::format("no schedule of machine/{} fits head_dim {} and value_dim {} on {}",
                          name_of(machine), spec.head_dim, spec.value_dim, arch.name()));
}

/// Cycles that one warp keeps each unit of its quarter of an SM busy with a FULL tile.
struct Busy {
  double issue = 0, tensor = 0, shared = 0;
};
Busy busy_fma(const Spec& spec, const Schedule& s) {
  const double rows = s.tile_q / (4.0 * s.warps), keys = s.tile_k / 8.0, scores = rows * keys;
  const double depth = spec.head_dim + spec.value_dim;
  return {.issue = scores * (depth + 6) + 80, .shared = 4 * (depth * (rows + keys) / 4)};
}
Busy busy_sm80(const Spec& spec, const Schedule& s, const ArchRow& sm) {
  const int m = m_tiles(s), d = padded(spec.head_dim) / 16, v = (spec.value_dim + 15) / 16;
  const int sums = sums_of(spec, s);
  const double products = 2.0 * m * (s.tile_k / 16) * (d + sums * v);
  const double loads = d * (m + s.tile_k / 16.0) + v * s.tile_k / 16.0;
  const double copies = s.tile_k * (d + v) * 2.0 / (warp_size * s.warps);  // 16 bytes a lane
  const double scores = m * s.tile_k / 2.0, rows = 2.0 * m;
  return {.issue = 4.5 * scores + 14 * rows + 1.2 * (products + loads) + 3 * copies + 60,
          .tensor = products * sm.product_cycles,
          .shared = 4 * (4 * loads + 4 * copies)};  // four quarters share one port
}

}  // namespace

bool takes_one_walk(Machine machine, const Spec& spec, const Schedule& s) {
  // A statement multiplies with two operands of 16 rows: u^β and u^(β-1) of as many.
  return spec.escort && machine == Machine::sm80 && m_tiles(s) == 1 &&
         sm80_registers(spec, s, 2) <= max_registers;
}

Spec keys_alone(const Spec& spec) {
  Spec keys = spec;
  keys.value_dim = spec.head_dim;
  keys.escort = keys.sparsity = false;
  return keys;
}

std::string_view name_of(Machine machine) {
  constexpr std::string_view names[] = {"fma", "sm80"};
  return names[static_cast<int>(machine)];
}

Machine machine_of(DType dtype) {
  return dtype == DType::f32 ? Machine::fma : Machine::sm80;
}

std::string Schedule::name() const {
  return fmt::format("{}x{}w{}s{}", tile_q, tile_k, warps, stages);
}

Schedule parse_schedule(std::string_view text) {
  Schedule s;
  const char* at = text.data();
  const char* const end = at + text.size();
  bool well = true;
  const auto number = [&](int& to, char before) {
    if (before != 0) well = well && at != end && *at++ == before;
    if (!well) return;
    const auto [stop, error] = std::from_chars(at, end, to);
    well = error == std::errc{} && to > 0 && to <= 4096;
    at = stop;
  };
  number(s.tile_q, 0);
  number(s.tile_k, 'x');
  number(s.warps, 'w');
  number(s.stages, 's');
  if (!well || at != end)
    throw Error(ErrorKind::argument,
                fmt::format("'{}' is not a schedule; write it like 128x64w4s2: queries x keys of a "
                            "tile, warps, stages",
                            text));
  return s;
}

Needs needs(Machine machine, const Spec& spec, const Schedule& schedule) {
  return machine == Machine::fma ? fma_needs(spec, schedule) : sm80_needs(spec, schedule);
}

std::string illegal(Machine machine, const Spec& spec, const Schedule& schedule, const Arch& arch) {
  if (std::string wrong = misshapen(machine, schedule); !wrong.empty()) return wrong;
  const Needs need = needs(machine, spec, schedule);
  const ArchRow& sm = row(arch);
  if (need.shared_bytes > sm.shared_per_block)
    return fmt::format("it needs {} bytes of shared memory; {} has {}", need.shared_bytes,
                       arch.name(), sm.shared_per_block);
  const int available =
      std::min(max_registers, sm.registers_per_sm / (schedule.warps * warp_size) / 8 * 8);
  if (need.registers > available)
    return fmt::format("it needs about {} registers a thread; {} threads have {} each",
                       need.registers, schedule.warps * warp_size, available);
  return "";
}

namespace {

double cycles_per_score(Machine machine, const Spec& spec, const Schedule& schedule,
                        const ArchRow& sm, int ctas) {
  const Busy busy =
      machine == Machine::fma ? busy_fma(spec, schedule) : busy_sm80(spec, schedule, sm);
  // Warps that share a quarter of an SM hide each other's waiting: with one alone the units take
  // turns, with many the busiest sets the pace. Two barriers a tile, and the copies that were asked
  // for late, cost latency.
  const double warps = ctas * schedule.warps / 4.0;
  const double most = std::max({busy.issue, busy.tensor, busy.shared});
  const double rest = busy.issue + busy.tensor + busy.shared - most;
  const double latency = schedule.stages > 2 ? 80 : 200;
  const double cycles = most + (rest + latency) / std::max(1.0, warps);
  const double few = warps < 1 ? 1 / warps : 1;  // quarters that stand idle
  const int walks = spec.escort && !takes_one_walk(machine, spec, schedule) ? 2 : 1;
  return walks * few * cycles * schedule.warps / 4.0 / (double(schedule.tile_q) * schedule.tile_k);
}

}  // namespace

double cycles_per_score(Machine machine, const Spec& spec, const Schedule& schedule,
                        const Arch& arch) {
  return cycles_per_score(machine, spec, schedule, row(arch),
                          occupancy(machine, spec, schedule, arch));
}

std::vector<Schedule> schedules(Machine machine, const Spec& spec, const Arch& arch) {
  std::vector<std::pair<double, Schedule>> ranked;
  // What a pattern reads and computes takes registers too: a schedule that leaves none is for those
  // who name it.
  const auto leaves_some = [&](const Schedule& s) {
    return machine != Machine::sm80 ||
           needs(machine, spec, s).registers + registers_beside(spec, s) <= max_registers;
  };
  for (const Schedule& s : candidates(machine))
    if (illegal(machine, spec, s, arch).empty() && leaves_some(s))
      ranked.emplace_back(cycles_per_score(machine, spec, s, arch), s);
  if (ranked.empty()) reject_all(machine, spec, arch);
  std::vector<Schedule> all = cheapest_first(std::move(ranked));
  if (!spec.sparsity) return all;
  // What a call says it found is of the tiles that calls visit which are not asked, where one of
  // that shape leaves registers to count with.
  Spec unasked = spec;
  unasked.sparsity = false;
  const Schedule usual = schedules(machine, unasked, arch).front();
  std::stable_partition(all.begin(), all.end(), [&](const Schedule& s) {
    return s.tile_q == usual.tile_q && s.tile_k == usual.tile_k;
  });
  return all;
}

std::vector<Schedule> decode_schedules(Machine machine, const Spec& spec, const Arch& arch) {
  // Decode waits for memory: an SM needs about this much on its way to have its share of the
  // bandwidth at its latency (the published 3.35 TB/s over 132 SMs, for two microseconds).
  constexpr double enough = 48 * 1024;
  std::vector<std::pair<double, Schedule>> ranked;
  for (const Schedule& s : decode_candidates(machine)) {
    if (!illegal(machine, spec, s, arch).empty()) continue;
    const double slot = 2.0 * s.tile_k * std::max(padded(spec.head_dim), padded(spec.value_dim));
    const int ctas = decode_ctas_per_sm(machine, spec, s, arch);
    const double on_their_way = (s.stages - 1) * slot * ctas;
    const double waiting = s.stages == 1 ? 1 : std::max(1.0, enough / on_their_way);
    ranked.emplace_back(waiting * cycles_per_score(machine, spec, s, row(arch), ctas), s);
  }
  if (ranked.empty()) reject_all(machine, spec, arch);
  return cheapest_first(std::move(ranked));
}

int decode_ctas_per_sm(Machine machine, const Spec& spec, const Schedule& schedule,
                       const Arch& arch) {
  constexpr int most = 4;  // more only wait for the same memory, and leave more parts to combine
  return std::min(most, occupancy(machine, spec, schedule, arch));
}

int occupancy(Machine machine, const Spec& spec, const Schedule& schedule, const Arch& arch) {
  const ArchRow& sm = row(arch);
  const Needs need = needs(machine, spec, schedule);
  const int threads = schedule.warps * warp_size;
  const int registers = (need.registers + 7) / 8 * 8 * threads;
  return std::max(1, std::min({sm.shared_per_sm / (need.shared_bytes + sm.shared_reserved),
                               sm.registers_per_sm / registers, sm.threads_per_sm / threads}));
}

}  // namespace lacuna::plan
