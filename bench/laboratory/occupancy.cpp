#include "bench/laboratory/occupancy.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace lacuna::bench {
namespace {

/// One row of the guide's table of technical specifications.
struct Sm {
  int sm, warps, ctas, shared_bytes;
};
constexpr Sm rows[] = {
    {80, 64, 32, 164 * 1024}, {86, 48, 16, 100 * 1024}, {87, 48, 16, 164 * 1024},
    {89, 48, 24, 100 * 1024}, {90, 64, 32, 228 * 1024},
};

// The same for all of them.
constexpr int registers_per_quarter = 16384, quarters = 4;
constexpr int register_unit = 256;  // of a warp
constexpr int shared_unit = 128, shared_reserved = 1024;
constexpr int warp_size = 32;

int round_up(int value, int unit) {
  return (value + unit - 1) / unit * unit;
}

const Sm& row_of(const plan::Arch& arch) {
  for (const Sm& row : rows)
    if (row.sm == arch.sm) return row;
  throw Error(ErrorKind::unsupported,
              fmt::format("the occupancy limits of {} are not known here; those of sm_80, sm_86, "
                          "sm_87, sm_89 and sm_90 are",
                          arch.name()));
}

}  // namespace

Occupancy occupancy(const Resources& cta, const plan::Arch& arch) {
  const Sm& sm = row_of(arch);
  const int warps = (cta.threads + warp_size - 1) / warp_size;
  // A warp lives on one quarter of an SM, with all of its registers.
  const int per_warp = round_up(cta.registers * warp_size, register_unit);
  const int by_registers =
      per_warp == 0 ? sm.ctas : registers_per_quarter / per_warp * quarters / warps;
  const int by_shared =
      sm.shared_bytes / (round_up(cta.shared_bytes, shared_unit) + shared_reserved);
  const std::pair<int, std::string_view> limits[] = {{sm.ctas, "CTAs"},
                                                     {sm.warps / warps, "warps"},
                                                     {by_registers, "registers"},
                                                     {by_shared, "shared memory"}};
  std::pair<int, std::string_view> least = limits[0];
  for (const auto& limit : limits)
    if (limit.first < least.first) least = limit;
  return {least.first, least.first * warps, sm.warps, least.second};
}

}  // namespace lacuna::bench
