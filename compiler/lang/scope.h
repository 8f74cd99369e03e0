#pragma once
#include "compiler/lang/ast.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lacuna::lang {

class Scope;

/// The names that can be seen from one place: what its scope declared before it, then the scopes
/// outside.
struct View {
  const Scope* scope = nullptr;
  std::size_t visible = 0;
};

enum class NameKind : std::uint8_t { param, constant, tensor, def };
std::string_view name_of(NameKind kind);

struct Declaration {
  NameKind kind;
  std::string name;
  Place place;
  std::uint32_t index = 0;            ///< of a param, const or tensor in the pattern
  const DefStatement* def = nullptr;  ///< of a def
  View names;                         ///< of a def: what its body sees
  ir::Dependence uses = 0;            ///< of a def: what its text mentions, arguments aside
};

/// What stands after a name decides what it may be.
enum class Sought : std::uint8_t {
  value,   ///< neither ( nor [: a param, a const, a def without parameters
  call,    ///< before (: a def with parameters
  tensor,  ///< before [
};

/// The names of an attention, of its file, or of patterns.lac, in the order of their declaration.
class Scope {
 public:
  /// Of a file, with its first `defs` defs declared.
  Scope(const File& file, View outer, std::size_t defs);
  /// Of an attention of the file, empty.
  Scope(const File& file, View outer, const Attention& attention)
      : file_(file), outer_(outer), attention_(&attention) {}
  Scope(const Scope&) = delete;  // declarations point back here

  /// A param, const or tensor. Throws Error{pattern} where the name is a keyword, built in, or
  /// declared here before.
  Declaration& declare(NameKind kind, const std::string& name, Place place);
  /// The same for a def, with every name of its body looked up.
  Declaration& declare(const DefStatement& def);

  View view() const { return {this, declarations_.size()}; }
  const File& file() const { return file_; }
  View outer() const { return outer_; }
  /// The line of the declaration of `name` in this scope's text, wherever it stands; 0: none.
  int line_of(std::string_view name) const;
  const std::deque<Declaration>& declarations() const { return declarations_; }
  [[noreturn]] void fail(Place place, std::string_view message) const;

 private:
  friend const Declaration* find(View, std::string_view, Sought);
  void check_new(const std::string& name, Place place) const;
  Declaration& add(NameKind kind, const std::string& name, Place place, bool value);

  const File& file_;
  View outer_;
  const Attention* attention_ = nullptr;
  std::deque<Declaration> declarations_;  // a deque: pointers to them stay
  std::unordered_multimap<std::string_view, std::size_t> by_name_;
};

/// The nearest declaration of that kind, or null.
const Declaration* find(View names, std::string_view name, Sought sought);

/// Looks up every name of an expression, `def` being the def whose body it is (null: a
/// statement's). Throws Error{pattern} for one that means nothing here. Gives the values that the
/// expression mentions, through defs too; its types are not looked at.
ir::Dependence check_names(const Expr& expr, View names, const DefStatement* def);

/// The position of a def's parameter, or -1.
int parameter_index(const DefStatement* def, std::string_view name);

}  // namespace lacuna::lang
