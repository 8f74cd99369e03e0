#pragma once
#include "compiler/lang/ast.h"

#include <memory>

namespace lacuna::lang {

inline constexpr std::size_t max_params = 64, max_tensors = 32, max_axes = 6;

/// One attention with its names looked up, its defs expanded and its types checked. Throws
/// Error{pattern}.
std::shared_ptr<const ir::Pattern> resolve(const Syntax& syntax);

/// The text of patterns.lac, embedded.
std::string_view library_text();

}  // namespace lacuna::lang
