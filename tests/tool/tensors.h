#pragma once
#include "tests/tool/command.h"
#include "tools/lacuna/npy.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace lacuna::test {

/// A .npy file of normal numbers.
inline std::string random_file(const Folder& folder, const std::string& name,
                               std::vector<std::int64_t> shape, std::uint64_t seed,
                               DType dtype = DType::f32) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  tool::Array array = tool::Array::zeros(dtype, std::move(shape));
  for (std::int64_t i = 0; i < array.elements(); ++i) array.set_real(i, normal(generator));
  return folder.write(name, tool::format_npy(array));
}

inline std::string integer_file(const Folder& folder, const std::string& name, DType dtype,
                                std::vector<std::int64_t> shape,
                                const std::vector<std::int64_t>& values) {
  tool::Array array = tool::Array::zeros(dtype, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i)
    array.set_integer(static_cast<std::int64_t>(i), values[i]);
  return folder.write(name, tool::format_npy(array));
}

}  // namespace lacuna::test
