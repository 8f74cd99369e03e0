#pragma once
#include "compiler/ir/pattern.h"
#include "compiler/lang/token.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The untyped tree: what the parser reads and what the builder builds. Names are not looked up
/// yet.
namespace lacuna::lang {

inline constexpr int max_depth = 200;
/// Expressions that an attention may stand for with its defs expanded: beyond this it is a mistake
/// or an attack.
inline constexpr std::int64_t max_size = 1'000'000;

enum class ExprKind : std::uint8_t {
  boolean,
  integer,
  real,
  name,
  call,
  read,
  unary,
  binary,
  chain
};

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

struct Expr {
  ExprKind kind;
  Place place;       ///< of the name, the literal, or the operator
  std::string name;  ///< of a name, call or read; the operator of unary and binary
  std::vector<ExprPtr> operands;
  std::vector<std::string> operators;  ///< of a chain, a < b <= c: one fewer than operands
  std::vector<Place> places;           ///< of those operators
  std::int64_t integer = 0;            ///< boolean: 0 or 1. Up to 2^31, for -2147483648
  float real = 0;
  std::int64_t size = 1;  ///< of the tree, at most max_size: a builder's trees may share parts
  int depth = 1;          ///< at most max_depth: every walk may recurse
};

struct DefStatement {
  std::string name;
  Place place;
  struct Parameter {
    std::string name;
    Place place;
  };
  std::vector<Parameter> parameters;
  ExprPtr body;
};

struct ParamStatement {
  std::string name;
  Place place;
  ir::Type type;
  ExprPtr initial;  ///< a literal, or null
};

struct ConstStatement {
  std::string name;
  Place place;
  ExprPtr value;
};

struct TensorStatement {
  std::string name;
  Place place;
  ir::Type type;
  std::vector<ir::Axis> axes;
  std::vector<Place> places;  ///< of the axes; none from the builder
};

struct MaskStatement {
  ExprPtr expr;
  Place place;       ///< where the expression begins
  std::string text;  ///< as written, on one line; "" from the builder
  std::optional<double> hint;
  Place hint_place;
  ir::PlanWish wish = ir::PlanWish::none;
};

struct ScoreStatement {
  ExprPtr expr;
  Place place;
};

struct WeightsStatement {
  std::string name;
  Place place;
  struct Argument {
    std::string name;  ///< "" where it is given by position
    Place place;
    ExprPtr value;
  };
  std::vector<Argument> arguments;
};

using Statement = std::variant<DefStatement, ParamStatement, ConstStatement, TensorStatement,
                               MaskStatement, ScoreStatement, WeightsStatement>;

struct Attention {
  std::string name;
  Place place;
  std::vector<Statement> statements;
  std::size_t defs_before = 0;  ///< how many defs of the file stand above it
};

struct File {
  std::string origin;
  std::string text;  ///< "" from the builder
  std::vector<DefStatement> defs;
  std::vector<Attention> attentions;
};

/// What a pattern was made from, so that with_const can resolve it again.
struct Syntax {
  std::shared_ptr<const File> file;
  std::size_t attention = 0;
  std::vector<ir::Const> overrides;
};

/// Makers that both doors share. They compute depth and join a minus with the literal after it; the
/// caller checks depth against max_depth.
ExprPtr make_boolean(bool value, Place place = {});
ExprPtr make_integer(std::int64_t value, Place place = {});
ExprPtr make_real(float value, Place place = {});
ExprPtr make_name(std::string_view name, Place place = {});
ExprPtr make_call(std::string_view name, std::vector<ExprPtr> arguments, Place place = {});
ExprPtr make_read(std::string_view name, std::vector<ExprPtr> indices, Place place = {});
ExprPtr make_unary(std::string_view op, ExprPtr operand, Place place = {});
ExprPtr make_binary(std::string_view op, ExprPtr left, ExprPtr right, Place place = {});
ExprPtr make_chain(std::vector<ExprPtr> operands, std::vector<std::string> operators,
                   std::vector<Place> places);

}  // namespace lacuna::lang
