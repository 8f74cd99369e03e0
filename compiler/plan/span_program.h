#pragma once
#include "compiler/ir/pattern.h"

#include <cstdint>
#include <span>
#include <vector>

namespace lacuna::plan {

/// One span over a box, from those before it. Rules: templates/intervals.cuh.
struct SpanStep {
  enum class Kind : std::uint8_t {
    query,        ///< the positions of the box's queries
    key,          ///< and of its keys
    query_value,  ///< summary `number` of the queries
    key_value,    ///< and of the keys
    uniform,      ///< the one value of uniforms[number]
    read,         ///< of node `number`, over a box of indices: its operands
    rule,         ///< the interval rule of `op`
    known,        ///< true where `number` is 1, false where 0: what is assumed here
    congruent,    ///< x % divisor == rest
    at_most,      ///< x, where it is <= y; the others alike
    at_least,
    below,
    above,
    meet,
  };
  Kind kind;
  ir::Type type;
  ir::Op op = ir::Op::constant;
  std::uint32_t number = 0;
  std::vector<std::uint32_t> operands = {};  ///< steps
};

/// Interval analysis of a conjunction, as straight-line code: the host runs it
/// (compiler/plan/classify.h), and codegen writes it as device code.
///
/// `a and b` computes b under the assumption that a holds, `a or b` that it does not, `where` each
/// branch under its own: a comparison narrows both its sides there, so that chains of comparisons
/// of one value are exact, and guards count.
struct SpanProgram {
  /// Maximal subexpressions that read a tensor and depend on the query and not on the key, or the
  /// other way round: summarised per tile, element by element, as the hull of their values.
  std::vector<ir::NodeId> query_values, key_values;
  std::vector<ir::NodeId> uniforms;  ///< what depends on neither
  std::vector<SpanStep> steps;
  std::uint32_t result = 0;              ///< the step of the whole conjunction
  std::vector<std::uint32_t> conjuncts;  ///< of each alone, where asked for
};

enum class EachConjunct : bool { no, yes };
SpanProgram span_program(const ir::Pattern& pattern, std::span<const ir::NodeId> conjuncts,
                         EachConjunct each = EachConjunct::no);

}  // namespace lacuna::plan
