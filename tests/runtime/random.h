#pragma once
#include <cstdlib>
#include <random>
#include <string>

namespace lacuna::test {

/// LACUNA_SEED where set, else a fresh one: to be shown by INFO.
inline unsigned fresh_seed() {
  if (const char* seed = std::getenv("LACUNA_SEED")) return std::stoul(seed);
  return std::random_device{}();
}

}  // namespace lacuna::test
