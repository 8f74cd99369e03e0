// A scalar model of PTX instructions, written from the PTX ISA for the tests alone: one lane, one
// value at a time, no code in common with the host device.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime::host::test {

using Bits = std::uint64_t;
using Wide = __int128;

/// "s32": kind 's', 32 bits. f16x2 is kind 'f', 16 bits, pairs.
struct Type {
  char kind = 0;  ///< 'u', 's', 'b', 'f', 'h' for bf16, 'p' for pred
  int bits = 0;
  bool pairs = false;
  bool real() const { return kind == 'f' || kind == 'h'; }
  int register_bits() const { return pairs ? 32 : bits < 16 ? 16 : bits; }
};
std::optional<Type> type_of(std::string_view word);

/// An opcode taken apart: "cvt.rn.f16.f32" has types f16, f32.
struct Form {
  std::string name, mnemonic;
  std::vector<std::string> modifiers;
  std::vector<Type> types;
  bool has(std::string_view modifier) const;
};
Form form_of(std::string_view name);

struct Answer {
  Bits bits = 0;
  bool exact = true;
  long double value = 0;     ///< where not exact: the true result ...
  long double ulps = 0;      ///< ... how many units of the last place may be missing ...
  long double absolute = 0;  ///< ... or this much
  bool has_second = false;
  bool second = false;  ///< q of setp p|q
};
/// Sources are raw bits, a predicate is bit 0. nullopt: the model does not know the form.
std::optional<Answer> answer(const Form& form, const Bits* s);
bool agrees(const Answer& expected, Bits actual, Type type, bool flushes);

// What the parts of the model share.
Bits mask_of(int bits);
Wide integer_value(Bits bits, Type type);
std::optional<Answer> integer_answer(const Form& form, const Bits* s);
std::optional<Answer> float_answer(const Form& form, const Bits* s);
std::optional<Answer> compare_answer(const Form& form, const Bits* s);
std::optional<Answer> convert_answer(const Form& form, const Bits* s);

enum class Mode { nearest, zero, down, up, away };
/// sign * mantissa * 2^exponent, or infinity, or NaN.
struct Exact {
  bool negative = false, infinite = false, nan = false;
  unsigned __int128 mantissa = 0;
  int exponent = 0;
};
Exact exact_of(Bits bits, Type type);
Exact exact_of(Wide integer);
/// The IEEE rounding of an exact value; canonical NaN.
Bits round_to(const Exact& value, Type type, Mode mode);
Mode mode_of(const Form& form);
bool is_nan(Bits bits, Type type);
long double real_value(Bits bits, Type type);
Bits canonical_nan(Type type);
Bits flushed(Bits bits, Type type);
Bits saturated(Bits bits, Type type);

}  // namespace lacuna::runtime::host::test
