#include "tools/lacuna/arguments.h"

#include "compiler/base/diagnostic.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace lacuna::tool {
namespace {

template <class... T>
Error wrong(fmt::format_string<T...> text, T&&... values) {
  return Error(ErrorKind::argument, fmt::format(text, std::forward<T>(values)...));
}

std::string_view trimmed(std::string_view text) {
  auto first = text.find_first_not_of(' ');
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(' ') + 1 - first);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// All of `text` as a number, the way the language writes one; no locale.
std::optional<double> parse_real(std::string_view text) {
  bool negative = text.substr(0, 1) == "-";
  std::string_view digits = text.substr(negative ? 1 : 0);
  double value = 0;
  if (digits == "inf") {
    value = std::numeric_limits<double>::infinity();
  } else {
    if (digits.empty() || digits[0] == '-' || std::isalpha(static_cast<unsigned char>(digits[0])))
      return {};
    auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (failed != std::errc{} || end != digits.data() + digits.size()) return {};
  }
  return negative ? -value : value;
}

int parse_head_dim(std::string_view name, std::int64_t value) {
  if (value > 4096)
    throw wrong("--shape: {}={} is no head dimension; it is at most 256", name, value);
  return static_cast<int>(value);
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
  bool negative = text.substr(0, 1) == "-";
  std::string_view digits = text.substr(negative ? 1 : 0);
  int base = 10;
  if (digits.substr(0, 2) == "0x") base = 16, digits.remove_prefix(2);
  if (digits.empty() || digits[0] == '-') return {};
  std::int64_t value = 0;
  auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (failed != std::errc{} || end != digits.data() + digits.size()) return {};
  return negative ? -value : value;
}

Extents parse_shape(std::string_view text) {
  Extents extents = parse_extents(text);
  if (!extents.has_rows)
    throw wrong("--shape needs Nq, the number of queries (or N for queries and keys)");
  return extents;
}

Extents parse_extents(std::string_view text) {
  if (text.empty()) return {};
  const std::vector<std::string_view> keys = {"B", "H", "G", "Nq", "Nk", "D", "Dv", "N"};
  std::vector<std::optional<std::int64_t>> given(keys.size());
  for (std::string_view part : split(text, ',')) {
    auto equals = part.find('=');
    auto key = trimmed(part.substr(0, equals));
    auto found = std::find(keys.begin(), keys.end(), key);
    if (equals == part.npos || found == keys.end()) {
      throw wrong("--shape: '{}' is not one of {}=N", part, fmt::join(keys, "=N, "));
    }
    auto& slot = given[found - keys.begin()];
    if (slot) throw wrong("--shape: {} is given twice", key);
    slot = parse_integer(trimmed(part.substr(equals + 1)));
    if (!slot || *slot < 0 || *slot > std::numeric_limits<std::int32_t>::max()) {
      throw wrong("--shape: '{}' is not a count from 0 to 2147483647", part);
    }
  }
  if (!given[3]) given[3] = given[7];
  if (!given[4]) given[4] = given[7] ? given[7] : given[3];
  Extents extents;
  extents.has_rows = given[3].has_value();
  extents.has_batch = given[0].has_value();
  extents.shape.batch = given[0].value_or(1);
  extents.shape.heads = given[1].value_or(1);
  extents.shape.kv_heads = given[2].value_or(extents.shape.heads);
  extents.shape.queries = given[3].value_or(0);
  extents.shape.keys = given[4].value_or(0);
  extents.head_dim = parse_head_dim("D", given[5].value_or(64));
  extents.value_dim = parse_head_dim("Dv", given[6].value_or(extents.head_dim));
  return extents;
}

std::vector<Named> parse_named(std::string_view flag, const std::vector<std::string>& texts) {
  std::vector<Named> all;
  for (const std::string& text : texts) {
    auto equals = text.find('=');
    if (equals == text.npos || equals == 0 || equals + 1 == text.size()) {
      throw wrong("{} '{}' is not NAME=VALUE", flag, text);
    }
    auto name = text.substr(0, equals);
    for (const Named& other : all) {
      if (other.name == name) throw wrong("{} {} is given twice", flag, name);
    }
    all.push_back({name, text.substr(equals + 1)});
  }
  return all;
}

float parse_float(std::string_view flag, std::string_view text) {
  auto value = parse_real(text);
  if (!value && text != "nan") throw wrong("{} '{}' is not a number", flag, text);
  if (!value || !std::isfinite(static_cast<float>(*value)))
    throw wrong("{} '{}' is not a finite f32", flag, text);
  return static_cast<float>(*value);
}

std::size_t choose(std::string_view flag, std::string_view name,
                   const std::vector<std::string_view>& names) {
  auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return found - names.begin();
  throw wrong("{} '{}' is not one of {}{}", flag, name, fmt::join(names, ", "),
              suggestion(name, names));
}

DType parse_dtype(std::string_view text) {
  constexpr DType types[] = {DType::f16, DType::bf16, DType::f32};
  return types[choose("--dtype", text, {"f16", "bf16", "f32"})];
}

DeviceKind parse_device(std::string_view text) {
  return static_cast<DeviceKind>(choose("--device", text, {"auto", "host", "cuda"}));
}

CompilerKind parse_compiler(std::string_view text) {
  return static_cast<CompilerKind>(choose("--compiler", text, {"auto", "nvrtc", "llvm"}));
}

Literal parse_literal(std::string_view what, ir::Type type, std::string_view text) {
  auto integer = parse_integer(text);
  switch (type) {
    case ir::Type::boolean:
      if (text == "true" || text == "1") return true;
      if (text == "false" || text == "0") return false;
      throw wrong("{} is bool, and '{}' is neither true nor false", what, text);
    case ir::Type::i32:
      if (!integer) throw wrong("{} is i32, and '{}' is not an integer", what, text);
      if (*integer < INT32_MIN || *integer > INT32_MAX)
        throw wrong("{} is i32, and {} does not fit", what, text);
      return static_cast<std::int32_t>(*integer);
    case ir::Type::f32:
      break;
  }
  auto real = integer ? std::optional<double>(static_cast<double>(*integer)) : parse_real(text);
  if (!real) throw wrong("{} is f32, and '{}' is not a number", what, text);
  return static_cast<float>(*real);
}

std::string print_literal(const Literal& value) {
  return std::visit([](auto v) { return fmt::format("{}", v); }, value);
}

std::vector<ParamValue> bind_params(const ir::Pattern& pattern,
                                    const std::vector<std::string>& texts) {
  std::vector<std::string_view> names;
  for (const ir::Param& param : pattern.params) names.push_back(param.name);
  auto given = parse_named("--param", texts);
  for (const Named& one : given) {
    if (std::find(names.begin(), names.end(), one.name) != names.end()) continue;
    for (const ir::Const& constant : pattern.consts) {
      if (constant.name != one.name) continue;
      throw wrong("'{0}' is a const of {1}, folded into its code: pass --const {0}={2}", one.name,
                  pattern.name, one.value);
    }
    throw wrong("{} has no param '{}'{}", pattern.name, one.name, suggestion(one.name, names));
  }
  std::vector<ParamValue> values;
  for (const ir::Param& param : pattern.params) {
    auto found =
        std::find_if(given.begin(), given.end(), [&](auto& one) { return one.name == param.name; });
    auto what = fmt::format("param '{}'", param.name);
    if (found != given.end()) {
      values.push_back({param.name, parse_literal(what, param.type, found->value)});
    } else if (param.initial) {
      values.push_back({param.name, *param.initial});
    } else {
      throw wrong("{} of {} has no default: pass --param {}=<{}>", what, pattern.name, param.name,
                  ir::name_of(param.type));
    }
  }
  return values;
}

}  // namespace lacuna::tool
