#pragma once
#include "runtime/host/exec/instruction.h"

#include <cstdint>
#include <string>

namespace lacuna::runtime::host {

struct Cta;
struct Warp;

enum class Window : std::uint8_t { global, shared, local, param, generic };
enum class Use : std::uint8_t { read, write, update };

// Every fault of a running kernel ends here: Error{device} with one sentence that names the check,
// the kernel, CTA, warp and lane, what was touched, the source line and the PTX line. The span of
// the error is the source line.
[[noreturn]] void report_access(const Warp& warp, const Instruction& at, int lane, Window window,
                                std::uint64_t address, std::uint32_t bytes, Use use);
[[noreturn]] void report_fault(const Warp& warp, const Instruction& at, int lane,
                               const std::string& what);
[[noreturn]] void report_absent_lane(const Warp& warp, const Instruction& at, int lane, int source);
/// "softmax.cuh:30, inlined at local.lac:9, ptx line 22: ld.shared.f32 %f1, [%r1]".
std::string describe_place(const Cta& cta, const Instruction& at);
/// No warp of the CTA can go on: says where each one stands.
[[noreturn]] void report_deadlock(const Cta& cta);
[[noreturn]] void report_endless(const Cta& cta, std::uint64_t limit);

}  // namespace lacuna::runtime::host
