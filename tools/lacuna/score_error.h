#pragma once
#include "compiler/ir/evaluate.h"

#include <cstdint>
#include <vector>

namespace lacuna::tool {

/// How far the score of one pair, computed in f32, may be from the evaluator's, when z is off by
/// `dz`: the error of each operation's operands carried through it, and its own rounding added, to
/// first order.
class ScoreError {
 public:
  /// Reads values from `evaluator`, which must stand at the pair with its score set.
  ScoreError(const ir::Graph& graph, ir::Evaluator& evaluator);

  /// Infinity where a comparison, floor or i32() could fall either way.
  double at_pair(ir::NodeId score, double dz);

 private:
  double error(ir::NodeId id);
  double carry(const ir::Node& node, ir::NodeId id);
  double carry_real(const ir::Node& node, ir::NodeId id);
  double carry_choice(const ir::Node& node, ir::NodeId id);
  double operand(ir::NodeId id, int index) { return error(graph_.operands(id)[index]); }
  double value(ir::NodeId id, int index) {
    return evaluator_.value(graph_.operands(id)[index]).real;
  }
  bool holds(ir::NodeId id, int index) { return evaluator_.holds(graph_.operands(id)[index]); }

  const ir::Graph& graph_;
  ir::Evaluator& evaluator_;
  double dz_ = 0;
  std::uint64_t now_ = 0;
  std::vector<bool> exact_;  ///< the same bits on every device: no score, exp, log or tanh below
  std::vector<double> errors_;
  std::vector<std::uint64_t> stamps_;
};

}  // namespace lacuna::tool
