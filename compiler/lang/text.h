#pragma once
#include "compiler/ir/pattern.h"

#include <string>

namespace lacuna::lang {

/// The canonical text of a pattern: see lacuna::Pattern::text. What would be too long or too deep
/// with every def expanded is written with defs for what is shared.
std::string text(const ir::Pattern& pattern);

/// 32 digits over the structure of a pattern: see lacuna::Pattern::digest.
std::string digest(const ir::Pattern& pattern);

}  // namespace lacuna::lang
