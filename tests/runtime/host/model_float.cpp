#include "tests/runtime/host/model.h"

#include <cfenv>
#include <cmath>
#include <cstring>

namespace lacuna::runtime::host::test {
namespace {

int fenv_of(Mode mode) {
  return mode == Mode::zero   ? FE_TOWARDZERO
         : mode == Mode::down ? FE_DOWNWARD
         : mode == Mode::up   ? FE_UPWARD
                              : FE_TONEAREST;
}

/// One operation of the host's own scalar unit, under a rounding mode; volatile keeps the compiler
/// out of it.
template <class T, class U>
Bits hardware(const std::string& op, const Bits* s, Mode mode) {
  volatile T x[3];
  for (int i = 0; i < 3; ++i) {
    const U bits = static_cast<U>(s[i]);
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    x[i] = value;
  }
  const int saved = std::fegetround();
  std::fesetround(fenv_of(mode));
  volatile T y = 0;
  if (op == "add") y = x[0] + x[1];
  if (op == "sub") y = x[0] - x[1];
  if (op == "mul") y = x[0] * x[1];
  if (op == "div") y = x[0] / x[1];
  if (op == "rcp") y = T(1) / x[0];
  if (op == "sqrt") y = std::sqrt(x[0]);
  if (op == "fma" || op == "mad") y = std::fma(x[0], x[1], x[2]);
  std::fesetround(saved);
  const T result = y;
  U bits;
  std::memcpy(&bits, &result, sizeof(T));
  return bits;
}

/// Sums and products of halves as exact integers times a power of two, where they fit; __float128
/// and a sticky nudge where bf16's range does not.
Bits half_arithmetic(const std::string& op, const Bits* s, Type type) {
  const Exact a = exact_of(s[0], type), b = exact_of(s[1], type), c = exact_of(s[2], type);
  const auto quad = [](const Exact& x) -> __float128 {
    if (x.nan) return static_cast<__float128>(NAN);
    __float128 value =
        x.infinite ? static_cast<__float128>(INFINITY) : static_cast<__float128>(x.mantissa);
    for (int e = x.exponent; e < 0 && !x.infinite; ++e) value *= static_cast<__float128>(0.5);
    for (int e = x.exponent; e > 0 && !x.infinite; --e) value *= 2;
    return x.negative ? -value : value;
  };
  __float128 x = quad(a), y = quad(b);
  if (op == "mul") x = x * y, y = 0;
  if (op == "fma") x = x * y, y = quad(c);
  if (op == "sub") y = -y;
  __float128 sum = op == "mul" ? x : x + y;
  const __float128 part = sum - x, error = (x - (sum - part)) + (y - part);
  Exact exact{.negative = __builtin_signbit(static_cast<long double>(sum)) != 0};
  exact.nan = sum != sum;
  exact.infinite =
      !exact.nan && (sum > static_cast<__float128>(1e300) || -sum > static_cast<__float128>(1e300));
  if (exact.nan || exact.infinite || sum == 0) {
    if (sum == 0 && op == "mul") exact.negative = a.negative != b.negative;
    return round_to(exact, type, Mode::nearest);
  }
  __float128 magnitude = sum < 0 ? -sum : sum;
  while (magnitude >= static_cast<__float128>(0x1p113))
    magnitude *= static_cast<__float128>(0.5), ++exact.exponent;
  while (magnitude < static_cast<__float128>(0x1p112)) magnitude *= 2, --exact.exponent;
  // One more bit below: what the sum lost only says on which side of a tie it lies.
  exact.mantissa = static_cast<unsigned __int128>(magnitude) << 1;
  --exact.exponent;
  if (error != 0 && op != "mul") exact.mantissa += (error > 0) == (sum > 0) ? 1 : -1;
  return round_to(exact, type, Mode::nearest);
}

Bits choose(const Form& form, Bits a, Bits b, Type type) {
  const bool larger = form.mnemonic == "max";
  const bool nan_a = is_nan(a, type), nan_b = is_nan(b, type);
  if (form.has("NaN") ? nan_a || nan_b : nan_a && nan_b) return canonical_nan(type);
  if (nan_a || nan_b) return nan_a ? b : a;
  const long double x = real_value(a, type), y = real_value(b, type);
  if (x == y) return std::signbit(x) == larger ? b : a;
  return (x > y) == larger ? a : b;
}

std::optional<Answer> approximation(const Form& form, const Bits* s, Type type) {
  const long double x = real_value(s[0], type), y = real_value(s[1], type);
  const std::string& op = form.mnemonic;
  const long double ulps = type.bits == 16 ? 1 : 2;
  Answer answer{.exact = false, .ulps = ulps};
  if (op == "ex2")
    answer.value = std::exp2(x);
  else if (op == "lg2")
    answer.value = std::log2(x);
  else if (op == "rcp")
    answer.value = 1 / x;
  else if (op == "sqrt")
    answer.value = std::sqrt(x);
  else if (op == "rsqrt")
    answer.value = x < 0 ? static_cast<long double>(NAN) : 1 / std::sqrt(x);
  else if (op == "tanh")
    answer.value = std::tanh(x);
  else if (op == "div")
    answer.value = x / y;
  else if (op == "sin" || op == "cos") {
    answer.value = op == "sin" ? std::sin(x) : std::cos(x);
    answer.absolute = std::fabs(x) < 1e6L ? 5e-7L : 2;
  } else {
    return {};
  }
  return answer;
}

std::optional<Bits> exact_result(const Form& form, const Bits* s, Type type) {
  const std::string& op = form.mnemonic;
  const Bits sign = Bits{1} << (type.bits - 1);
  if (op == "abs") return s[0] & ~sign;
  if (op == "neg") return s[0] ^ sign;
  if (op == "copysign") return (s[0] & sign) | (s[1] & ~sign);
  if (op == "min" || op == "max") return choose(form, s[0], s[1], type);
  if (op != "add" && op != "sub" && op != "mul" && op != "fma" && op != "mad" && op != "div" &&
      op != "rcp" && op != "sqrt")
    return {};
  if (type.bits == 16) return half_arithmetic(op, s, type);
  const Bits result = type.bits == 32 ? hardware<float, std::uint32_t>(op, s, mode_of(form))
                                      : hardware<double, std::uint64_t>(op, s, mode_of(form));
  return is_nan(result, type) ? canonical_nan(type) : result;
}

std::optional<Answer> one(const Form& form, const Bits* given, Type type) {
  const bool ftz = form.has("ftz");
  Bits s[4];
  for (int i = 0; i < 4; ++i) {
    s[i] = given[i] & mask_of(type.bits);
    if (ftz) s[i] = flushed(s[i], type);
  }
  if (form.has("approx") || form.has("full")) return approximation(form, s, type);
  std::optional<Bits> result = exact_result(form, s, type);
  if (!result) return {};
  if (form.has("sat")) result = saturated(*result, type);
  if (form.has("relu") && !is_nan(*result, type) && (*result >> (type.bits - 1)) != 0) result = 0;
  if (ftz && !is_nan(*result, type)) result = flushed(*result, type);
  return Answer{.bits = *result};
}

}  // namespace

std::optional<Answer> float_answer(const Form& form, const Bits* s) {
  Type type = form.types.back();
  if (!type.pairs) return one(form, s, type);
  type.pairs = false;
  Bits high[4];
  for (int i = 0; i < 4; ++i) high[i] = s[i] >> 16;
  const auto low_half = one(form, s, type), high_half = one(form, high, type);
  if (!low_half || !high_half) return {};
  if (low_half->exact) return Answer{.bits = high_half->bits << 16 | low_half->bits};
  // Pairs of approximations are checked half by half, by the test.
  return {};
}

}  // namespace lacuna::runtime::host::test
