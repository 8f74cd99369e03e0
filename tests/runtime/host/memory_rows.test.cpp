// Every form of ld, st, atom and red, in every window, against plain C++ on bytes.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/host/model.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <cstring>
#include <numeric>

namespace lacuna::runtime::host::test {
namespace {

using lacuna::test::fresh_seed;

constexpr int lanes = 32;
constexpr int window_bytes = 1024;

/// "ld.shared.v4.u8": space shared, 4 elements of 1 byte.
struct Access {
  std::string space;
  int count = 1;
  Type type;
  int bytes() const { return count * type.bits / 8; }
};
Access access_of(const Row& row) {
  const Form form = form_of(row.name);
  Access access{.count = row.count, .type = form.types.back()};
  for (const std::string& modifier : form.modifiers)
    for (const char* space : {"global", "shared", "local", "param", "const"})
      if (modifier == space) access.space = space;
  return access;
}

std::string registers(const Access& access, const char* prefix) {
  std::string list;
  for (int k = 0; k < access.count; ++k)
    list += fmt::format("{}{}{}", k ? ", " : "", prefix, 10 + k);
  return access.count == 1 ? list : "{" + list + "}";
}
const char* prefix_of(const Access& access) {
  return access.type.bits == 64 ? "%d" : access.type.bits == 32 ? "%r" : "%h";
}

/// %d50 becomes the address of this lane's part of the window: p0 holds a byte offset for each
/// lane.
constexpr std::string_view take_offset = R"(
  mov.u32 %r50, %tid.x; mul.wide.u32 %d51, %r50, 8;
  ld.param.u64 %d52, [p0]; add.s64 %d52, %d52, %d51; ld.global.u64 %d50, [%d52];
)";

/// Copies the window between global memory (p1) and where it is tested, byte by byte, by every lane
/// for itself or by lane 0.
std::string copy_window(const Access& access, bool in) {
  const bool local = access.space == "local";
  if (access.space != "shared" && !local) return "";
  const std::string global = "%d54", window = fmt::format("%d55");
  return fmt::format(
      R"(
  {{ .reg .pred %q<4>; .reg .b32 %n; .reg .b16 %v;
  ld.param.u64 %d54, [p1]; mov.u64 %d55, window; mov.u32 %n, 0;
  {} $AGAIN:
  {}
  add.s64 %d54, %d54, 1; add.s64 %d55, %d55, 1; add.u32 %n, %n, 1;
  setp.lt.u32 %q1, %n, {}; @%q1 bra $AGAIN;
  }} bar.sync 0;)",
      local && !in
          ? "mov.u32 %r50, %tid.x; mul.wide.u32 %d51, %r50, 1024; add.s64 %d54, %d54, %d51;"
          : "",
      in ? fmt::format("ld.global.u8 %v, [%d54]; st.{}.u8 [%d55], %v;", access.space)
         : fmt::format("ld.{}.u8 %v, [%d55]; st.global.u8 [%d54], %v;", access.space),
      window_bytes);
}

std::string declare_window(const Access& access) {
  if (access.space == "shared")
    return fmt::format(".shared .align 16 .b8 window[{}];\n", window_bytes);
  if (access.space == "local")
    return fmt::format(".local .align 16 .b8 window[{}];\n", window_bytes);
  return "";
}
std::string add_base(const Access& access) {
  if (access.space == "shared" || access.space == "local")
    return "mov.u64 %d53, window; add.s64 %d50, %d50, %d53;\n";
  if (access.space == "param") return "mov.b64 %d53, p4; add.s64 %d50, %d50, %d53;\n";
  return "ld.param.u64 %d53, [p1]; add.s64 %d50, %d50, %d53;\n";
}

enum class Pattern { random, same, steps };
std::vector<std::uint64_t> offsets(const Access& access, Pattern pattern, bool distinct,
                                   std::mt19937& random, int room) {
  const int size = access.bytes();
  std::vector<int> places(static_cast<std::size_t>(room / size));
  std::iota(places.begin(), places.end(), 0);
  std::shuffle(places.begin(), places.end(), random);
  std::vector<std::uint64_t> result(lanes);
  for (int l = 0; l < lanes; ++l) {
    const int place = pattern == Pattern::same && !distinct ? places[0]
                      : pattern == Pattern::steps           ? l
                                                            : places[static_cast<std::size_t>(l)];
    result[static_cast<std::size_t>(l)] = static_cast<std::uint64_t>(place % (room / size) * size);
  }
  return result;
}

std::uint64_t element(const std::byte* at, Type type) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, at, static_cast<std::size_t>(type.bits / 8));
  // In a 16-bit register at least.
  return static_cast<std::uint64_t>(type.kind == 's' ? integer_value(bits, type) : bits) &
         mask_of(type.register_bits());
}

std::string check_load(const Row& row, Pattern pattern, bool masked, Isa isa,
                       std::mt19937& random) {
  const Access access = access_of(row);
  const bool param = access.space == "param";
  const int room = param ? 64 : window_bytes;
  std::vector<std::uint64_t> where =
      offsets(access, access.bytes() * lanes > room ? Pattern::same : pattern, false, random, room);
  std::vector<std::byte> window(window_bytes);
  for (auto& byte : window) byte = static_cast<std::byte>(random());
  std::vector<std::uint64_t> out(lanes * 4, 77);
  std::string body = declare_window(access) + copy_window(access, true) + std::string(take_offset) +
                     add_base(access);
  for (int k = 0; k < access.count; ++k)
    body +=
        fmt::format("mov.b{} {}{}, 77;\n", access.type.register_bits(), prefix_of(access), 10 + k);
  if (masked) body += "and.b32 %r51, %r50, 5; setp.ne.u32 %p1, %r51, 4;\n";
  body += fmt::format("{}{} {}, [%d50];\n", masked ? "@%p1 " : "", row.name,
                      registers(access, prefix_of(access)));
  body += "mul.wide.u32 %d51, %r50, 32; ld.param.u64 %d52, [p2]; add.s64 %d52, %d52, %d51;\n";
  for (int k = 0; k < access.count; ++k) {
    if (access.type.bits != 64)
      body += fmt::format("cvt.u64.u{} %d{}, {}{};\n", access.type.register_bits(), 20 + k,
                          prefix_of(access), 10 + k);
    body += fmt::format("st.global.u64 [%d52+{}], %d{};\n", 8 * k,
                        (access.type.bits == 64 ? 10 : 20) + k);
  }
  Setup setup{.isa = isa};
  if (param) setup.values.push_back(0);  // p3, so that p4 lies at a multiple of 16
  for (int k = 0; param && k < room / 8; ++k) {
    std::uint64_t value = 0;
    std::memcpy(&value, window.data() + 8 * k, 8);
    setup.values.push_back(value);
  }
  run_body(body + "ret;",
           {input("where", where, DType::i64), input("window", window, DType::u8),
            output("out", out, DType::i64)},
           setup);
  for (int l = 0; l < lanes; ++l)
    for (int k = 0; k < access.count; ++k) {
      const std::uint64_t wanted =
          masked && (l & 5) == 4
              ? 77
              : element(window.data() + where[l] + k * access.type.bits / 8, access.type);
      if (out[4 * l + k] != wanted)
        return fmt::format("{} ({}), lane {}, element {}: {:#x}, expected {:#x}", row.name,
                           name_of(isa), l, k, out[4 * l + k], wanted);
    }
  return {};
}

std::string check_store(const Row& row, Pattern pattern, bool masked, Isa isa,
                        std::mt19937& random) {
  const Access access = access_of(row);
  const bool local = access.space == "local";
  std::vector<std::uint64_t> where = offsets(access, pattern, true, random, window_bytes);
  std::vector<std::byte> window(window_bytes * (local ? lanes : 1));
  for (auto& byte : window) byte = static_cast<std::byte>(random());
  if (local)
    for (int l = 1; l < lanes; ++l)
      std::memcpy(window.data() + l * window_bytes, window.data(), window_bytes);
  std::vector<std::byte> expected = window;
  std::vector<std::uint64_t> values(lanes * 4);
  for (auto& value : values) value = (std::uint64_t{random()} << 32) | random();
  std::string body = declare_window(access) + copy_window(access, true) + std::string(take_offset) +
                     add_base(access);
  body += "mul.wide.u32 %d51, %r50, 32; ld.param.u64 %d52, [p2]; add.s64 %d52, %d52, %d51;\n";
  for (int k = 0; k < access.count; ++k) {
    body += fmt::format("ld.global.u64 %d{}, [%d52+{}];\n", 20 + k, 8 * k);
    body += access.type.bits == 64
                ? fmt::format("mov.b64 %d{}, %d{};\n", 10 + k, 20 + k)
                : fmt::format("cvt.u{}.u64 {}{}, %d{};\n", access.type.register_bits(),
                              prefix_of(access), 10 + k, 20 + k);
  }
  if (masked) body += "and.b32 %r51, %r50, 5; setp.ne.u32 %p1, %r51, 4;\n";
  body += fmt::format("{}{} [%d50], {};\n", masked ? "@%p1 " : "", row.name,
                      registers(access, prefix_of(access)));
  body += (access.space == "shared" ? "bar.sync 0;\n" : "") + copy_window(access, false) + "ret;";
  Buffer target = output("window", window, DType::u8);
  run_body(body, {input("where", where, DType::i64), target, input("values", values, DType::i64)},
           {.isa = isa});
  for (int l = 0; l < lanes; ++l)
    for (int k = 0; k < access.count && !(masked && (l & 5) == 4); ++k)
      std::memcpy(
          expected.data() + (local ? l * window_bytes : 0) + where[l] + k * access.type.bits / 8,
          &values[4 * l + k], static_cast<std::size_t>(access.type.bits / 8));
  return window == expected ? "" : fmt::format("{} ({}): the bytes differ", row.name, name_of(isa));
}

std::uint64_t updated(const Form& form, std::uint64_t old, std::uint64_t b, std::uint64_t c) {
  const Type type = form.types.back();
  const Wide x = integer_value(old, type), y = integer_value(b, type);
  if (form.has("cas")) return old == b ? c : old;
  if (form.has("exch")) return b;
  if (form.has("and")) return old & b;
  if (form.has("or")) return old | b;
  if (form.has("xor")) return old ^ b;
  if (form.has("min")) return x < y ? old : b;
  if (form.has("max")) return x > y ? old : b;
  if (form.has("inc")) return x >= y ? 0 : old + 1;
  if (form.has("dec")) return x == 0 || x > y ? b : old - 1;
  if (type.kind != 'f') return static_cast<std::uint64_t>(x + y) & mask_of(type.bits);
  Form sum = form_of(type.bits == 32 ? "add.f32" : "add.f64");
  const std::uint64_t operands[4] = {old, b};
  return answer(sum, operands)->bits;
}

std::string check_atomic_row(const Row& row, Isa isa, std::mt19937& random) {
  const Form form = form_of(row.name);
  const Access access = access_of(row);
  const bool returns = row.shape == Shape::atomic;
  std::vector<std::uint64_t> where = offsets(access, Pattern::random, true, random, window_bytes);
  std::vector<std::uint64_t> window(window_bytes / 8);
  for (auto& word : window)
    word = 0x3f8000003f800000 + (std::uint64_t{random() % 9} << 32) + random() % 9;
  std::vector<std::uint64_t> operands(lanes * 2), out(lanes, 77);
  for (auto& operand : operands)
    operand = 0x3f8000003f800000 + (std::uint64_t{random() % 9} << 32) + random() % 9;
  const int bits = access.type.bits;
  const auto word = [&](const std::vector<std::uint64_t>& words, int l) {
    std::uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const std::byte*>(words.data()) + where[l],
                static_cast<std::size_t>(bits / 8));
    return value;
  };
  for (int l = 0; l < lanes; l += 2)
    operands[2 * l] = word(window, l);  // half of the compare-and-swaps succeed
  for (auto& operand : operands) operand &= mask_of(bits);
  const std::vector<std::uint64_t> before = window;
  std::string body = declare_window(access) + copy_window(access, true) + std::string(take_offset) +
                     add_base(access);
  body +=
      "mul.wide.u32 %d51, %r50, 16; ld.param.u64 %d52, [p2]; add.s64 %d52, %d52, %d51; "
      "ld.global.v2.u64 {%d20, %d21}, [%d52];\n";
  if (bits == 32) body += "cvt.u32.u64 %r20, %d20; cvt.u32.u64 %r21, %d21;\n";
  const char* prefix = prefix_of(access);
  const std::string second = form.has("cas") ? fmt::format(", {}21", prefix) : "";
  body += fmt::format("mov.b{} {}10, 77;\n{} {}[%d50], {}20{};\n", bits, prefix, row.name,
                      returns ? fmt::format("{}10, ", prefix) : "", prefix, second);
  if (bits == 32) body += "cvt.u64.u32 %d10, %r10;\n";
  body +=
      "mul.wide.u32 %d51, %r50, 8; ld.param.u64 %d52, [p3]; add.s64 %d52, %d52, %d51; "
      "st.global.u64 [%d52], %d10;\n";
  body += "bar.sync 0;\n" + copy_window(access, false) + "ret;";
  run_body(body,
           {input("where", where, DType::i64), output("window", window, DType::i64),
            input("operands", operands, DType::i64), output("out", out, DType::i64)},
           {.isa = isa});
  for (int l = 0; l < lanes; ++l) {
    const std::uint64_t old = word(before, l),
                        wanted = updated(form, old, operands[2 * l], operands[2 * l + 1]);
    if (word(window, l) != wanted || out[l] != (returns ? old : 77))
      return fmt::format("{}: {:#x} with {:#x}, {:#x} became {:#x}, expected {:#x}; returned {:#x}",
                         row.name, old, operands[2 * l], operands[2 * l + 1], word(window, l),
                         wanted, out[l]);
  }
  return {};
}

template <class Check>
void check_rows(std::string_view mnemonic, Check check) {
  const unsigned seed = fresh_seed();
  std::mt19937 random(seed);
  int rows = 0, failures = 0;
  for (Isa isa : present_isas())
    for (const Row* row : table(isa).rows()) {
      if (form_of(row->name).mnemonic != mnemonic) continue;
      ++rows;
      std::string difference;
      try {
        difference = check(*row, isa, random);
      } catch (const Error& error) {
        difference = fmt::format("{}: {}", row->name, error.what());
      }
      INFO("seed " << seed);
      if (!difference.empty() && ++failures < 10) CHECK(difference == "");
    }
  CHECK(rows > 0);
  CHECK(failures == 0);
}

}  // namespace

TEST_CASE("every ld reads what lies there") {
  check_rows("ld", [](const Row& row, Isa isa, std::mt19937& random) {
    std::string difference;
    for (Pattern pattern : {Pattern::random, Pattern::same, Pattern::steps})
      for (bool masked : {false, true})
        if (difference.empty()) difference = check_load(row, pattern, masked, isa, random);
    return difference;
  });
}

TEST_CASE("every st writes its bytes and no others") {
  check_rows("st", [](const Row& row, Isa isa, std::mt19937& random) {
    std::string difference;
    for (Pattern pattern : {Pattern::random, Pattern::steps})
      for (bool masked : {false, true})
        if (difference.empty()) difference = check_store(row, pattern, masked, isa, random);
    return difference;
  });
}

TEST_CASE("every atom and red updates its word") {
  check_rows("atom", check_atomic_row);
  check_rows("red", check_atomic_row);
}

TEST_CASE("atomics of many CTAs on one word lose nothing") {
  std::vector<std::uint32_t> sum(1, 0), order(64 * 96, 0);
  run_body(R"(
    ld.param.u64 %d1, [p0]; ld.param.u64 %d2, [p1];
    atom.relaxed.gpu.global.add.u32 %r1, [%d1], 1;
    mul.wide.u32 %d3, %r1, 4; add.s64 %d2, %d2, %d3; red.global.add.u32 [%d2], 1;
    ret;)",
           {output("sum", sum, DType::i32), output("order", order, DType::i32)},
           {.threads = 96, .blocks = 64, .workers = 4});
  CHECK(sum[0] == 64 * 96);
  for (std::uint32_t count : order) CHECK(count == 1);
}

TEST_CASE("registers may be wider than what is loaded, stored or converted") {
  std::vector<std::int32_t> in = {-5, 7};
  std::vector<std::int64_t> out(6);
  run_body(R"(
    ld.param.u64 %d1, [p0]; ld.param.u64 %d2, [p1];
    ld.global.s32 %d3, [%d1]; st.global.s64 [%d2], %d3;
    ld.global.u32 %d3, [%d1]; st.global.s64 [%d2+8], %d3;
    ld.global.s8 %d3, [%d1];  st.global.s64 [%d2+16], %d3;
    ld.global.u8 %r1, [%d1];  cvt.s64.s32 %d4, %r1; st.global.s64 [%d2+24], %d4;
    mov.b64 %d5, 0x1234567800000009; mov.b64 %d6, 0; st.global.s64 [%d2+32], %d6; st.global.u32 [%d2+32], %d5;
    cvt.s16.s8 %d7, %d3; st.global.s64 [%d2+40], %d7;
    ret;)",
           {input("in", in, DType::i32), output("out", out, DType::i64)}, {.threads = 1});
  CHECK(out == std::vector<std::int64_t>{-5, 4294967291, -5, 251, 9, -5});
}

}  // namespace lacuna::runtime::host::test
