#pragma once
#include "lacuna/tensor.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace lacuna::tool {

/// A tensor that is about to be made.
struct Wanted {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;

  /// Not an integer: extents from a command line may multiply to anything.
  double bytes() const;
};

/// What this machine has, or what its control group allows, in bytes.
double memory_limit();

/// Throws Error{argument} where `all`, and as much again for the device's copies, need more than
/// `limit` bytes; names the largest.
void check_fits(const std::vector<Wanted>& all, double limit);

/// Throws what ir::bind says of a head that offsets of 32 bits do not span; `operand` is row-major
/// with four axes.
void check_head(const Wanted& operand);

}  // namespace lacuna::tool
