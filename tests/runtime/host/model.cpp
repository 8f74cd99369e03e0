#include "tests/runtime/host/model.h"

#include <algorithm>
#include <cmath>

namespace lacuna::runtime::host::test {
namespace {

struct Layout {
  int mantissa, exponent;
  int bias() const { return (1 << (exponent - 1)) - 1; }
};
Layout layout_of(Type type) {
  if (type.kind == 'h') return {7, 8};
  return type.bits == 16 ? Layout{10, 5} : type.bits == 32 ? Layout{23, 8} : Layout{52, 11};
}

Bits infinity_of(Type type) {
  return mask_of(layout_of(type).exponent) << layout_of(type).mantissa;
}
Bits sign_of(Type type) {
  return Bits{1} << (type.bits - 1);
}

}  // namespace

std::optional<Type> type_of(std::string_view word) {
  if (word == "pred") return Type{'p', 1};
  if (word == "bf16") return Type{'h', 16};
  if (word == "bf16x2") return Type{'h', 16, true};
  if (word == "f16x2") return Type{'f', 16, true};
  if (word == "tf32") return Type{'b', 32};
  if (word.size() < 2 || std::string_view("usbf").find(word[0]) == word.npos) return {};
  int bits = 0;
  for (char c : word.substr(1)) {
    if (c < '0' || c > '9') return {};
    bits = bits * 10 + (c - '0');
  }
  if (bits != 8 && bits != 16 && bits != 32 && bits != 64) return {};
  return Type{word[0], bits};
}

bool Form::has(std::string_view modifier) const {
  return std::find(modifiers.begin(), modifiers.end(), modifier) != modifiers.end();
}

Form form_of(std::string_view name) {
  Form form{.name = std::string(name)};
  for (bool first = true; !name.empty(); first = false) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view word = name.substr(0, dot);
    name.remove_prefix(std::min(dot + 1, name.size()));
    if (first)
      form.mnemonic = word;
    else if (const auto type = type_of(word))
      form.types.push_back(*type);
    else
      form.modifiers.emplace_back(word);
  }
  return form;
}

Bits mask_of(int bits) {
  return bits >= 64 ? ~Bits{0} : (Bits{1} << bits) - 1;
}

Wide integer_value(Bits bits, Type type) {
  bits &= mask_of(type.bits);
  if (type.kind == 's' && (bits >> (type.bits - 1) & 1) != 0)
    return static_cast<Wide>(bits) - (Wide{1} << type.bits);
  return static_cast<Wide>(bits);
}

Exact exact_of(Bits bits, Type type) {
  const Layout layout = layout_of(type);
  const Bits fraction = bits & mask_of(layout.mantissa);
  const int exponent = static_cast<int>(bits >> layout.mantissa & mask_of(layout.exponent));
  Exact value{.negative = (bits & sign_of(type)) != 0};
  if (exponent == static_cast<int>(mask_of(layout.exponent))) {
    (fraction == 0 ? value.infinite : value.nan) = true;
    return value;
  }
  value.mantissa = exponent == 0 ? fraction : fraction | Bits{1} << layout.mantissa;
  value.exponent = (exponent == 0 ? 1 : exponent) - layout.bias() - layout.mantissa;
  return value;
}

Exact exact_of(Wide integer) {
  Exact value{.negative = integer < 0};
  value.mantissa = static_cast<unsigned __int128>(integer < 0 ? -integer : integer);
  return value;
}

Bits canonical_nan(Type type) {
  return mask_of(type.bits - 1);
}

Bits round_to(const Exact& value, Type type, Mode mode) {
  const Layout layout = layout_of(type);
  const Bits sign = value.negative ? sign_of(type) : 0;
  if (value.nan) return canonical_nan(type);
  if (value.infinite) return sign | infinity_of(type);
  if (value.mantissa == 0) return sign;
  int top = 127;
  while ((value.mantissa >> top & 1) == 0) --top;
  const int lowest =
      1 - layout.bias() - layout.mantissa;  // exponent of the last place of subnormals
  const int place = std::max(value.exponent + top - layout.mantissa, lowest);
  const int drop = place - value.exponent;
  unsigned __int128 kept = drop <= 0    ? value.mantissa << -drop
                           : drop > 127 ? 0
                                        : value.mantissa >> drop;
  if (drop > 0) {
    const unsigned __int128 unit = drop > 127 ? 0 : static_cast<unsigned __int128>(1) << drop;
    const unsigned __int128 rest = drop > 127 ? value.mantissa : value.mantissa & (unit - 1);
    const unsigned __int128 half = drop > 128 ? ~static_cast<unsigned __int128>(0)
                                              : static_cast<unsigned __int128>(1) << (drop - 1);
    const bool up = mode == Mode::nearest ? rest > half || (rest == half && (kept & 1) != 0)
                    : mode == Mode::away  ? rest >= half
                    : mode == Mode::up    ? rest != 0 && !value.negative
                    : mode == Mode::down  ? rest != 0 && value.negative
                                          : false;
    kept += up;
  }
  // The carry of a rounded mantissa walks into the exponent by itself.
  const int exponent = place - lowest;
  const Bits bits = static_cast<Bits>(kept) + (static_cast<Bits>(exponent) << layout.mantissa);
  const bool overflows =
      exponent > static_cast<int>(mask_of(layout.exponent)) || bits >= infinity_of(type);
  if (!overflows) return sign | bits;
  const bool stays = mode == Mode::zero || (mode == Mode::up && value.negative) ||
                     (mode == Mode::down && !value.negative);
  return sign | (infinity_of(type) - (stays ? 1 : 0));
}

Mode mode_of(const Form& form) {
  if (form.has("rz") || form.has("rzi")) return Mode::zero;
  if (form.has("rm") || form.has("rmi")) return Mode::down;
  if (form.has("rp") || form.has("rpi")) return Mode::up;
  return form.has("rna") ? Mode::away : Mode::nearest;
}

bool is_nan(Bits bits, Type type) {
  return (bits & mask_of(type.bits - 1)) > infinity_of(type);
}

long double real_value(Bits bits, Type type) {
  const Exact value = exact_of(bits & mask_of(type.bits), type);
  if (value.nan) return NAN;
  const long double magnitude =
      value.infinite
          ? static_cast<long double>(INFINITY)
          : std::ldexp(static_cast<long double>(static_cast<std::uint64_t>(value.mantissa)),
                       value.exponent);
  return value.negative ? -magnitude : magnitude;
}

Bits flushed(Bits bits, Type type) {
  const bool small = (bits & infinity_of(type)) == 0;
  return small ? bits & sign_of(type) : bits;
}

Bits saturated(Bits bits, Type type) {
  const Bits one = round_to(exact_of(Wide{1}), type, Mode::nearest);
  if (is_nan(bits, type) || (bits & sign_of(type)) != 0) return 0;
  return std::min(bits, one);
}

std::optional<Answer> answer(const Form& form, const Bits* s) {
  if (form.mnemonic == "cvt" || form.mnemonic == "cvta" || form.mnemonic == "isspacep") return convert_answer(form, s);
  if (form.mnemonic == "setp" || form.mnemonic == "set" || form.mnemonic == "testp")
    return compare_answer(form, s);
  if (!form.types.empty() && form.types.back().real() && form.mnemonic != "selp" &&
      form.mnemonic != "mov" && form.mnemonic != "slct")
    return float_answer(form, s);
  return integer_answer(form, s);
}

bool agrees(const Answer& expected, Bits actual, Type type, bool flushes) {
  if (expected.exact) return actual == expected.bits;
  if (std::isnan(expected.value)) return actual == canonical_nan(type);
  if (is_nan(actual, type)) return false;
  const long double got = real_value(actual, type);
  if (std::isinf(expected.value) || std::isinf(got)) {
    if (got == expected.value) return true;
    // Rounding may step over the edge of the range, in either direction.
    const long double most = real_value(infinity_of(type) - 1, type);
    const long double other = std::isinf(got) ? expected.value : got;
    return std::signbit(got) == std::signbit(expected.value) &&
           std::fabs(other) >= most * 0.999999L;
  }
  const Layout layout = layout_of(type);
  const int lowest = 1 - layout.bias();
  int exponent = expected.value == 0 ? lowest : std::ilogb(expected.value);
  const long double unit = std::ldexp(1.0L, std::max(exponent, lowest) - layout.mantissa);
  const long double least = std::ldexp(1.0L, lowest);
  if (flushes && std::fabs(expected.value) < least * 1.000001L && got == 0) return true;
  return std::fabs(got - expected.value) <= std::max(expected.ulps * unit, expected.absolute);
}

}  // namespace lacuna::runtime::host::test
