#include "tests/runtime/host/model.h"

#include <cmath>

namespace lacuna::runtime::host::test {
namespace {

/// The integer that a real value rounds to, in the range of `type`.
Answer to_integer(const Form& form, Bits bits, Type to, Type from) {
  const Exact value = exact_of(bits, from);
  const bool wide = from.bits == 64 || to.bits == 64;
  const Wide lowest = to.kind == 's' ? -(Wide{1} << (to.bits - 1)) : 0,
             highest = lowest + (Wide{1} << to.bits) - 1;
  const Wide undefined = to.kind == 's' ? lowest : Wide{1} << (to.bits - 1);
  if (value.nan)
    return {.bits = wide ? static_cast<Bits>(undefined) & mask_of(to.register_bits()) : 0};
  Wide whole = 0;
  if (value.infinite || value.exponent > 64) {
    whole = value.mantissa == 0 && !value.infinite ? 0 : Wide{1} << 100;
  } else if (value.exponent >= 0) {
    whole = static_cast<Wide>(value.mantissa << value.exponent);
  } else {
    const int drop = std::min(-value.exponent, 120);
    whole = static_cast<Wide>(value.mantissa >> drop);
    const unsigned __int128 unit = static_cast<unsigned __int128>(1) << drop,
                            rest = value.mantissa & (unit - 1);
    const Mode mode = mode_of(form);
    const bool up = mode == Mode::nearest
                        ? rest > unit / 2 || (rest == unit / 2 && (whole & 1) != 0)
                    : mode == Mode::up   ? rest != 0 && !value.negative
                    : mode == Mode::down ? rest != 0 && value.negative
                                         : false;
    whole += up;
  }
  if (value.negative) whole = -whole;
  return {.bits = static_cast<Bits>(std::min(std::max(whole, lowest), highest)) &
                  mask_of(to.register_bits())};
}

/// A real value rounded to a whole one of the same type.
Bits to_whole(const Form& form, Bits bits, Type type) {
  if (is_nan(bits, type)) return canonical_nan(type);
  const long double x = real_value(bits, type);
  const Mode mode = mode_of(form);
  const long double y = mode == Mode::nearest ? std::nearbyint(x)
                        : mode == Mode::zero  ? std::trunc(x)
                        : mode == Mode::down  ? std::floor(x)
                                              : std::ceil(x);
  if (std::isinf(y)) return bits;
  Exact whole = exact_of(static_cast<Wide>(0));
  int exponent = 0;
  whole.mantissa = static_cast<std::uint64_t>(std::ldexp(std::frexp(std::fabs(y), &exponent), 64));
  whole.exponent = exponent - 64;
  whole.negative = std::signbit(x);
  return round_to(whole, type, Mode::nearest);
}

Bits to_real(const Form& form, Bits bits, Type to, Type from) {
  const bool ftz = form.has("ftz");
  if (!from.real()) return round_to(exact_of(integer_value(bits, from)), to, mode_of(form));
  bits &= mask_of(from.bits);
  if (ftz && from.bits == 32) bits = flushed(bits, from);
  const bool whole = form.has("rni") || form.has("rzi") || form.has("rmi") || form.has("rpi");
  Bits result = 0;
  if (whole)
    result = to_whole(form, bits, to);
  else if (to.kind == from.kind && to.bits == from.bits)
    result = bits;
  else
    result = round_to(exact_of(bits, from), to, mode_of(form));
  if (ftz && to.bits == 32 && !is_nan(result, to)) result = flushed(result, to);
  if (ftz && is_nan(result, to)) result = canonical_nan(to);
  if (form.has("relu") && !is_nan(result, to) && (result >> (to.bits - 1)) != 0) result = 0;
  return result;
}

Bits convert(const Form& form, Bits bits, Type to, Type from) {
  if (to.real() && form.has("sat")) {
    // Clamped first: rounding keeps what lies in [0, 1] there.
    Form plain = form;
    std::erase(plain.modifiers, "sat");
    return saturated(convert(plain, bits, to, from), to);
  }
  if (to.real()) return to_real(form, bits, to, from);
  if (from.real()) {
    bits &= mask_of(from.bits);
    if (form.has("ftz")) bits = flushed(bits, from);
    return to_integer(form, bits, to, from).bits;
  }
  Wide value = integer_value(bits, from);
  if (form.has("sat")) {
    const Wide lowest = to.kind == 's' ? -(Wide{1} << (to.bits - 1)) : 0,
               highest = lowest + (Wide{1} << to.bits) - 1;
    value = std::min(std::max(value, lowest), highest);
  }
  return static_cast<Bits>(integer_value(static_cast<Bits>(value), to)) &
         mask_of(to.register_bits());
}

}  // namespace

std::optional<Answer> convert_answer(const Form& form, const Bits* s) {
  if (form.mnemonic == "cvta" || form.mnemonic == "isspacep") {
    const Bits tag = form.has("shared") ? 1 : form.has("local") ? 2 : form.has("param") ? 3 : 0;
    if (form.mnemonic == "isspacep") return Answer{.bits = s[0] >> 56 == tag};
    return Answer{.bits = form.has("to") ? s[0] - (tag << 56) : s[0] + (tag << 56)};
  }
  if (form.types.size() != 2) return {};
  Type to = form.types[0];
  if (form.name == "cvt.rna.tf32.f32") {
    // 10 bits of mantissa: an f32 whose low 13 bits are rounded away.
    const Bits bits = s[0] & mask_of(32);
    if (is_nan(bits, {'f', 32})) return Answer{.bits = canonical_nan({'f', 32})};
    if ((bits & 0x7fffffff) == 0x7f800000) return Answer{.bits = bits};
    return Answer{.bits = ((bits >> 13) + (bits >> 12 & 1)) << 13};
  }
  if (!to.pairs) return Answer{.bits = convert(form, s[0], to, form.types[1])};
  to.pairs = false;
  return Answer{.bits = convert(form, s[0], to, form.types[1]) << 16 |
                        convert(form, s[1], to, form.types[1])};
}

}  // namespace lacuna::runtime::host::test
