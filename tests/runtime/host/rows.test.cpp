// Every row of the instruction tables against the scalar model, on every instruction set that this
// machine has.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/host/model.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <set>

namespace lacuna::runtime::host::test {
namespace {

using lacuna::test::fresh_seed;

constexpr int lanes = 512;
constexpr std::uint64_t untouched = 0x1234567890abcdef;

/// What the model does not describe value by value has tests of its own, in the file named here.
constexpr std::pair<std::string_view, std::string_view> elsewhere[] = {
    {"ld", "memory_rows"},    {"st", "memory_rows"},     {"atom", "memory_rows"},
    {"red", "memory_rows"},   {"shfl", "warp"},          {"vote", "warp"},
    {"match", "warp"},        {"redux", "warp"},         {"elect", "warp"},
    {"activemask", "warp"},   {"bar", "barrier"},        {"barrier", "barrier"},
    {"membar", "control"},    {"fence", "control"},      {"prefetch", "control"},
    {"nanosleep", "control"}, {"bra", "control"},        {"brx", "control"},
    {"call", "control"},      {"ret", "control"},        {"exit", "control"},
    {"trap", "control"},      {"brkpt", "control"},      {"mma", "matrix"},
    {"ldmatrix", "matrix"},   {"cp", "async"},           {"stmatrix", "matrix"},
    {"mbarrier", "mbarrier"}, {"createpolicy", "async"},
};
bool tested_elsewhere(std::string_view mnemonic) {
  for (const auto& [name, file] : elsewhere)
    if (name == mnemonic) return true;
  return mnemonic.starts_with("#");  // the vector forms of mov, in this file
}

/// Values that are special in some type, and bits that are special in none.
std::vector<std::uint64_t> operand_values(std::mt19937_64& random) {
  static constexpr std::uint64_t special[] = {0,
                                              1,
                                              2,
                                              3,
                                              31,
                                              32,
                                              33,
                                              63,
                                              64,
                                              127,
                                              128,
                                              255,
                                              0x7fff,
                                              0x8000,
                                              0x8001,
                                              0xffff,
                                              0x10000,
                                              0x3c00,
                                              0xbc00,
                                              0x7bff,
                                              0x7c00,
                                              0xfc00,
                                              0x7e01,
                                              0x0001,
                                              0x03ff,
                                              0x0400,
                                              0x3f80,
                                              0x7f80,
                                              0xff80,
                                              0x7fc1,
                                              0x7fffffff,
                                              0x80000000,
                                              0x80000001,
                                              0xffffffff,
                                              0x3f800000,
                                              0xbf800000,
                                              0x3f000000,
                                              0x3effffff,
                                              0x40490fdb,
                                              0x7f800000,
                                              0xff800000,
                                              0x7fc00000,
                                              0xffc00001,
                                              0x7f7fffff,
                                              0xff7fffff,
                                              0x00800000,
                                              0x007fffff,
                                              0x00000001,
                                              0x80800000,
                                              0x807fffff,
                                              0x4b000000,
                                              0x4b800001,
                                              0x4f000000,
                                              0x4effffff,
                                              0xcf000000,
                                              0x4f800000,
                                              0x5f000000,
                                              0x477fe000,
                                              0x477ff000,
                                              0x477fefff,
                                              0x38800000,
                                              0x387fffff,
                                              0x33000000,
                                              0x33000001,
                                              0x3fc00000,
                                              0x40200000,
                                              0x0000ffff0000ffff,
                                              0x7fffffffffffffff,
                                              0x8000000000000000,
                                              0xffffffffffffffff,
                                              0x3ff0000000000000,
                                              0xbff0000000000000,
                                              0x7ff0000000000000,
                                              0xfff0000000000000,
                                              0x7ff8000000000001,
                                              0x7fefffffffffffff,
                                              0x0010000000000000,
                                              0x000fffffffffffff,
                                              0x0000000000000001,
                                              0x43e0000000000000,
                                              0xc3e0000000000000,
                                              0x43f0000000000000,
                                              0x41dfffffffc00000,
                                              0x41e0000000000000,
                                              0xc1e0000000000000,
                                              0x3fe0000000000000,
                                              0x4004000000000000,
                                              0x0100000000000010,
                                              0x0200000000000010,
                                              0x0300000000000010,
                                              0x47efffffe0000000,
                                              0x47effffff0000000,
                                              0x380fffffffffffff,
                                              0x3690000000000000};
  std::vector<std::uint64_t> values(lanes);
  for (std::uint64_t& value : values) {
    const std::uint64_t bits = random();
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        value = special[random() % std::size(special)];
        break;
      case 3:
        value = bits % 70;
        break;
      case 4: {  // a float of moderate size, in either half
        const float x = static_cast<float>(static_cast<std::int64_t>(bits)) * 0x1p-60f;
        value = std::uint64_t{__builtin_bit_cast(std::uint32_t, x)} * 0x100000001u;
        break;
      }
      case 5:
        value = __builtin_bit_cast(std::uint64_t,
                                   static_cast<double>(static_cast<std::int64_t>(bits)) * 0x1p-50);
        break;
      case 6:
        value = (0x3000 + bits % 0x2000) | (0x3000 + (bits >> 32) % 0x2000) << 16;
        break;  // halves near 1
      default:
        value = bits;
        break;
    }
  }
  return values;
}

std::string type_name(Kind kind) {
  return kind == Kind::b16 ? "u16" : kind == Kind::b32 ? "u32" : "u64";
}
std::string register_name(Kind kind, int number) {
  return fmt::format("{}{}",
                     kind == Kind::pred  ? "%p"
                     : kind == Kind::b16 ? "%h"
                     : kind == Kind::b32 ? "%r"
                                         : "%d",
                     number);
}

/// Operands stand in registers that the loads do not use.
int kind_base(Kind kind) {
  return kind == Kind::b32 || kind == Kind::b64 ? 30 : 1;
}

/// PTX that moves the low bits of %d<from> to a register of `kind`.
std::string take(Kind kind, int from, const std::string& to) {
  switch (kind) {
    case Kind::pred:
      return fmt::format("and.b64 %d60, %d{}, 1;\nsetp.ne.u64 {}, %d60, 0;\n", from, to);
    case Kind::b64:
      return fmt::format("mov.b64 {}, %d{};\n", to, from);
    default:
      return fmt::format("cvt.{}.u64 {}, %d{};\n", type_name(kind), to, from);
  }
}
std::string give(Kind kind, const std::string& from, int to) {
  switch (kind) {
    case Kind::pred:
      return fmt::format("selp.b64 %d{}, 1, 0, {};\n", to, from);
    case Kind::b64:
      return fmt::format("mov.b64 %d{}, {};\n", to, from);
    default:
      return fmt::format("cvt.u64.{} %d{}, {};\n", type_name(kind), to, from);
  }
}

/// Loads four operands, executes `instruction` where the guard holds, stores d and q.
std::string body_of(const Row& row, std::uint64_t immediate) {
  std::string body = "mov.u32 %r60, %tid.x;\nmul.wide.u32 %d59, %r60, 8;\n";
  for (int k = 0; k < 5; ++k)
    body += fmt::format(
        "ld.param.u64 %d60, [p{}];\nadd.s64 %d60, %d60, %d59;\nld.global.u64 %d{}, [%d60];\n", k,
        k);
  std::string operands;
  for (int k = 0; k < 4 && row.src[k] != Kind::none; ++k) {
    const std::string name = register_name(row.src[k], kind_base(row.src[k]) + k);
    if (row.src[k] != Kind::immediate) body += take(row.src[k], k, name);
    operands +=
        fmt::format(", {}", row.src[k] == Kind::immediate ? fmt::format("{}", immediate) : name);
  }
  const std::string d = register_name(row.dst[0], 10), q = "%p11";
  body +=
      "mov.b64 %d20, 0x1234567890abcdef;\n" + take(row.dst[0], 20, d) + "setp.ne.u64 %p11, 0, 0;\n";
  body += take(Kind::pred, 4, "%p12");
  const bool pair = row.shape == Shape::compare;
  body += fmt::format("@%p12 {} {}{}{};\n", row.name, d, pair ? "|" + q : "", operands);
  body += give(row.dst[0], d, 21) + give(Kind::pred, q, 22);
  body += "ld.param.u64 %d60, [p5];\nadd.s64 %d60, %d60, %d59;\nst.global.u64 [%d60], %d21;\n";
  body += "ld.param.u64 %d60, [p6];\nadd.s64 %d60, %d60, %d59;\nst.global.u64 [%d60], %d22;\nret;";
  return body;
}

struct Sample {
  std::vector<std::uint64_t> in[5], d, q;
};

Sample execute_row(const Row& row, std::uint64_t immediate, std::mt19937_64& random, Isa isa) {
  Sample sample;
  std::vector<Buffer> buffers;
  for (int k = 0; k < 5; ++k) {
    sample.in[k] = operand_values(random);
    buffers.push_back(input(fmt::format("in{}", k), sample.in[k], DType::i64));
  }
  if (random() % 2) std::fill(sample.in[4].begin(), sample.in[4].end(), 1);  // whole warps as well
  sample.d.resize(lanes), sample.q.resize(lanes);
  buffers.push_back(output("d", sample.d, DType::i64));
  buffers.push_back(output("q", sample.q, DType::i64));
  run_body(body_of(row, immediate), buffers, {.threads = lanes, .isa = isa});
  return sample;
}

Type result_type(const Form& form, const Row& row) {
  if (row.dst[0] == Kind::pred) return {'p', 1};
  Type type = form.types.empty()                                 ? Type{'b', 32}
              : form.mnemonic == "cvt" || form.mnemonic == "set" ? form.types.front()
                                                                 : form.types.back();
  if (type.pairs || !type.real())
    type = {'b', row.dst[0] == Kind::b64 ? 64 : row.dst[0] == Kind::b32 ? 32 : 16};
  return type;
}

/// Pairs of approximations: each half is one.
bool halves_agree(const Form& form, const std::uint64_t* s, std::uint64_t got) {
  Form half = form;
  half.types.back().pairs = false;
  for (int shift : {0, 16}) {
    const std::uint64_t operand[4] = {s[0] >> shift, s[1] >> shift, s[2] >> shift, 0};
    const auto expected = answer(half, operand);
    if (!expected || !agrees(*expected, got >> shift & 0xffff, half.types.back(), form.has("ftz")))
      return false;
  }
  return true;
}

/// The first lane that differs, described; empty where all agree.
std::string check_row(const Row& row, std::mt19937_64& random, Isa isa) {
  const std::uint64_t immediate = random() % 256;
  const Form form = form_of(row.name);
  const Sample sample = execute_row(row, immediate, random, isa);
  const Type type = result_type(form, row);
  for (int l = 0; l < lanes; ++l) {
    std::uint64_t s[4];
    for (int k = 0; k < 4; ++k) s[k] = row.src[k] == Kind::immediate ? immediate : sample.in[k][l];
    const int bits = row.dst[0] == Kind::pred  ? 1
                     : row.dst[0] == Kind::b16 ? 16
                     : row.dst[0] == Kind::b32 ? 32
                                               : 64;
    bool good = true;
    std::string wanted;
    if ((sample.in[4][l] & 1) == 0) {
      good = sample.d[l] == (untouched & mask_of(bits)) && sample.q[l] == 0;
      wanted = "nothing written";
    } else if (form.has("approx") && form.types.back().pairs) {
      good = halves_agree(form, s, sample.d[l]);
    } else {
      const auto expected = answer(form, s);
      if (!expected) return fmt::format("'{}' is not in the model", row.name);
      good = agrees(*expected, sample.d[l], type, form.has("ftz")) &&
             (!expected->has_second || sample.q[l] == expected->second);
      wanted = expected->exact ? fmt::format("{:#x}", expected->bits)
                               : fmt::format("{}", static_cast<double>(expected->value));
    }
    if (!good)
      return fmt::format("{} ({}): {:#x}, {:#x}, {:#x}, {:#x} gave {:#x}|{}, expected {}", row.name,
                         name_of(isa), s[0], s[1], s[2], s[3], sample.d[l], sample.q[l], wanted);
  }
  return {};
}

}  // namespace

TEST_CASE("every instruction form does what a scalar model says") {
  const unsigned seed = fresh_seed();
  std::mt19937_64 random(seed);
  int failures = 0, checked = 0;
  for (Isa isa : present_isas()) {
    for (const Row* row : table(isa).rows()) {
      if (tested_elsewhere(form_of(row->name).mnemonic)) continue;
      std::string difference;
      try {
        difference = check_row(*row, random, isa);
      } catch (const Error& error) {
        difference = fmt::format("{}: {}", row->name, error.what());
      }
      ++checked;
      INFO("seed " << seed);
      if (!difference.empty() && ++failures < 20) CHECK(difference == "");
    }
  }
  CHECK(failures == 0);
  CHECK(checked > 1000);
}

TEST_CASE("no two rows have one name, and every instruction set has the same rows") {
  std::set<std::string_view> names;
  for (const Row* row : table(Isa::baseline).rows()) CHECK(names.insert(row->name).second);
  for (Isa isa : present_isas()) {
    CHECK(table(isa).rows().size() == names.size());
    for (std::string_view name : names) CHECK(table(isa).find(name) != nullptr);
  }
}

TEST_CASE("mov packs and unpacks vectors") {
  std::mt19937_64 random(fresh_seed());
  std::vector<std::uint64_t> in(32), out(32 * 4);
  for (auto& value : in) value = random();
  for (Isa isa : present_isas()) {
    run_body(R"(
      mov.u32 %r0, %tid.x;
      mul.wide.u32 %d0, %r0, 8; ld.param.u64 %d1, [p0]; add.s64 %d1, %d1, %d0; ld.global.u64 %d2, [%d1];
      mov.b64 {%r1, %r2}, %d2;          mov.b64 %d3, {%r2, %r1};
      mov.b64 {%h1, %h2, %h3, %h4}, %d2; mov.b64 %d4, {%h4, %h3, %h2, %h1};
      mov.b32 {%h5, %h6}, %r1;          mov.b32 %r3, {%h6, %h5};
      mov.b64 {_, %r4}, %d2;            mov.b64 %d5, {%r3, %r4};
      mov.b64 {%r1, %r2}, %d2;          mov.b64 %d6, {%r1, 7};
      mul.wide.u32 %d0, %r0, 32; ld.param.u64 %d1, [p1]; add.s64 %d1, %d1, %d0;
      st.global.v2.u64 [%d1], {%d3, %d4}; st.global.v2.u64 [%d1+16], {%d5, %d6};
      ret;)",
             {input("in", in, DType::i64), output("out", out, DType::i64)}, {.isa = isa});
    for (int l = 0; l < 32; ++l) {
      const std::uint64_t x = in[l], low = x & 0xffffffff, high = x >> 32;
      CHECK(out[4 * l] == (low << 32 | high));
      CHECK(out[4 * l + 1] ==
            ((x & 0xffff) << 48 | (x >> 16 & 0xffff) << 32 | (x >> 32 & 0xffff) << 16 | x >> 48));
      CHECK(out[4 * l + 2] == (high << 32 | (low >> 16 | (low << 16 & 0xffffffff))));
      CHECK(out[4 * l + 3] == (7ull << 32 | low));
    }
  }
}

}  // namespace lacuna::runtime::host::test
