#pragma once
#include "lacuna/error.hpp"

#include <span>
#include <string>
#include <string_view>

namespace lacuna {

/// Error{pattern} that reads
///   local.lac:7:12: 'windw' is not defined; did you mean 'window'?
///     mask windw(reach)
///          ^
/// `text` is the whole file. A span with line 0 (a builder's tree has no text) gives "file:
/// message" alone.
Error diagnose(std::string_view text, const Span& where, std::string_view message);

/// The candidate that a typist most likely meant, or "" where none is near: at most a third of the
/// letters differ, counting an exchange of neighbours as one. Ties go to the earlier candidate.
std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates);

/// "; did you mean 'window'?", or "" where nothing is near.
std::string suggestion(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace lacuna
