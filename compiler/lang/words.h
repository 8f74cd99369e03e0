#pragma once
#include "compiler/ir/types.h"

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace lacuna::lang {

/// Words that stand for themselves everywhere. `score` is both: a statement and a built-in value.
bool is_keyword(std::string_view word);
std::span<const std::string_view> keywords();

/// b, h, q, score ...
std::optional<ir::Variable> builtin_value(std::string_view name);

/// The operands that a function takes (0: no such function): the alphabetic rows of ops.def, and
/// softcap.
int function_arity(std::string_view name);
std::vector<std::string_view> functions();

/// A letter or '_', then letters, digits and '_'.
bool is_name(std::string_view text);

}  // namespace lacuna::lang
