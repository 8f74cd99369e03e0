#pragma once
#include "compiler/codegen/expression.h"
#include "compiler/plan/plan.h"

#include <vector>

namespace lacuna::codegen {

/// A value that all pairs of a row, or of a key, have in common.
struct HoistedValue {
  ir::NodeId node;
  bool scored =
      false;  ///< the score needs it: in FULL tiles, which ask no mask, others are not read
};

/// What masks and score read that pairs have in common: maximal subexpressions that read a tensor
/// and depend on no key, or on the key and no query. A pass reads them once for each row and key of
/// a tile instead of once for each pair.
struct Hoisted {
  std::vector<HoistedValue> rows, keys;
};

/// Nothing that may report a read is moved to where the program might not read it.
Hoisted hoisted(const plan::Plan& plan, const plan::Pass& pass);

}  // namespace lacuna::codegen
