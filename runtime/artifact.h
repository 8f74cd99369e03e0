#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compiler/plan/arch.h"

namespace lacuna::runtime {

enum class Format : std::uint8_t { ptx, cubin };
constexpr std::string_view name_of(Format format) { return format == Format::ptx ? "ptx" : "cubin"; }

/// Static instruction counts of one loop nest level, from the optimised IR (llvm only).
struct LoopMix {
  int depth = 0;            ///< 0: outside of loops
  std::string place;        ///< "file:line", where line info exists
  std::string trip_count;   ///< as scalar evolution prints it
  std::vector<std::pair<std::string, int>> counts;
  bool operator==(const LoopMix&) const = default;
};

/// What a compiler made, loaded into nothing. The value of the disk cache.
struct Artifact {
  Format format = Format::ptx;
  std::string payload;       ///< PTX text or cubin bytes
  std::string entry;
  plan::Arch arch;
  int threads = 0;
  int shared_bytes = 0;
  int param_bytes = 0;
  std::string compiler;      ///< Compiler::identity()
  std::string source;        ///< the generated text, kept beside the payload
  std::string log;           ///< what the compiler said
  int registers = -1;        ///< -1: unknown (PTX)
  int spill_stores = -1, spill_loads = -1;  ///< bytes
  std::string ir;            ///< optimised LLVM IR, where asked for
  std::vector<LoopMix> loops;
  bool operator==(const Artifact&) const = default;
};

/// The file format: magic, format version, sizes, checksum, fields with lengths, payload.
std::string serialize(const Artifact& artifact);
/// Throws Error{io} naming what is wrong (truncated, foreign, other version, checksum); never trusts a length.
Artifact deserialize(std::string_view bytes);

}  // namespace lacuna::runtime
