#pragma once
#include "runtime/host/report.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace lacuna::runtime {
struct Region;
}

namespace lacuna::runtime::host {

struct RegionSpan;

/// "global", "shared", ...
std::string_view name_of_window(Window window);
/// "1 byte", "2 bytes".
std::string count_of(std::uint64_t count, std::string_view what);
/// "0-7,9".
std::string describe_lanes(std::uint32_t mask);
/// "k[0,3,131,5]" for a byte at `offset` from the lowest one of a region, also past its end; the
/// name alone before it.
std::string describe_element(const Region& region, const RegionSpan& span, std::int64_t offset);
/// What an address of a window is, and how far outside an access of `bytes` there ends.
std::string describe_address(const Cta& cta, Window window, std::uint64_t address,
                             std::uint32_t bytes);
bool is_inside(const Cta& cta, Window window, std::uint64_t address, std::uint32_t bytes);

}  // namespace lacuna::runtime::host
