#include "compiler/lang/scope.h"

#include "compiler/base/diagnostic.h"
#include "compiler/lang/words.h"

#include <fmt/format.h>

namespace lacuna::lang {
namespace {

/// At most one of the declarations of a name in one scope does.
bool answers(const Declaration& declaration, Sought sought) {
  bool def = declaration.kind == NameKind::def;
  switch (sought) {
    case Sought::tensor:
      return declaration.kind == NameKind::tensor;
    case Sought::call:
      return def && !declaration.def->parameters.empty();
    case Sought::value:
      break;
  }
  return def ? declaration.def->parameters.empty() : declaration.kind != NameKind::tensor;
}

}  // namespace

std::string_view name_of(NameKind kind) {
  constexpr std::string_view names[] = {"param", "const", "tensor", "def"};
  return names[static_cast<int>(kind)];
}

Scope::Scope(const File& file, View outer, std::size_t defs) : file_(file), outer_(outer) {
  for (std::size_t i = 0; i < defs; ++i) declare(file.defs[i]);
}

void Scope::fail(Place place, std::string_view message) const {
  throw diagnose(file_.text, {file_.origin, place.line, place.column}, message);
}

void Scope::check_new(const std::string& name, Place place) const {
  if (!is_name(name)) fail(place, fmt::format("'{}' is not a name: letters, digits and '_'", name));
  if (is_keyword(name)) fail(place, fmt::format("'{}' is a keyword", name));
  if (builtin_value(name) || function_arity(name) > 0) {
    fail(place, fmt::format("'{}' is built in and cannot be redefined", name));
  }
}

/// Two declarations of one name clash where both are defs, both are tensors, or both are values.
Declaration& Scope::add(NameKind kind, const std::string& name, Place place, bool value) {
  check_new(name, place);
  for (auto [at, end] = by_name_.equal_range(name); at != end; ++at) {
    const Declaration& old = declarations_[at->second];
    bool clash = old.kind == kind || (value && answers(old, Sought::value));
    if (!clash) continue;
    auto where = old.place.line > 0 ? fmt::format(" at line {}", old.place.line) : std::string();
    fail(place, fmt::format("'{}' is already a {}{}", name, name_of(old.kind), where));
  }
  declarations_.push_back({kind, name, place});
  by_name_.emplace(declarations_.back().name, declarations_.size() - 1);
  return declarations_.back();
}

Declaration& Scope::declare(NameKind kind, const std::string& name, Place place) {
  return add(kind, name, place, kind != NameKind::tensor);
}

Declaration& Scope::declare(const DefStatement& def) {
  check_new(def.name, def.place);
  View names = view();
  for (std::size_t i = 0; i < def.parameters.size(); ++i) {
    const auto& parameter = def.parameters[i];
    check_new(parameter.name, parameter.place);
    if (parameter_index(&def, parameter.name) != static_cast<int>(i)) {
      fail(parameter.place, fmt::format("'{}' has two parameters '{}'", def.name, parameter.name));
    }
  }
  ir::Dependence uses = check_names(*def.body, names, &def);
  Declaration& declaration = add(NameKind::def, def.name, def.place, def.parameters.empty());
  declaration.def = &def;
  declaration.names = names;
  declaration.uses = uses;
  return declaration;
}

int Scope::line_of(std::string_view name) const {
  if (!attention_) {
    for (const DefStatement& def : file_.defs) {
      if (def.name == name) return def.place.line;
    }
    return 0;
  }
  for (const Statement& statement : attention_->statements) {
    int line = std::visit(
        [&](const auto& s) {
          if constexpr (requires { s.name; }) return s.name == name ? s.place.line : 0;
          return 0;
        },
        statement);
    bool weights = std::holds_alternative<WeightsStatement>(statement);
    if (line > 0 && !weights) return line;
  }
  return 0;
}

const Declaration* find(View names, std::string_view name, Sought sought) {
  for (; names.scope; names = names.scope->outer()) {
    auto [at, end] = names.scope->by_name_.equal_range(name);
    for (; at != end; ++at) {
      const Declaration& declaration = names.scope->declarations_[at->second];
      if (at->second < names.visible && answers(declaration, sought)) return &declaration;
    }
  }
  return nullptr;
}

int parameter_index(const DefStatement* def, std::string_view name) {
  if (!def) return -1;
  for (std::size_t i = 0; i < def->parameters.size(); ++i) {
    if (def->parameters[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace lacuna::lang
