// mma and ldmatrix against the tables of the PTX ISA, element by element.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/host/model.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace lacuna::runtime::host::test {
namespace {

using lacuna::test::fresh_seed;
using u16 = std::uint16_t;
using u32 = std::uint32_t;

constexpr int lanes = 32;
constexpr int registers = 10;  ///< a0-a3, b0-b1, c0-c3 of a lane

/// An mma form: what its name says.
struct Product {
  std::string name;
  Type type;  ///< of A and B; tf32 is 32 bits
  int depth = 0;
  bool half_sums = false;
  int per_register() const { return type.bits == 32 ? 1 : 2; }
  int a() const { return 2 * b(); }
  int b() const { return depth / (4 * per_register()); }
  int c() const { return half_sums ? 2 : 4; }
};
Product product_of(const Row& row) {
  Product p{.name = row.name};
  p.depth = p.name.find("m16n8k16") != p.name.npos ? 16 : 8;
  p.half_sums = p.name.ends_with(".f16.f16.f16.f16");
  p.type = p.name.find(".bf16.") != p.name.npos   ? Type{'h', 16}
           : p.name.find(".tf32.") != p.name.npos ? Type{'f', 32}
                                                  : Type{'f', 16};
  return p;
}

/// One operand set of a warp, by register and lane.
using Warp = std::vector<u32>;
u32& at(Warp& warp, int reg, int lane) {
  return warp[static_cast<std::size_t>(lane * registers + reg)];
}

/// Numbers of a mood: ordinary ones, tiny ones with subnormals, any bits, ordinary ones with a few
/// infinities and NaN.
u32 element_bits(Type type, int mood, std::mt19937& random) {
  const u32 bits = random();
  const int shift = type.kind == 'h' || type.bits == 32 ? 8 : 5;  // exponent bits
  const int mantissa = type.bits - 1 - shift, bias = (1 << (shift - 1)) - 1;
  const u32 mask = type.bits == 32 ? ~0u : 0xffffu;
  const auto with_exponent = [&](int exponent) {
    const u32 fraction = bits & ((1u << mantissa) - 1), sign = (bits >> 31) << (type.bits - 1);
    return sign | static_cast<u32>(exponent) << mantissa | fraction;
  };
  switch (mood) {
    case 0:
      return with_exponent(bias - 3 + static_cast<int>(random() % 6));
    case 1:
      return with_exponent(static_cast<int>(random() % 3));
    case 2:
      return bits & mask;
    case 3:
      return with_exponent((1 << shift) - 2 - static_cast<int>(random() % 3));
    case 4:
      return random() % 3 == 0 ? 0 : with_exponent(bias / 2 + static_cast<int>(random() % 4));
    default:
      return random() % 60 == 0
                 ? with_exponent((1 << shift) - 1) & ~(random() & 1 ? 0u : (1u << mantissa) - 1)
                 : with_exponent(bias);
  }
}

Warp random_operands(const Product& p, std::mt19937& random) {
  Warp warp(registers * lanes);
  const int mood_a = static_cast<int>(random() % 6), mood_b = static_cast<int>(random() % 6),
            mood_c = static_cast<int>(random() % 6);
  for (int l = 0; l < lanes; ++l)
    for (int r = 0; r < registers; ++r) {
      const bool is_c = r >= 6;
      const Type type = is_c ? Type{'f', p.half_sums ? 16 : 32} : p.type;
      const int mood = is_c ? mood_c : r >= 4 ? mood_b : mood_a;
      u32 bits = element_bits(type, mood, random);
      if (type.bits == 16) bits |= element_bits(type, mood, random) << 16;
      at(warp, r, l) = bits;
    }
  return warp;
}

/// The element of a fragment as the ISA's tables place it: register and half of lane (g, t).
float value_of(Type type, u32 bits) {
  if (type.bits == 32) bits &= ~0x1fffu;  // tf32
  if (type.kind == 'h') bits <<= 16;
  if (type.bits == 32 || type.kind == 'h') return __builtin_bit_cast(float, bits);
  return static_cast<float>(real_value(bits & 0xffff, type));
}
float part_of(const Product& p, Warp& w, int reg, int lane, int half) {
  const u32 bits = at(w, reg, lane);
  return value_of(p.type, p.type.bits == 32 ? bits : bits >> (16 * half) & 0xffff);
}
float a_element(const Product& p, Warp& w, int row, int k) {
  const int g = row % 8, wide = 4 * p.per_register();
  const int t = k % wide / p.per_register();
  return part_of(p, w, row / 8 + 2 * (k / wide), 4 * g + t, k % p.per_register());
}
float b_element(const Product& p, Warp& w, int k, int n) {
  const int wide = 4 * p.per_register();
  return part_of(p, w, 4 + k / wide, 4 * n + k % wide / p.per_register(), k % p.per_register());
}

bool same(u32 got, float expected) {
  if (std::isnan(expected)) return got == 0x7fffffff;
  return got == __builtin_bit_cast(u32, expected);
}

/// What lane l must hold in register r, a half of it where sums are f16; empty where `got` is that.
std::string difference(const Product& p, Warp& in, bool zero_c, int r, int l, u32 got) {
  const int halves = p.half_sums ? 2 : 1;
  for (int half = 0; half < halves; ++half) {
    const int which = p.half_sums ? 2 * r + half : r;  // as c0..c3 of an f32 fragment
    const int row = l / 4 + 8 * (which / 2), column = l % 4 * 2 + which % 2;
    const u32 c = at(in, 6 + r, l) >> (16 * half);
    float sum = zero_c        ? 0.0f
                : p.half_sums ? static_cast<float>(real_value(c & 0xffff, {'f', 16}))
                              : __builtin_bit_cast(float, c);
    for (int k = 0; k < p.depth; ++k)
      sum = std::fma(a_element(p, in, row, k), b_element(p, in, k, column), sum);
    const u32 part = p.half_sums ? got >> (16 * half) & 0xffff : got;
    const u32 rounded = static_cast<u32>(
        round_to(exact_of(__builtin_bit_cast(u32, sum), {'f', 32}), {'f', 16}, Mode::nearest));
    if (p.half_sums ? part != rounded : !same(got, sum))
      return fmt::format("d{} of lane {}: {:#x}, expected {}", r, l, part, sum);
  }
  return {};
}

enum class Operands { apart, onto_c, onto_a, zero_c };

std::vector<u32> run_mma(const Product& p, Warp& in, Operands form, Isa isa) {
  std::vector<u32> out(4 * lanes, 0xabcdabcd);
  const auto list = [](const char* prefix, int first, int count) {
    std::string text = "{";
    for (int k = 0; k < count; ++k) text += fmt::format("{}{}{}", k ? ", " : "", prefix, first + k);
    return text + "}";
  };
  std::string c = list("%r", 16, p.c());
  if (form == Operands::zero_c)
    c = p.half_sums ? "{0, 0}" : "{0f00000000, 0f00000000, 0f00000000, 0f00000000}";
  const int to = form == Operands::onto_c                     ? 16
                 : form == Operands::onto_a && p.a() >= p.c() ? 10
                                                              : 30;
  std::string body =
      "mov.u32 %r0, %tid.x; mul.wide.u32 %d0, %r0, 40; ld.param.u64 %d1, [p0]; add.s64 %d1, %d1, "
      "%d0;\n";
  for (int r = 0; r < registers; ++r)
    body += fmt::format("ld.global.b32 %r{}, [%d1+{}];\n", 10 + r, 4 * r);
  body += fmt::format("{} {}, {}, {}, {};\n", p.name, list("%r", to, p.c()), list("%r", 10, p.a()),
                      list("%r", 14, p.b()), c);
  body += "mul.wide.u32 %d0, %r0, 16; ld.param.u64 %d1, [p1]; add.s64 %d1, %d1, %d0;\n";
  for (int r = 0; r < p.c(); ++r)
    body += fmt::format("st.global.b32 [%d1+{}], %r{};\n", 4 * r, to + r);
  run_body(body + "ret;", {input("in", in, DType::i32), output("out", out, DType::i32)},
           {.isa = isa});
  return out;
}

}  // namespace

TEST_CASE("every mma adds products by fma, k ascending, on every instruction set") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int forms = 0;
  for (const Row* row : table(Isa::baseline).rows()) {
    if (!std::string_view(row->name).starts_with("mma.")) continue;
    ++forms;
    const Product p = product_of(*row);
    for (int round = 0; round < 60; ++round) {
      Warp in = random_operands(p, random);
      const auto form = static_cast<Operands>(round % 4);
      for (Isa isa : present_isas()) {
        const std::vector<u32> out = run_mma(p, in, form, isa);
        for (int l = 0; l < lanes; ++l)
          for (int r = 0; r < p.c(); ++r) {
            const std::string wrong = difference(p, in, form == Operands::zero_c, r, l,
                                                 out[static_cast<std::size_t>(4 * l + r)]);
            INFO(p.name << " " << name_of(isa) << " form " << round % 4);
            REQUIRE(wrong == "");
          }
      }
    }
  }
  CHECK(forms == 7);
}

TEST_CASE("ldmatrix hands rows and columns of tiles to lanes") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  constexpr int bytes = 2048;
  std::vector<u16> memory(bytes / 2);
  int forms = 0;
  for (const Row* row : table(Isa::baseline).rows()) {
    const std::string name = row->name;
    if (!name.starts_with("ldmatrix.")) continue;
    ++forms;
    const bool transposed = name.find(".trans") != name.npos,
               generic = name.find(".shared") == name.npos;
    const int tiles = name.find(".x1") != name.npos ? 1 : name.find(".x2") != name.npos ? 2 : 4;
    for (Isa isa : present_isas())
      for (int round = 0; round < 6; ++round) {
        std::vector<u32> rows(lanes), out(4 * lanes, 0xabcdabcd);
        for (u16& value : memory) value = static_cast<u16>(random());
        for (int l = 0; l < lanes; ++l)  // lanes beyond the tiles' may hold anything
          rows[l] = l < 8 * tiles ? random() % (bytes / 16) * 16 : random();
        std::string registers;
        for (int k = 0; k < tiles; ++k) registers += fmt::format("{}%r{}", k ? ", " : "", 20 + k);
        std::string opcode = name;
        if (!generic && round % 2) opcode.replace(opcode.find(".shared"), 7, ".shared::cta");
        std::string body = R"(
          .shared .align 16 .b8 window[2080];
          mov.u32 %r0, %tid.x; mul.wide.u32 %d0, %r0, 4; mov.u32 %r20, 7; mov.u32 %r21, 7; mov.u32 %r22, 7; mov.u32 %r23, 7;
          ld.param.u64 %d1, [p0]; mov.u32 %r1, window; mov.u32 %r2, 0;
          $FILL: mul.wide.u32 %d2, %r2, 1; add.s64 %d3, %d1, %d2; ld.global.b32 %r3, [%d3];
          add.u32 %r4, %r1, %r2; st.shared.b32 [%r4+32], %r3; add.u32 %r2, %r2, 4; setp.lt.u32 %p1, %r2, 2048; @%p1 bra $FILL;
          ld.param.u64 %d1, [p1]; add.s64 %d1, %d1, %d0; ld.global.b32 %r5, [%d1]; add.u32 %r6, %r1, %r5;
          mov.u64 %d5, window; cvta.shared.u64 %d5, %d5; cvt.u64.u32 %d6, %r5;
          add.s64 %d5, %d5, %d6;)";
        body += fmt::format("{} {{{}}}, [{}+32];\n", opcode, registers, generic ? "%d5" : "%r6");
        body += R"(ld.param.u64 %d1, [p2]; mul.wide.u32 %d0, %r0, 16; add.s64 %d1, %d1, %d0;
          st.global.v4.u32 [%d1], {%r20, %r21, %r22, %r23}; ret;)";
        run_body(body,
                 {input("memory", memory, DType::f16), input("rows", rows, DType::i32),
                  output("out", out, DType::i32)},
                 {.isa = isa});
        for (int l = 0; l < lanes; ++l)
          for (int k = 0; k < 4; ++k) {
            const int g = l / 4, t = l % 4;
            u32 expected = 7;
            if (k < tiles) {
              const auto element = [&](int r, int c) -> u32 {
                return memory[rows[8 * k + r] / 2 + c];
              };
              expected = transposed ? element(2 * t, g) | element(2 * t + 1, g) << 16
                                    : element(g, 2 * t) | element(g, 2 * t + 1) << 16;
            }
            INFO(opcode << " " << name_of(isa) << " lane " << l << " register " << k);
            REQUIRE(out[static_cast<std::size_t>(4 * l + k)] == expected);
          }
      }
  }
  CHECK(forms == 12);
}

TEST_CASE("stmatrix puts rows and columns of tiles where each address says") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  constexpr int bytes = 1024;
  int forms = 0;
  for (const Row* row : table(Isa::baseline).rows()) {
    const std::string name = row->name;
    if (!name.starts_with("stmatrix.")) continue;
    ++forms;
    const bool transposed = name.find(".trans") != name.npos,
               generic = name.find(".shared") == name.npos;
    const int tiles = row->count;
    std::string registers;
    for (int k = 0; k < tiles; ++k) registers += fmt::format("{}%r{}", k ? ", " : "", 20 + k);
    for (Isa isa : present_isas()) {
      std::vector<u32> places(bytes / 16), in(5 * lanes);
      std::vector<u16> out(bytes / 2), expected(bytes / 2, 0);
      std::iota(places.begin(), places.end(), 0u);
      std::shuffle(places.begin(), places.end(), random);
      for (int l = 0; l < lanes; ++l) {
        for (int k = 0; k < 4; ++k) in[5 * l + k] = random();
        in[5 * l + 4] = l < 8 * tiles ? 16 * places[l] : random();
      }
      run_body(fmt::format(R"(
          .shared .align 16 .b8 window[1024];
          mov.u32 %r0, %tid.x; mul.wide.u32 %d0, %r0, 20; ld.param.u64 %d1, [p0]; add.s64 %d1, %d1, %d0;
          ld.global.b32 %r20, [%d1]; ld.global.b32 %r21, [%d1+4]; ld.global.b32 %r22, [%d1+8]; ld.global.b32 %r23, [%d1+12];
          ld.global.b32 %r5, [%d1+16]; mov.u32 %r1, window; add.u32 %r6, %r1, %r5; mov.u64 %d5, window;
          cvta.shared.u64 %d5, %d5; cvt.u64.u32 %d6, %r5; add.s64 %d5, %d5, %d6; mul.lo.u32 %r7, %r0, 32; add.u32 %r7, %r7, %r1;
          st.shared.v4.u32 [%r7], {{0, 0, 0, 0}}; st.shared.v4.u32 [%r7+16], {{0, 0, 0, 0}};
          bar.sync 0; {} [{}], {{{}}}; bar.sync 0; ld.param.u64 %d1, [p1]; mul.wide.u32 %d0, %r0, 32; add.s64 %d1, %d1, %d0;
          ld.shared.v4.u32 {{%r20, %r21, %r22, %r23}}, [%r7]; st.global.v4.u32 [%d1], {{%r20, %r21, %r22, %r23}};
          ld.shared.v4.u32 {{%r20, %r21, %r22, %r23}}, [%r7+16]; st.global.v4.u32 [%d1+16], {{%r20, %r21, %r22, %r23}};
          ret;)",
                           name, generic ? "%d5" : "%r6", registers),
               {input("in", in, DType::i32), output("out", out, DType::f16)}, {.isa = isa});
      for (int k = 0; k < tiles; ++k)
        for (int l = 0; l < lanes; ++l)
          for (int half = 0; half < 2; ++half) {
            const int first = l / 4, second = l % 4 * 2 + half;
            const int r = transposed ? second : first, c = transposed ? first : second;
            expected[in[5 * (8 * k + r) + 4] / 2 + c] =
                static_cast<u16>(in[5 * l + k] >> (16 * half));
          }
      INFO(name << " " << name_of(isa));
      REQUIRE(out == expected);
    }
  }
  CHECK(forms == 12);
}

namespace {

constexpr std::string_view zero_mma =
    "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, {%r1,%r2}, {%r3}, "
    "{%f0,%f1,%f2,%f3};";

std::string report_of(std::string_view body, int threads = 32) {
  return error_of([&] {
    run_body(fmt::format(".shared .align 16 .b8 window[256]; mov.u32 %r0, %tid.x; {} ret;", body),
             {}, {.threads = threads, .instruction_limit = 100000});
  });
}

}  // namespace

TEST_CASE("mma and ldmatrix want the whole warp") {
  INFO(report_of(fmt::format("setp.lt.u32 %p1, %r0, 30; @%p1 {}", zero_mma)));
  CHECK(
      report_of(fmt::format("setp.lt.u32 %p1, %r0, 30; @%p1 {}", zero_mma))
          .starts_with(
              "device: the instruction needs all lanes of the warp, but lanes 30-31 skip it by its "
              "predicate (kernel 'k', CTA 0, warp 0, lane 30, ptx line "));
  CHECK(report_of(fmt::format("setp.eq.u32 %p1, %r0, 5; @%p1 exit; {}", zero_mma))
            .starts_with("device: the instruction needs all lanes of the warp, but lanes 5 have "
                         "exited (kernel 'k'"));
  CHECK(report_of(zero_mma, 40)
            .starts_with("device: the instruction needs all lanes of the warp, but lanes 8-31 do "
                         "not exist (kernel "
                         "'k', CTA 0, warp 1, lane 8"));
  CHECK(
      report_of(
          "setp.ne.u32 %p1, %r0, 3; @%p1 ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [window];")
          .starts_with("device: the instruction needs all lanes of the warp, but lanes 3 skip it"));
  // A branch that never comes back to it: the others leave.
  CHECK(report_of(
            fmt::format("setp.lt.u32 %p1, %r0, 4; @%p1 bra $ON; bra $END; $ON: {} $END:", zero_mma))
            .starts_with(
                "device: the instruction needs all lanes of the warp, but lanes 4-31 have exited"));
  // Skipped by all, or reached by all in turn, it is no fault.
  CHECK(report_of(fmt::format("setp.lt.u32 %p1, %r0, 0; @%p1 {}", zero_mma)) == "");
  CHECK(report_of(fmt::format("setp.lt.u32 %p1, %r0, 9; @%p1 bra $ON; add.u32 %r5, %r0, 1; $ON: {}",
                              zero_mma)) == "");
}

TEST_CASE("ldmatrix reports rows outside and rows not aligned") {
  const auto load = [](std::string_view tiles, std::string_view address) {
    return report_of(
        fmt::format("mov.u32 %r9, window; mad.lo.u32 %r9, %r0, 16, %r9; {} "
                    "ldmatrix.sync.aligned.m8n8.{}.shared.b16 {{{}}}, [%r9];",
                    address, tiles, tiles == "x4" ? "%r1,%r2,%r3,%r4" : "%r1,%r2"));
  };
  CHECK(load("x4", "").starts_with(
      "device: out-of-bounds read of 16 bytes in shared memory at byte 256, 16 bytes past "
      "the end of the 256 bytes of shared memory (kernel 'k', CTA 0, warp 0, lane 16, "));
  CHECK(load("x2", "") == "");
  CHECK(load("x2", "setp.eq.u32 %p1, %r0, 9; @%p1 add.u32 %r9, %r9, 8;")
            .starts_with("device: misaligned read of 16 bytes in shared memory at byte 152 of the "
                         "256 bytes of shared "
                         "memory (kernel 'k', CTA 0, warp 0, lane 9, "));
}

TEST_CASE("operands that do not fit an mma or ldmatrix are named") {
  const auto error = [](std::string_view body) { return report_of(body); };
  CHECK(error("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, {%r1,%r2}, "
              "{%r3,%r4}, "
              "{%f0,%f1,%f2,%f3};")
            .starts_with("device: kernel 'k': operand 2 of "
                         "'mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32' is not "
                         "a vector of 4 registers (ptx line "));
  CHECK(error("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1}, [window];")
            .find("is not a vector of 2 registers") != std::string::npos);
  CHECK(error("mma.sync.aligned.m16n8k16.row.row.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, {%r1,%r2}, "
              "{%r3,%r4}, "
              "{%f0,%f1,%f2,%f3};")
            .starts_with("unsupported: the host device does not know this combination of "
                         "modifiers: 'mma.sync."));
}

}  // namespace lacuna::runtime::host::test
