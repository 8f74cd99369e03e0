#pragma once
#include "lacuna/error.hpp"

#include <fmt/format.h>

namespace lacuna::ir {

/// Throws Error{argument}: one sentence that names the culprit and the limit.
template <class... T>
[[noreturn]] void reject(fmt::format_string<T...> format, T&&... values) {
  throw Error(ErrorKind::argument, fmt::format(format, std::forward<T>(values)...));
}

}  // namespace lacuna::ir
