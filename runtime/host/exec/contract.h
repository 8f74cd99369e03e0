#pragma once
#include "runtime/host/ptx/module.h"

#include <cstdint>
#include <random>
#include <vector>

namespace lacuna::runtime::host {

/// `mul`, `add` and `sub` without a rounding modifier leave it to a GPU's assembler whether a
/// product and its sum are rounded once, as an fma, or twice. Which of them the host device does:
/// results that differ by more than rounding may, depend on the assembler's mood.
struct Contract {
  enum class Mode : std::uint8_t { none, all, random };
  Mode mode = Mode::none;
  std::uint64_t seed = 0;  ///< of random: every sum decides for itself
};

/// A sum to be computed from the factors of a product. The product stays: others may read it.
struct Fusion {
  std::uint32_t sum = 0, product = 0;  ///< indices into Function::body
  std::size_t operand = 0;             ///< of the sum: where the product stands, 1 or 2
};

/// The fusions to make in a function, by their sums' order: product and sum in one basic block, of
/// one type, and the factors still there at the sum.
std::vector<Fusion> find_fusions(const ptx::Function& function, const Contract& contract,
                                 std::mt19937_64& random);

}  // namespace lacuna::runtime::host
