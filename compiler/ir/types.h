#pragma once
#include <cstdint>
#include <string_view>

namespace lacuna::ir {

enum class Type : std::uint8_t { boolean, i32, f32 };

constexpr std::string_view name_of(Type type) {
  constexpr std::string_view names[] = {"bool", "i32", "f32"};
  return names[static_cast<int>(type)];
}

/// The built-in values (design §2). All i32 but score, which is f32.
enum class Variable : std::uint8_t {
  b,
  h,
  g,
  q,
  k,
  q_len,
  k_len,
  batch,
  heads,
  kv_heads,
  head_dim,
  score
};
inline constexpr std::string_view variable_names[] = {
    "b", "h", "g", "q", "k", "q_len", "k_len", "batch", "heads", "kv_heads", "head_dim", "score"};
constexpr std::string_view name_of(Variable v) {
  return variable_names[static_cast<int>(v)];
}

}  // namespace lacuna::ir
