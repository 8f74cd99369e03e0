#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lacuna/error.hpp"

namespace lacuna {
namespace ir {
struct Pattern;  // compiler/ir/pattern.h
}
inline namespace LACUNA_ABI {

/// A value of the language: bool, i32 or f32.
using Literal = std::variant<bool, std::int32_t, float>;

/// Which query may look at which key, and how scores become weights: one `attention` of a .lac text,
/// resolved and typed. An immutable value; cheap to copy; equality is structural (design §2).
class Pattern {
 public:
  /// Parses `text` and resolves the attention called `attention` (empty: the only one).
  /// `origin` stands in messages before the line, and in generated code.
  /// Throws Error{pattern} with line, column and caret.
  static Pattern parse(std::string_view text, std::string_view origin = "<text>", std::string_view attention = {});
  /// The same for a file. Throws Error{io} where it cannot be read.
  static Pattern load(const std::filesystem::path& file, std::string_view attention = {});
  /// The names of the attentions in a text, in order.
  static std::vector<std::string> names(std::string_view text, std::string_view origin = "<text>");

  /// The same pattern with `const name` replaced. Throws Error{argument} where there is no such const or the type differs.
  Pattern with_const(std::string_view name, Literal value) const;

  const std::string& name() const;
  /// Canonical text of the resolved pattern: parses again to an equal pattern.
  std::string text() const;
  /// 32 hex digits over structure (masks, score, weights, params, tensors), not over names of defs, spelling or layout.
  std::string digest() const;
  /// Whether the statistic of rows is zmax and gap: all but softmax, which entmax of the constant 1 is. An alpha that may be 1
  /// when a call runs, a param or a tensor, makes no softmax of it.
  bool is_entmax() const;
  bool operator==(const Pattern& other) const;

  explicit Pattern(std::shared_ptr<const ir::Pattern> tree) : tree_(std::move(tree)) {}
  const ir::Pattern& tree() const { return *tree_; }

 private:
  std::shared_ptr<const ir::Pattern> tree_;
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
