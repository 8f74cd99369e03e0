#pragma once
#include "compiler/plan/arch.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lacuna::runtime {

enum class Format : std::uint8_t { ptx, cubin };
constexpr std::string_view name_of(Format format) {
  return format == Format::ptx ? "ptx" : "cubin";
}

/// Static instruction counts of one loop nest level, from the optimised IR (llvm only).
struct LoopMix {
  int depth = 0;           ///< 0: outside of loops
  std::string place;       ///< "file:line", where line info exists
  std::string trip_count;  ///< as scalar evolution prints it
  std::vector<std::pair<std::string, int>> counts;
  bool operator==(const LoopMix&) const = default;
};

/// What a compiler made, loaded into nothing. The value of the disk cache.
struct Artifact {
  Format format = Format::ptx;
  std::string payload;  ///< PTX text or cubin bytes
  std::string entry;
  plan::Arch arch;
  int threads = 0;
  int shared_bytes = 0;
  int param_bytes = 0;
  std::string compiler;                     ///< Compiler::identity()
  std::string source;                       ///< the generated text, kept beside the payload
  std::string log;                          ///< what the compiler said
  int registers = -1;                       ///< -1: unknown (PTX)
  int spill_stores = -1, spill_loads = -1;  ///< bytes
  std::string ir;                           ///< optimised LLVM IR, where asked for
  std::vector<LoopMix> loops;
  bool operator==(const Artifact&) const = default;
};

/// Raise it with every change of the fields or of their order: older files then miss by their key.
constexpr std::uint32_t artifact_version = 1;
/// Magic, format version, sizes and checksum: enough for serialized_size.
constexpr std::size_t artifact_header_bytes = 64;

/// The file format: magic, format version, sizes, checksum, fields with lengths, payload.
std::string serialize(const Artifact& artifact);
/// Throws Error{io} naming what is wrong (truncated, foreign, other version, checksum); never
/// trusts a length.
Artifact deserialize(std::string_view bytes);
/// The size of the whole file that begins with these bytes, as its header claims it: to be held
/// against the real one before anything is allocated. Throws Error{io} like deserialize.
std::uint64_t serialized_size(std::string_view header);

}  // namespace lacuna::runtime
