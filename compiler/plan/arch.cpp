#include "compiler/plan/arch.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

#include <charconv>

namespace lacuna::plan {
namespace {

// Shared memory: the opt-in limit of one block, and what an SM has; threads of an SM (CUDA
// programming guide, compute capabilities). Cycles of a product: from the published dense f16
// rates; sm_90 and later reach less with mma.sync than with their own instructions. PTX: the
// version that introduced the target, raised to what the generated code needs and no further: the
// driver must know it (7.8 is that of CUDA 11.8). SMs: of the largest product sold.
constexpr int KiB = 1024;
constexpr ArchRow rows[] = {
    {80, 163 * KiB, 164 * KiB, 65536, 2048, 8, 108, "ptx78"},
    {86, 99 * KiB, 100 * KiB, 65536, 1536, 16, 84, "ptx78"},
    {87, 163 * KiB, 164 * KiB, 65536, 1536, 16, 16, "ptx78"},
    {89, 99 * KiB, 100 * KiB, 65536, 1536, 16, 142, "ptx78"},
    {90, 227 * KiB, 228 * KiB, 65536, 2048, 6, 132, "ptx78"},
    {100, 227 * KiB, 228 * KiB, 65536, 2048, 6, 148, "ptx86"},
    {103, 227 * KiB, 228 * KiB, 65536, 2048, 6, 160, "ptx88"},
    {110, 227 * KiB, 228 * KiB, 65536, 1536, 6, 20, "ptx90"},
    {120, 99 * KiB, 100 * KiB, 65536, 1536, 16, 188, "ptx87"},
    {121, 99 * KiB, 100 * KiB, 65536, 1536, 16, 48, "ptx88"},
};

}  // namespace

const ArchRow& row(const Arch& arch) {
  const ArchRow* best = nullptr;
  for (const ArchRow& candidate : rows)
    if (candidate.sm <= arch.sm) best = &candidate;
  if (!best)
    throw Error(
        ErrorKind::unsupported,
        fmt::format(
            "{} is older than sm_80, the oldest architecture that kernels are generated for",
            arch.name()));
  return *best;
}

Arch parse_arch(std::string_view text) {
  std::string_view digits = text.starts_with("sm_") ? text.substr(3) : text;
  Arch arch;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), arch.sm);
  const std::string_view rest(end, digits.data() + digits.size() - end);
  const bool suffix = rest == "a" || rest == "f";
  if (error != std::errc{} || arch.sm < 10 || arch.sm > 999 || !(rest.empty() || suffix))
    throw Error(ErrorKind::argument,
                fmt::format("'{}' is not an architecture; write it like sm_80 or sm_90a", text));
  arch.suffix = suffix ? rest[0] : 0;
  return arch;
}

}  // namespace lacuna::plan
