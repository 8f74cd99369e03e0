#pragma once
#include "lacuna/engine.hpp"

#include "compiler/ir/pattern.h"

#include <string>
#include <vector>

namespace lacuna::plan {

/// One operation on what has the score in it, and on what all keys of a row have in common.
struct InverseStep {
  ir::Op op;
  ir::NodeId with = ir::no_node;  ///< the other operand; none of tanh
  bool operator==(const InverseStep&) const = default;
};

/// A pattern's score statements as a chain of operations that rise with the score of the products,
/// or stay, and never jump: then a bound of scores is one of sums of products, too.
struct Inverse {
  std::vector<InverseStep> steps;  ///< from the end of the statements back to the product
  std::string why_not;             ///< "": there is such a chain
};

/// Factors and addends may be known only when a call runs: whether they are positive and finite is
/// then asked on the device. A pattern without a score statement has a chain without steps.
Inverse inverse_of(const Spec& spec);

/// Whether sums of products carry a gate through a score statement (templates/inverse.cuh).
bool inverts(const Spec& spec);

}  // namespace lacuna::plan
