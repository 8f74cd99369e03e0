#pragma once
#include "lacuna/tensor.hpp"

#include "compiler/codegen/source.h"

#include <cstdint>

namespace lacuna::codegen {

/// What a kernel of weights of rows is specialised for.
struct RowKernel {
  DType in = DType::f32, out = DType::f32;
  bool softmax = false;
  int power = 0;           ///< 1/(alpha - 1) where products compute it: 1 to 4; else 0
  bool warp_rows = false;  ///< a warp to a row, of at most `most_of_warp`; else a CTA

  static constexpr std::int64_t most_of_warp = 1024;
  /// The one for rows of `n` elements.
  static RowKernel of(DType in, DType out, float alpha, std::int64_t n);
  int rows_of_cta() const;
  bool operator==(const RowKernel&) const = default;
};

/// Its source: p = entmax(x) of every row (templates/entmax_rows.cuh). A pure function.
Source generate(const RowKernel& kernel);

}  // namespace lacuna::codegen
