#pragma once
#include "compiler/lang/ast.h"

#include <memory>
#include <string>
#include <string_view>

namespace lacuna::lang {

/// The tree of a text: its grammar, and nothing about names or types. Throws Error{pattern}.
/// A library has defs only; any other text has an attention.
enum class TextKind : bool { program, library };
std::shared_ptr<const File> parse_file(std::string origin, std::string_view text,
                                       TextKind kind = TextKind::program);

}  // namespace lacuna::lang
