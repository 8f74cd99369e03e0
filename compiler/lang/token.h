#pragma once
#include <cstdint>
#include <string_view>

namespace lacuna::lang {

/// 1-based; line 0 where there is no text (a builder's tree).
struct Place {
  int line = 0, column = 0;
  bool operator==(const Place&) const = default;
};

enum class TokenKind : std::uint8_t { name, keyword, integer, real, symbol, newline, end };

struct Token {
  TokenKind kind;
  std::string_view text;  ///< a slice of the source; "" for newline and end
  Place place;
  bool is(std::string_view spelling) const {
    return text == spelling && kind != TokenKind::newline && kind != TokenKind::end;
  }
};

}  // namespace lacuna::lang
