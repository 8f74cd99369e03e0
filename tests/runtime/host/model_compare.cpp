#include "tests/runtime/host/model.h"

#include <cmath>

namespace lacuna::runtime::host::test {
namespace {

bool relation(std::string_view op, bool less, bool equal) {
  if (op == "lt" || op == "lo") return less;
  if (op == "le" || op == "ls") return less || equal;
  if (op == "gt" || op == "hi") return !less && !equal;
  if (op == "ge" || op == "hs") return !less;
  return op == "eq" ? equal : !equal;
}

bool compare(const Form& form, const Bits* s) {
  const Type type = form.types.back();
  std::string_view op = form.modifiers.front();
  if (!type.real()) {
    const Wide a = integer_value(s[0], type), b = integer_value(s[1], type);
    return relation(op, a < b, a == b);
  }
  const auto operand = [&](Bits bits) {
    bits &= mask_of(type.bits);
    return form.has("ftz") ? flushed(bits, type) : bits;
  };
  const Bits x = operand(s[0]), y = operand(s[1]);
  const bool unordered = is_nan(x, type) || is_nan(y, type);
  if (op == "nan") return unordered;
  if (op == "num") return !unordered;
  const bool accepts = op.size() == 3;  // ltu, equ, ...
  if (unordered) return accepts;
  const long double a = real_value(x, type), b = real_value(y, type);
  return relation(op.substr(0, 2), a < b, a == b);
}

bool combine(const Form& form, bool a, bool b) {
  return form.has("and") ? a && b : form.has("or") ? a || b : form.has("xor") ? a != b : a;
}

Answer test(const Form& form, const Bits* s) {
  const Type type = form.types.back();
  const long double x = real_value(s[0], type);
  const bool subnormal = flushed(s[0] & mask_of(type.bits), type) != (s[0] & mask_of(type.bits));
  const bool holds = form.has("finite")       ? std::isfinite(x)
                     : form.has("infinite")   ? std::isinf(x)
                     : form.has("number")     ? !std::isnan(x)
                     : form.has("notanumber") ? std::isnan(x)
                     : form.has("normal")     ? std::isfinite(x) && x != 0 && !subnormal
                                              : subnormal;
  return {.bits = holds};
}

}  // namespace

std::optional<Answer> compare_answer(const Form& form, const Bits* s) {
  if (form.mnemonic == "testp") return test(form, s);
  const bool holds = compare(form, s), other = (s[2] & 1) != 0;
  const bool p = combine(form, holds, other), q = combine(form, !holds, other);
  if (form.mnemonic == "setp") return Answer{.bits = p, .has_second = true, .second = q};
  const Bits truth = form.types.front().real() ? 0x3f800000u : 0xffffffffu;
  return Answer{.bits = p ? truth : 0};
}

}  // namespace lacuna::runtime::host::test
