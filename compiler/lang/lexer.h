#pragma once
#include "compiler/lang/token.h"

#include <string>
#include <string_view>
#include <vector>

namespace lacuna::lang {

inline constexpr std::size_t max_text = 64 * 1024;

/// The tokens of a text, the last of kind end. A newline is a token where it may end a statement:
/// outside ( ) and [ ]. Views point into `text`. Throws Error{pattern} on a character that is not
/// ASCII or not of the language.
std::vector<Token> lex(const std::string& origin, std::string_view text);

/// A slice of a text on one line: comments dropped, blanks joined.
std::string one_line(std::string_view slice);

}  // namespace lacuna::lang
