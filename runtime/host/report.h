#pragma once
#include <cstdint>
#include <string>

#include "runtime/host/exec/instruction.h"

namespace lacuna::runtime {
struct Region;
}

namespace lacuna::runtime::host {

struct Cta;
struct RegionSpan;
struct Warp;

enum class Window : std::uint8_t { global, shared, local, param, generic };
enum class Use : std::uint8_t { read, write, update };

// Every fault of a running kernel ends here: Error{device} with one sentence that names the check, the kernel, CTA, warp
// and lane, what was touched, the source line and the PTX line. The span of the error is the source line.
[[noreturn]] void report_access(const Warp& warp, const Instruction& at, int lane, Window window,
                                std::uint64_t address, std::uint32_t bytes, Use use);
[[noreturn]] void report_fault(const Warp& warp, const Instruction& at, int lane, const std::string& what);
[[noreturn]] void report_absent_lane(const Warp& warp, const Instruction& at, int lane, int source);
/// No warp of the CTA can go on: says where each one stands.
[[noreturn]] void report_deadlock(const Cta& cta);
[[noreturn]] void report_endless(const Cta& cta, std::uint64_t limit);

/// "0-7,9".
std::string describe_lanes(std::uint32_t mask);
/// "k[0,3,131,5]", or "k[0,3,131,5], 20 bytes past the end of k", for a byte of a region's neighbourhood.
std::string describe_element(const Region& region, const RegionSpan& span, std::int64_t offset);

}  // namespace lacuna::runtime::host
