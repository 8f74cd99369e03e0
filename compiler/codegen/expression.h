#pragma once
#include "lacuna/engine.hpp"

#include "compiler/ir/pattern.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::codegen {

/// What an expression may name in the function that it is written for.
struct Surroundings {
  std::string_view q = "q", k = "k";  ///< "0" where the function knows no such position
  bool checked = false;               ///< needed reads outside their tensor are reported
  const std::map<ir::NodeId, std::string>* given = nullptr;  ///< what is known there already
};

/// Writes expressions of one pattern as device code (vocabulary: templates/ops.cuh,
/// templates/tensor.cuh). What is used twice becomes a statement; `and`, `or` and `where` branch
/// only where an operand may report a read.
class ExpressionWriter {
 public:
  ExpressionWriter(const Spec& spec, Surroundings surroundings);

  /// The lines of a function body that returns the value of `node`.
  std::vector<std::string> body(ir::NodeId node);
  /// Whether evaluating the node may report a read; then it must not be evaluated where the program
  /// would not.
  bool reports(ir::NodeId node);

 private:
  using Known = std::map<ir::NodeId, std::string>;

  std::string value(ir::NodeId node);
  std::string leaf(ir::NodeId node) const;
  std::string read(ir::NodeId node);
  std::string index(std::uint32_t tensor, int axis, ir::NodeId node);
  bool divides_score(ir::NodeId node) const;
  std::string branch(ir::NodeId node);
  std::string operation(ir::NodeId node);
  std::string statement(ir::NodeId node, const std::string& text);
  void assign_in_scope(const std::string& name, ir::NodeId node);
  std::string declare(ir::NodeId node, const std::string& initial);
  void count_uses(ir::NodeId node);
  const std::string* given(ir::NodeId node) const;
  void line(const std::string& text);

  const Spec& spec_;
  const ir::Pattern& pattern_;
  const ir::Graph& graph_;
  Surroundings surroundings_;
  std::vector<std::string> lines_;
  std::vector<Known> scopes_;
  std::map<ir::NodeId, int> uses_;
  std::map<ir::NodeId, bool> reports_;
  int names_ = 0;
};

/// The type in templates/tensor.cuh of what is stored: "F16", "Integer<s64>", "Boolean".
std::string_view device_type(DType storage);

}  // namespace lacuna::codegen
