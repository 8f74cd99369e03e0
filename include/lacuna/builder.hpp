#pragma once
#include "lacuna/error.hpp"
#include "lacuna/pattern.hpp"

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The language as C++: the same tree that a text gives, so the same Pattern.
///
///   using namespace lacuna::build;
///   AttentionBuilder a("local");
///   auto reach = a.param("reach", 1024);
///   auto doc = a.tensor("doc", Type::i32, {batch, key});
///   a.mask(k <= q);
///   a.mask(q - k < reach or k < 4);
///   a.mask(call("document", {doc}));
///   a.score(softcap(score, 30.0));
///   a.weights(entmax(1.5));
///   lacuna::Pattern pattern = a.build();
///
/// Names and types are looked at by build(). A mistake throws Error{pattern} with the attention's
/// name as the place.
namespace lacuna {
namespace lang {
struct Expr;  // compiler/lang/ast.h
struct Attention;
}  // namespace lang
inline namespace LACUNA_ABI {
namespace build {

/// An expression. Numbers, true and false convert to it; nothing of it is looked up or typed yet.
class Expr {
 public:
  template <std::same_as<bool> T>
  Expr(T value) : Expr(boolean(value)) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Expr(T value)
      : Expr(integer(static_cast<std::int64_t>(value))) {}
  template <std::floating_point T>
  Expr(T value) : Expr(real(static_cast<double>(value))) {}

  explicit Expr(std::shared_ptr<const lang::Expr> tree);
  const std::shared_ptr<const lang::Expr>& tree() const { return tree_; }

 private:
  static Expr boolean(bool value);
  static Expr integer(std::int64_t value);
  static Expr real(double value);

  std::shared_ptr<const lang::Expr> tree_;
};

/// A value that every attention has: see design, Names.
struct Value {
  std::string_view name;
  operator Expr() const;
};
inline constexpr Value b{"b"}, h{"h"}, g{"g"}, q{"q"}, k{"k"}, q_len{"q_len"}, k_len{"k_len"},
    heads{"heads"}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, score{"score"};

/// One axis of a tensor: a number is its extent.
struct Axis {
  enum class Kind : std::uint8_t { batch, head, kv_head, query, key, fixed, any };
  Kind kind;
  std::int64_t extent = 0;
  constexpr Axis(Kind axis) : kind(axis) {}
  template <std::integral T>
  constexpr Axis(T entries) : kind(Kind::fixed), extent(static_cast<std::int64_t>(entries)) {}
};
inline constexpr Axis head{Axis::Kind::head}, kv_head{Axis::Kind::kv_head},
    query{Axis::Kind::query}, key{Axis::Kind::key}, any{Axis::Kind::any};

/// Both a value, the number of sequences, and an axis.
struct Batch : Value {
  operator Axis() const { return Axis::Kind::batch; }
};
inline constexpr Batch batch{{"batch"}};

enum class Type : std::uint8_t { boolean, i32, f32 };

/// A def of patterns.lac. Without arguments it stands alone: call("causal").
Expr call(std::string_view name, std::vector<Expr> arguments = {});
/// An operator as the text spells it.
Expr unary(std::string_view op, const Expr& x);
Expr binary(std::string_view op, const Expr& x, const Expr& y);

/// A declared tensor: t(b, q) reads it, and its name alone may be an argument of a def.
class Tensor {
 public:
  explicit Tensor(std::string name) : name_(std::move(name)) {}
  template <std::convertible_to<Expr>... Indices>
  Expr operator()(const Indices&... indices) const {
    return read({Expr(indices)...});
  }
  operator Expr() const;

 private:
  Expr read(std::vector<Expr> indices) const;
  std::string name_;
};

inline Expr operator+(const Expr& x, const Expr& y) {
  return binary("+", x, y);
}
inline Expr operator-(const Expr& x, const Expr& y) {
  return binary("-", x, y);
}
inline Expr operator*(const Expr& x, const Expr& y) {
  return binary("*", x, y);
}
inline Expr operator/(const Expr& x, const Expr& y) {
  return binary("/", x, y);
}
inline Expr operator%(const Expr& x, const Expr& y) {
  return binary("%", x, y);
}
inline Expr operator&(const Expr& x, const Expr& y) {
  return binary("&", x, y);
}
inline Expr operator|(const Expr& x, const Expr& y) {
  return binary("|", x, y);
}
inline Expr operator^(const Expr& x, const Expr& y) {
  return binary("^", x, y);
}
inline Expr operator<<(const Expr& x, const Expr& y) {
  return binary("<<", x, y);
}
inline Expr operator>>(const Expr& x, const Expr& y) {
  return binary(">>", x, y);
}
inline Expr operator==(const Expr& x, const Expr& y) {
  return binary("==", x, y);
}
inline Expr operator!=(const Expr& x, const Expr& y) {
  return binary("!=", x, y);
}
inline Expr operator<(const Expr& x, const Expr& y) {
  return binary("<", x, y);
}
inline Expr operator<=(const Expr& x, const Expr& y) {
  return binary("<=", x, y);
}
inline Expr operator>(const Expr& x, const Expr& y) {
  return binary(">", x, y);
}
inline Expr operator>=(const Expr& x, const Expr& y) {
  return binary(">=", x, y);
}
/// Lazy in meaning, as in the text: the second operand is evaluated only where it is needed.
inline Expr operator&&(const Expr& x, const Expr& y) {
  return binary("and", x, y);
}
inline Expr operator||(const Expr& x, const Expr& y) {
  return binary("or", x, y);
}
inline Expr operator!(const Expr& x) {
  return unary("not", x);
}
inline Expr operator-(const Expr& x) {
  return unary("-", x);
}
inline Expr operator~(const Expr& x) {
  return unary("~", x);
}

/// `//` of the text: toward minus infinity.
inline Expr floordiv(const Expr& x, const Expr& y) {
  return binary("//", x, y);
}
inline Expr min(const Expr& x, const Expr& y) {
  return call("min", {x, y});
}
inline Expr max(const Expr& x, const Expr& y) {
  return call("max", {x, y});
}
inline Expr abs(const Expr& x) {
  return call("abs", {x});
}
inline Expr where(const Expr& c, const Expr& x, const Expr& y) {
  return call("where", {c, x, y});
}
inline Expr floor(const Expr& x) {
  return call("floor", {x});
}
inline Expr exp(const Expr& x) {
  return call("exp", {x});
}
inline Expr log(const Expr& x) {
  return call("log", {x});
}
inline Expr sqrt(const Expr& x) {
  return call("sqrt", {x});
}
inline Expr tanh(const Expr& x) {
  return call("tanh", {x});
}
inline Expr softcap(const Expr& x, const Expr& c) {
  return call("softcap", {x, c});
}
inline Expr i32(const Expr& x) {
  return call("i32", {x});
}
inline Expr f32(const Expr& x) {
  return call("f32", {x});
}

/// How scores become weights.
struct Weights {
  std::string name;
  std::string argument;
  std::optional<Expr> value;
};
inline Weights softmax() {
  return {"softmax", {}, {}};
}
inline Weights softmax(const Expr& sink) {
  return {"softmax", "sink", sink};
}
inline Weights entmax(const Expr& alpha) {
  return {"entmax", "alpha", alpha};
}
inline Weights sparsemax() {
  return {"sparsemax", {}, {}};
}

enum class Strategy : std::uint8_t { automatic, select, order, tiles, elements };

/// What is known or wished of one mask. It changes plans, never results.
struct MaskWish {
  std::optional<double> hint = {};  ///< the fraction of pairs that the mask leaves
  Strategy plan = Strategy::automatic;
};

/// One attention, statement by statement; their order is the text's.
class AttentionBuilder {
 public:
  explicit AttentionBuilder(std::string_view name);
  ~AttentionBuilder();
  AttentionBuilder(AttentionBuilder&&) noexcept;
  AttentionBuilder& operator=(AttentionBuilder&&) noexcept;

  /// Without a default every call must bind it.
  Expr param(std::string_view name, Type type, std::optional<Expr> initial = {});
  Expr param(std::string_view name, std::same_as<bool> auto initial) {
    return param(name, Type::boolean, Expr(initial));
  }
  template <std::integral T>
  requires(!std::same_as<T, bool>) Expr param(std::string_view name, T initial) {
    return param(name, Type::i32, Expr(initial));
  }
  Expr param(std::string_view name, std::floating_point auto initial) {
    return param(name, Type::f32, Expr(initial));
  }
  Expr constant(std::string_view name, const Expr& value);
  Tensor tensor(std::string_view name, Type type, std::initializer_list<Axis> axes);
  AttentionBuilder& mask(const Expr& expr, const MaskWish& wish = {});
  AttentionBuilder& score(const Expr& expr);
  AttentionBuilder& weights(const Weights& weights);

  Pattern build() const;

 private:
  std::unique_ptr<lang::Attention> attention_;
};

}  // namespace build
}  // namespace LACUNA_ABI
}  // namespace lacuna
