#include "bench/laboratory/occupancy.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace lacuna::bench {
namespace {

/// CTAs that an SM holds, beside what plan::row knows of it.
struct Sm {
  int sm, ctas;
};
constexpr Sm rows[] = {{80, 32}, {86, 16}, {87, 16}, {89, 24}, {90, 32}};

// The same for all of them.
constexpr int registers_per_quarter = 16384, quarters = 4;
constexpr int register_unit = 256;  // of a warp
constexpr int shared_unit = 128;
constexpr int warp_size = 32;

int round_up(int value, int unit) {
  return (value + unit - 1) / unit * unit;
}

int most_ctas(const plan::Arch& arch) {
  for (const Sm& row : rows)
    if (row.sm == arch.sm) return row.ctas;
  throw Error(ErrorKind::unsupported,
              fmt::format("the occupancy limits of {} are not known here; those of sm_80, sm_86, "
                          "sm_87, sm_89 and sm_90 are",
                          arch.name()));
}

}  // namespace

Occupancy occupancy(const Resources& cta, const plan::Arch& arch) {
  const int most = most_ctas(arch);
  const plan::ArchRow& sm = plan::row(arch);
  const int most_warps = sm.threads_per_sm / warp_size;
  const int warps = (cta.threads + warp_size - 1) / warp_size;
  // A warp lives on one quarter of an SM, with all of its registers.
  const int per_warp = round_up(cta.registers * warp_size, register_unit);
  const int by_registers =
      per_warp == 0 ? most : registers_per_quarter / per_warp * quarters / warps;
  const int by_shared =
      sm.shared_per_sm / (round_up(cta.shared_bytes, shared_unit) + sm.shared_reserved);
  const std::pair<int, std::string_view> limits[] = {{most, "CTAs"},
                                                     {most_warps / warps, "warps"},
                                                     {by_registers, "registers"},
                                                     {by_shared, "shared memory"}};
  std::pair<int, std::string_view> least = limits[0];
  for (const auto& limit : limits)
    if (limit.first < least.first) least = limit;
  return {least.first, least.first * warps, most_warps, least.second};
}

}  // namespace lacuna::bench
