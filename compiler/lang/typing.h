#pragma once
#include "compiler/lang/scope.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lacuna::lang {

/// Where an expression stands: what it may not mention, and what `score` means there.
struct Role {
  ir::Dependence forbidden = 0;
  std::string_view complaint;  ///< follows the name that is forbidden
  ir::NodeId score = ir::no_node;
};

/// Turns expressions into nodes of a pattern's graph: looks names up, expands defs, promotes. An
/// argument is typed once, where it is written; so a def is hygienic, and equal calls are expanded
/// once.
class Typing {
 public:
  explicit Typing(ir::Pattern& pattern) : pattern_(pattern), graph_(pattern.graph) {}

  /// The node of a statement's expression. Its names are looked up first, so that a wrong name is
  /// reported before a wrong type.
  ir::NodeId resolve(const Expr& expr, View names, const Role& role);
  /// The same, an i32 as f32.
  ir::NodeId resolve_real(const Expr& expr, View names, const Role& role);
  /// The value of a def without parameters, so that a mistake in it is found though nothing uses
  /// it.
  void resolve_def(const Declaration& def);
  /// An i32 as f32; anything else as it is.
  ir::NodeId promoted(ir::NodeId id);
  ir::Type type(ir::NodeId id) const { return graph_[id].type; }

  /// Where each tensor is read, for messages about its indices.
  const std::unordered_map<ir::NodeId, Span>& read_places() const { return read_places_; }

 private:
  /// What a def is called with: a value, a tensor (-1: none), or both where one name is both.
  struct Argument {
    ir::NodeId value = ir::no_node;
    int tensor = -1;
    const Expr* expr = nullptr;
  };
  struct Frame {
    View names;
    const DefStatement* def = nullptr;
    std::span<const Argument> arguments;
    const Frame* caller = nullptr;
    Place call;
  };
  using Key = std::vector<std::uint64_t>;

  ir::NodeId expr(const Expr& e, const Frame& frame);
  ir::NodeId name(const Expr& e, const Frame& frame);
  ir::NodeId builtin(ir::Variable v, const Expr& e, const Frame& frame);
  ir::NodeId parameter(int index, const Expr& e, const Frame& frame);
  ir::NodeId constant(std::uint32_t index);
  ir::NodeId call(const Expr& e, const Frame& frame);
  ir::NodeId expand(const Declaration& def, std::vector<Argument> arguments, const Expr& e,
                    const Frame& frame);
  Argument argument(const Expr& e, const Frame& frame);
  ir::NodeId read(const Expr& e, const Frame& frame);
  int tensor_index(const Expr& e, const Frame& frame);
  void check_index(const ir::Tensor& tensor, std::size_t axis, ir::NodeId index, const Expr& e,
                   const Frame& frame);
  ir::NodeId chain(const Expr& e, const Frame& frame);
  std::vector<ir::NodeId> operands(const Expr& e, const Frame& frame);

  ir::NodeId apply(std::string_view spelling, std::span<const ir::NodeId> operands, Place place,
                   const Frame& frame);
  ir::NodeId apply(std::string_view spelling, std::initializer_list<ir::NodeId> operands,
                   Place place, const Frame& frame) {
    return apply(spelling, std::span(operands.begin(), operands.size()), place, frame);
  }
  void check_depth(ir::NodeId id, Place place, const Frame& frame);
  [[noreturn]] void too_deep(const Frame& frame, Place place) const;
  void check_allowed(ir::Dependence use, const Expr& e, const Frame& frame) const;
  [[noreturn]] void fail(const Frame& frame, Place place, std::string message) const;

  ir::Pattern& pattern_;
  ir::Graph& graph_;
  Role role_;
  std::map<Key, ir::NodeId> expanded_;
  std::unordered_map<ir::NodeId, Span> read_places_;
  std::vector<int> depth_;  // of each node
  int nesting_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace lacuna::lang
