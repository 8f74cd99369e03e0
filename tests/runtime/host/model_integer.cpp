#include "tests/runtime/host/model.h"

namespace lacuna::runtime::host::test {
namespace {

Answer bits(Wide value, int width) {
  return {.bits = static_cast<Bits>(value) & mask_of(width)};
}

Wide lowest(Type type) {
  return type.kind == 's' ? -(Wide{1} << (type.bits - 1)) : 0;
}
Wide highest(Type type) {
  return lowest(type) + (Wide{1} << type.bits) - 1;
}

/// Toward zero, as C has it; by zero all bits are ones.
Wide quotient(Wide a, Wide b) {
  return b == 0 ? -1 : a / b;
}

bool bit(Bits value, int at) {
  return at < 64 && (value >> at & 1) != 0;
}

std::optional<Answer> arithmetic(const Form& form, const Bits* s) {
  const Type type = form.types.back();
  const Wide a = integer_value(s[0], type), b = integer_value(s[1], type),
             c = integer_value(s[2], type);
  const std::string& op = form.mnemonic;
  const int width = type.bits;
  if (form.has("sat")) {
    const Wide value = op == "add" ? a + b : a - b;
    return bits(std::min(std::max(value, lowest(type)), highest(type)), width);
  }
  if (op == "add") return bits(a + b, width);
  if (op == "sub") return bits(a - b, width);
  if (op == "mul" && form.has("wide")) return bits(a * b, 2 * width);
  if (op == "mad" && form.has("wide")) return bits(a * b + static_cast<Wide>(s[2]), 2 * width);
  if (op == "mul" || op == "mad") {
    // The product of unsigned 64-bit values overflows a signed 128-bit one; its bits are the same.
    const auto product = static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b);
    const auto part = static_cast<Wide>(form.has("hi") ? product >> width : product);
    return bits(part + (op == "mad" ? c : 0), width);
  }
  if (op == "mul24") {
    const Type narrow{type.kind, 24};
    return bits(integer_value(s[0], narrow) * integer_value(s[1], narrow), width);
  }
  if (op == "div") return bits(quotient(a, b), width);
  if (op == "rem") return bits(b == 0 ? a : a % b, width);
  if (op == "min") return bits(a < b ? a : b, width);
  if (op == "max") return bits(a > b ? a : b, width);
  if (op == "neg") return bits(-a, width);
  if (op == "abs") return bits(a < 0 ? -a : a, width);
  return {};
}

std::optional<Answer> logic(const Form& form, const Bits* s) {
  const Type type = form.types.front();
  const int width = type.bits;
  const Bits a = s[0] & mask_of(width), b = s[1] & mask_of(width);
  const std::string& op = form.mnemonic;
  if (op == "and") return bits(a & b, width);
  if (op == "or") return bits(a | b, width);
  if (op == "xor") return bits(a ^ b, width);
  if (op == "not") return bits(~a, width);
  if (op == "cnot") return bits(a == 0, width);
  if (op == "mov") return bits(a, width);
  if (op == "selp") return bits((s[2] & 1) != 0 ? a : b, width);
  if (op == "slct") {
    const Type by = form.types.back();
    if (by.kind == 's') return bits(integer_value(s[2], by) >= 0 ? a : b, width);
    const Bits c = form.has("ftz") ? flushed(s[2] & mask_of(32), by) : s[2] & mask_of(32);
    return bits(!is_nan(c, by) && real_value(c, by) >= 0 ? a : b, width);
  }
  const auto amount = static_cast<std::uint32_t>(s[1]);
  if (op == "shl")
    return bits(amount >= static_cast<unsigned>(width) ? 0 : static_cast<Wide>(a << amount), width);
  if (op == "shr") {
    const Wide value = integer_value(a, type);
    const int n = amount > static_cast<unsigned>(width) ? width : static_cast<int>(amount);
    return bits(value >> n, width);
  }
  return {};
}

std::optional<Answer> scan(const Form& form, const Bits* s) {
  const Type type = form.types.front();
  const int width = type.bits, most = width - 1;
  const Bits a = s[0] & mask_of(width);
  const std::string& op = form.mnemonic;
  int count = 0;
  if (op == "popc") {
    for (int i = 0; i < width; ++i) count += bit(a, i);
    return bits(count, 32);
  }
  if (op == "clz") {
    while (count < width && !bit(a, most - count)) ++count;
    return bits(count, 32);
  }
  Bits result = 0;
  if (op == "brev") {
    for (int i = 0; i < width; ++i) result |= Bits{bit(a, i)} << (most - i);
    return bits(static_cast<Wide>(result), width);
  }
  const auto field = [](Bits value) { return static_cast<int>(value & 255); };
  if (op == "bfe") {
    const int position = field(s[1]), length = field(s[2]);
    const bool sign =
        type.kind == 's' && length != 0 && bit(a, std::min(position + length - 1, most));
    for (int i = 0; i <= most; ++i)
      result |= Bits{i < length && position + i <= most ? bit(a, position + i) : sign} << i;
    return bits(static_cast<Wide>(result), width);
  }
  if (op == "bfi") {
    const int position = field(s[2]), length = field(s[3]);
    result = s[1] & mask_of(width);
    for (int i = 0; i < length && position + i <= most; ++i)
      result = (result & ~(Bits{1} << (position + i))) | Bits{bit(a, i)} << (position + i);
    return bits(static_cast<Wide>(result), width);
  }
  if (op == "bfind") {
    const bool sign = type.kind == 's' && bit(a, most);
    int found = -1;
    for (int i = most; i >= 0 && found < 0; --i)
      if (bit(a, i) != sign) found = i;
    return bits(found < 0 ? -1 : form.has("shiftamt") ? most - found : found, 32);
  }
  return {};
}

std::optional<Answer> bytes(const Form& form, const Bits* s) {
  const auto byte = [&](int index) { return (index < 4 ? s[0] : s[1]) >> (8 * (index % 4)) & 255; };
  if (form.mnemonic == "prmt") {
    int selector[4];
    const int c = static_cast<int>(s[2] & 3);
    for (int i = 0; i < 4; ++i) {
      selector[i] = form.has("f4e")    ? c + i
                    : form.has("b4e")  ? (c - i + 8) % 8
                    : form.has("rc8")  ? c
                    : form.has("ecl")  ? std::max(i, c)
                    : form.has("ecr")  ? std::min(i, c)
                    : form.has("rc16") ? 2 * (c & 1) + i % 2
                                       : static_cast<int>(s[2] >> (4 * i) & 15);
    }
    Bits result = 0;
    for (int i = 0; i < 4; ++i) {
      Bits value = byte(selector[i] & 7);
      if ((selector[i] & 8) != 0) value = (value & 128) != 0 ? 255 : 0;
      result |= value << (8 * i);
    }
    return bits(static_cast<Wide>(result), 32);
  }
  Wide sum = integer_value(s[2], {'s', 32});  // dp4a
  for (int i = 0; i < 4; ++i)
    sum += integer_value(s[0] >> (8 * i), {form.types[0].kind, 8}) *
           integer_value(s[1] >> (8 * i), {form.types[1].kind, 8});
  return bits(sum, 32);
}

Answer funnel(const Form& form, const Bits* s) {
  const auto low = static_cast<std::uint32_t>(s[0]), high = static_cast<std::uint32_t>(s[1]);
  const auto amount = static_cast<std::uint32_t>(s[2]);
  const std::uint32_t n = form.has("wrap") ? amount & 31 : std::min(amount, 32u);
  const auto left = [](std::uint32_t value, std::uint32_t by) {
    return by >= 32 ? 0 : value << by;
  };
  const auto right = [](std::uint32_t value, std::uint32_t by) {
    return by >= 32 ? 0 : value >> by;
  };
  return {.bits = form.has("l") ? left(high, n) | right(low, 32 - n)
                                : left(high, 32 - n) | right(low, n)};
}

Answer lookup(const Bits* s) {
  Bits result = 0;
  for (int i = 0; i < 32; ++i) {
    const Bits index = (s[0] >> i & 1) << 2 | (s[1] >> i & 1) << 1 | (s[2] >> i & 1);
    result |= (s[3] >> index & 1) << i;
  }
  return {.bits = result};
}

}  // namespace

std::optional<Answer> integer_answer(const Form& form, const Bits* s) {
  const std::string& op = form.mnemonic;
  if (op == "lop3") return lookup(s);
  if (op == "shf") return funnel(form, s);
  if (op == "prmt" || op == "dp4a") return bytes(form, s);
  if (form.types.empty()) return {};
  if (const auto result = logic(form, s)) return result;
  if (const auto result = scan(form, s)) return result;
  return arithmetic(form, s);
}

}  // namespace lacuna::runtime::host::test
