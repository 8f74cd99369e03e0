// What lanes of a warp do together, against definitions written lane by lane.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <bit>

namespace lacuna::runtime::host::test {
namespace {

using lacuna::test::fresh_seed;
using u32 = std::uint32_t;

/// %r0 lane, %r1..%r4 this lane's four inputs; the body leaves results in %r10, %r11.
std::vector<u32> run_warp(const std::vector<u32>& in, std::string_view body, Isa isa,
                          int threads = 32) {
  std::vector<u32> inputs = in, out(2 * static_cast<std::size_t>(threads), 0xabcdabcd);
  inputs.resize(4 * static_cast<std::size_t>(threads));
  run_body(fmt::format(R"(
    mov.u32 %r0, %tid.x; mul.wide.u32 %d0, %r0, 16; ld.param.u64 %d1, [p0]; add.s64 %d1, %d1, %d0;
    ld.global.v4.u32 {{%r1, %r2, %r3, %r4}}, [%d1]; mov.u32 %r10, 0; mov.u32 %r11, 0;
    {}
    mul.wide.u32 %d0, %r0, 8; ld.param.u64 %d1, [p1]; add.s64 %d1, %d1, %d0; st.global.v2.u32 [%d1], {{%r10, %r11}};
    ret;)",
                       body),
           {input("in", inputs, DType::i32), output("out", out, DType::i32)},
           {.threads = threads, .isa = isa});
  return out;
}

std::vector<u32> random_inputs(std::mt19937& random) {
  std::vector<u32> in(128);
  for (u32& value : in) value = random();
  return in;
}

struct Shuffled {
  u32 source;
  bool inside;
};
/// The pseudo-code of the PTX ISA.
Shuffled shuffled(std::string_view mode, int lane, u32 b, u32 c) {
  const int bval = static_cast<int>(b & 31), cval = static_cast<int>(c & 31),
            segment = static_cast<int>(c >> 8 & 31);
  const int most = (lane & segment) | (cval & ~segment), least = lane & segment;
  int j = lane;
  bool inside = false;
  if (mode == "up") j = lane - bval, inside = j >= most;
  if (mode == "down") j = lane + bval, inside = j <= most;
  if (mode == "bfly") j = lane ^ bval, inside = j <= most;
  if (mode == "idx") j = least | (bval & ~segment), inside = j <= most;
  return {static_cast<u32>(inside ? j : lane), inside};
}

}  // namespace

TEST_CASE("shfl in all modes") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (Isa isa : present_isas())
    for (const char* mode : {"up", "down", "bfly", "idx"})
      for (int round = 0; round < 20; ++round) {
        std::vector<u32> in = random_inputs(random);
        const u32 uniform = random();
        static constexpr u32 clamps[] = {0, 31, 0x1f, 0x1c03, 0x1800, 0x181f, 0x1e1f, 0x100f};
        for (int l = 0; l < 32; ++l) {
          in[4 * l + 2] = clamps[round % 8];
          if (round % 2 == 0) in[4 * l + 1] = uniform;
        }
        const auto out = run_warp(
            in,
            fmt::format("shfl.sync.{}.b32 %r10|%p1, %r1, %r2, %r3, -1; selp.u32 %r11, 1, 0, %p1;",
                        mode),
            isa);
        for (int l = 0; l < 32; ++l) {
          const Shuffled wanted = shuffled(mode, l, in[4 * l + 1], in[4 * l + 2]);
          REQUIRE(out[2 * l] == in[4 * wanted.source]);
          REQUIRE(out[2 * l + 1] == wanted.inside);
        }
      }
}

TEST_CASE("shfl among some lanes, and reports of lanes that are not there") {
  const auto in = [] {
    std::vector<u32> values(128);
    for (u32 l = 0; l < 32; ++l) values[4 * l] = 100 + l;
    return values;
  }();
  const auto out = run_warp(
      in,
      "setp.lt.u32 %p1, %r0, 8; @!%p1 bra $ON;\n shfl.sync.bfly.b32 %r10, %r1, 3, 31, 255;\n$ON:",
      best_isa());
  for (u32 l = 0; l < 32; ++l) CHECK(out[2 * l] == (l < 8 ? 100 + (l ^ 3) : 0));
  const std::string absent = error_of([&] {
    run_warp(
        in,
        "setp.lt.u32 %p1, %r0, 8; @!%p1 bra $ON;\n shfl.sync.bfly.b32 %r10, %r1, 9, 31, 255;\n$ON:",
        best_isa());
  });
  CHECK(absent.find("device: the lane reads from lane 9, which does not take part (kernel 'k', CTA "
                    "0, warp 0, lane 0, ptx line") == 0);
  const std::string outsider = error_of(
      [&] { run_warp(in, "shfl.sync.bfly.b32 %r10, %r1, 1, 31, 0x7fffffff;", best_isa()); });
  CHECK(outsider.find("device: the lane is not in its own member mask 0x7fffffff (kernel 'k', CTA "
                      "0, warp 0, lane 31") == 0);
  const std::string skipped = error_of([&] {
    run_warp(in, "setp.ne.u32 %p1, %r0, 4; @%p1 shfl.sync.bfly.b32 %r10, %r1, 1, 31, -1;",
             best_isa());
  });
  CHECK(skipped.find("device: a member of the mask skips the instruction by its predicate (kernel "
                     "'k', CTA 0, warp 0, lane 4") == 0);
}

TEST_CASE("lanes wait for the members of a mask that come later") {
  // Even lanes arrive first, odd lanes after a detour; then all must have exchanged.
  const auto out = run_warp(std::vector<u32>(128, 5), R"(
    and.b32 %r20, %r0, 1; setp.eq.u32 %p1, %r20, 0; mov.u32 %r21, %r0; @%p1 bra $MEET;
    mov.u32 %r22, 0;
    $AGAIN: add.u32 %r21, %r21, 100; add.u32 %r22, %r22, 1; setp.lt.u32 %p2, %r22, %r0; @%p2 bra $AGAIN;
    $MEET: shfl.sync.bfly.b32 %r10, %r21, 1, 31, -1; activemask.b32 %r11;)",
                            best_isa());
  for (u32 l = 0; l < 32; ++l) {
    const u32 from = l ^ 1;
    CHECK(out[2 * l] == (from % 2 == 0 ? from : from + 100 * from));
    CHECK(out[2 * l + 1] == 0xffffffff);
  }
}

TEST_CASE("votes, matches and reductions, by member mask") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (Isa isa : present_isas())
    for (int round = 0; round < 12; ++round) {
      std::vector<u32> in = random_inputs(random);
      const u32 split =
          round == 0 ? 0xffffffff : random() | 1;  // lanes in and out of it vote apart
      const bool quiet = round % 3 == 0;
      for (int l = 0; l < 32; ++l) {
        in[4 * l] = quiet ? 3 : in[4 * l] % 5;
        in[4 * l + 3] = split >> l & 1 ? split : ~split;
      }
      const auto members = [&](int l) { return in[4 * l + 3]; };
      const auto fold = [&](int l, auto start, auto f) {
        auto value = start;
        bool first = true;
        for (int k = 0; k < 32; ++k)
          if (members(l) >> k & 1)
            value = first ? static_cast<decltype(start)>(in[4 * k])
                          : f(value, static_cast<decltype(start)>(in[4 * k])),
            first = false;
        return static_cast<u32>(value);
      };
      const std::string head = "setp.gt.u32 %p1, %r1, 1; ";
      const auto any = run_warp(in,
                                head +
                                    "vote.sync.any.pred %p2, %p1, %r4; selp.u32 %r10, 1, 0, %p2; "
                                    "vote.sync.all.pred %p3, !%p1, %r4; selp.u32 %r11, 1, 0, %p3;",
                                isa);
      const auto uni = run_warp(in,
                                head +
                                    "vote.sync.uni.pred %p2, %p1, %r4; selp.u32 %r10, 1, 0, %p2; "
                                    "vote.sync.ballot.b32 %r11, %p1, %r4;",
                                isa);
      const auto match = run_warp(in,
                                  "match.any.sync.b32 %r10, %r1, %r4; cvt.u64.u32 %d5, %r1; "
                                  "match.any.sync.b64 %r11, %d5, %r4;",
                                  isa);
      const auto all = run_warp(
          in,
          "match.all.sync.b32 %r10|%p1, %r1, %r4; cvt.u64.u32 %d5, %r1; match.all.sync.b64 %r12, "
          "%d5, %r4; selp.u32 %r13, 1, 0, %p1; add.u32 %r11, %r12, %r13;",
          isa);
      for (int l = 0; l < 32; ++l) {
        u32 holds = 0, same = 0;
        for (int k = 0; k < 32; ++k)
          if (members(l) >> k & 1) {
            holds |= u32{in[4 * k] > 1} << k;
            same |= u32{in[4 * k] == in[4 * l]} << k;
          }
        REQUIRE(any[2 * l] == (holds != 0));
        REQUIRE(any[2 * l + 1] == (holds == 0));
        REQUIRE(uni[2 * l] == (holds == 0 || holds == members(l)));
        REQUIRE(uni[2 * l + 1] == holds);
        REQUIRE(match[2 * l] == same);
        REQUIRE(match[2 * l + 1] == same);
        REQUIRE(all[2 * l] == (same == members(l) ? members(l) : 0));
        REQUIRE(all[2 * l + 1] == (same == members(l) ? members(l) + 1 : 0));
      }
      for (int l = 0; l < 32; ++l) in[4 * l] = random();
      const auto check = [&](const char* form, auto start, auto f) {
        const auto out = run_warp(in, fmt::format("redux.sync.{} %r10, %r1, %r4;", form), isa);
        for (int l = 0; l < 32; ++l) REQUIRE(out[2 * l] == fold(l, start, f));
      };
      check("add.u32", u32{}, [](u32 a, u32 b) { return a + b; });
      check("add.s32", u32{}, [](u32 a, u32 b) { return a + b; });
      check("min.u32", u32{}, [](u32 a, u32 b) { return std::min(a, b); });
      check("max.u32", u32{}, [](u32 a, u32 b) { return std::max(a, b); });
      check("min.s32", std::int32_t{},
            [](std::int32_t a, std::int32_t b) { return std::min(a, b); });
      check("max.s32", std::int32_t{},
            [](std::int32_t a, std::int32_t b) { return std::max(a, b); });
      check("and.b32", u32{}, [](u32 a, u32 b) { return a & b; });
      check("or.b32", u32{}, [](u32 a, u32 b) { return a | b; });
      check("xor.b32", u32{}, [](u32 a, u32 b) { return a ^ b; });
    }
}

TEST_CASE("elect, activemask and the mask registers") {
  for (Isa isa : present_isas()) {
    const auto elected = run_warp({}, R"(
      setp.gt.u32 %p1, %r0, 4; @!%p1 bra $ON;
      activemask.b32 %r11; elect.sync %r10|%p2, %r11; @%p2 add.u32 %r10, %r10, 1000;
      $ON: bar.warp.sync -1;)",
                                  isa);
    for (u32 l = 0; l < 32; ++l) {
      CHECK(elected[2 * l] == (l < 5 ? 0 : l == 5 ? 1005 : 5));
      CHECK(elected[2 * l + 1] == (l < 5 ? 0 : 0xffffffe0));
    }
    const auto masks = run_warp({}, R"(
      mov.u32 %r20, %lanemask_lt; mov.u32 %r21, %lanemask_le; mov.u32 %r22, %lanemask_gt; mov.u32 %r23, %lanemask_ge;
      mov.u32 %r24, %lanemask_eq; mov.u32 %r25, %laneid; popc.b32 %r20, %r20; popc.b32 %r21, %r21; popc.b32 %r22, %r22;
      popc.b32 %r23, %r23; mad.lo.u32 %r20, %r21, 100, %r20; mad.lo.u32 %r20, %r22, 10000, %r20; mad.lo.u32 %r10, %r23, 1000000, %r20;
      bfind.u32 %r24, %r24; sub.u32 %r11, %r24, %r25;)",
                                isa);
    for (u32 l = 0; l < 32; ++l) {
      CHECK(masks[2 * l] == l + 100 * (l + 1) + 10000 * (31 - l) + 1000000 * (32 - l));
      CHECK(masks[2 * l + 1] == 0);
    }
  }
}

TEST_CASE("a partial warp has only the lanes that were launched") {
  const auto out = run_warp(std::vector<u32>(4 * 45, 1),
                            "vote.sync.ballot.b32 %r10, 1, -1; redux.sync.add.u32 %r11, %r1, -1;",
                            best_isa(), 45);
  for (u32 t = 0; t < 45; ++t) {
    CHECK(out[2 * t] == (t < 32 ? 0xffffffff : 0x1fff));
    CHECK(out[2 * t + 1] == (t < 32 ? 32u : 13u));
  }
}

}  // namespace lacuna::runtime::host::test
