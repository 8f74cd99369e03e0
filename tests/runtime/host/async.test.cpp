// cp.async against memcpy and memset, and what it reports.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::runtime::host::test {
namespace {

using lacuna::test::fresh_seed;
using u8 = std::uint8_t;
using u32 = std::uint32_t;

constexpr int lanes = 32, window = 1024;

/// What each lane does: from a byte offset of the source (any 64 bits where it reads nothing) to
/// one of the window; how many bytes; whether it takes part; whether it ignores the source.
struct Lane {
  std::uint64_t from = 0;
  std::uint64_t to = 0, bytes = 0, takes_part = 1, ignores = 0;
};

/// %d10 source address, %r10 destination, %r11 bytes, %p1 takes part, %p2 ignores the source.
constexpr std::string_view before = R"(
  .shared .align 16 .b8 window[1024];
  mov.u32 %r0, %tid.x; mul.wide.u32 %d0, %r0, 40; ld.param.u64 %d1, [p1]; add.s64 %d1, %d1, %d0;
  ld.global.u64 %d2, [%d1]; ld.param.u64 %d10, [p0]; add.s64 %d10, %d10, %d2;
  ld.global.u32 %r10, [%d1+8]; mov.u32 %r1, window; add.u32 %r10, %r10, %r1; ld.global.u32 %r11, [%d1+16];
  ld.global.u32 %r2, [%d1+24]; setp.ne.u32 %p1, %r2, 0; ld.global.u32 %r2, [%d1+32]; setp.ne.u32 %p2, %r2, 0;
  mul.lo.u32 %r3, %r0, 32; add.u32 %r3, %r3, %r1; mov.u32 %r4, 0x5a5a5a5a; mov.u32 %r5, 0;
  $FILL: st.shared.b32 [%r3], %r4; add.u32 %r3, %r3, 4; add.u32 %r5, %r5, 1; setp.lt.u32 %p3, %r5, 8; @%p3 bra $FILL;
  bar.warp.sync -1; createpolicy.fractional.L2::evict_last.b64 %d11, 1.0;
)";
constexpr std::string_view after = R"(
  cp.async.commit_group; cp.async.wait_group 1; cp.async.wait_all; bar.warp.sync -1;
  mul.lo.u32 %r3, %r0, 32; ld.param.u64 %d1, [p2]; mul.wide.u32 %d0, %r3, 1; add.s64 %d1, %d1, %d0; add.u32 %r3, %r3, %r1;
  mov.u32 %r5, 0;
  $TAKE: ld.shared.b32 %r4, [%r3]; st.global.b32 [%d1], %r4; add.u32 %r3, %r3, 4; add.s64 %d1, %d1, 4;
  add.u32 %r5, %r5, 1; setp.lt.u32 %p3, %r5, 8; @%p3 bra $TAKE; ret;
)";

struct Copies {
  std::vector<u8> source = std::vector<u8>(4096), out = std::vector<u8>(window);
  std::vector<Lane> lane = std::vector<Lane>(lanes);

  void run(std::string_view copy, Isa isa) {
    std::vector<std::uint64_t> table;
    for (const Lane& l : lane)
      table.insert(table.end(), {l.from, l.to, l.bytes, l.takes_part, l.ignores});
    std::string body(before);
    body += fmt::format("@%p1 {}\n", copy);
    run_body(body + std::string(after),
             {input("source", source, DType::u8), input("table", table, DType::i64),
              output("out", out, DType::u8)},
             {.isa = isa});
  }
};

Copies random_copies(int size, std::mt19937& random) {
  Copies c;
  for (u8& byte : c.source) byte = static_cast<u8>(random());
  std::vector<int> places(window / size);
  for (std::size_t k = 0; k < places.size(); ++k) places[k] = static_cast<int>(k) * size;
  std::shuffle(places.begin(), places.end(), random);
  for (int l = 0; l < lanes; ++l) {
    Lane& lane = c.lane[l];
    lane.from = random() % (4096 / size) * size;
    lane.to = places[l];
    lane.bytes = random() % 3 == 0 ? random() % (size + 1) : random() % 2 ? size : 0;
    lane.takes_part = random() % 4 != 0;
    lane.ignores = random() % 3 == 0;
  }
  return c;
}

}  // namespace

TEST_CASE("cp.async copies and fills with zeros as each lane asks") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  struct Tail {
    const char* modifiers;
    const char* operands;
    char reads;  ///< 'a'll, 'b'ytes of the lane, 'i'gnore predicate, or a digit
  };
  for (const Tail& tail :
       {Tail{"", "", 'a'}, Tail{".L2::128B", "", 'a'}, Tail{"", ", %r11", 'b'},
        Tail{".L2::256B", ", %r11", 'b'}, Tail{".L2::cache_hint", ", %d11", 'a'},
        Tail{".L2::cache_hint.L2::64B", ", %r11, %d11", 'b'}, Tail{"", ", %p2", 'i'},
        Tail{"", ", !%p2", 'n'}, Tail{"", ", 0", '0'}, Tail{"", ", 3", '3'}})
    for (int size : {4, 8, 16})
      for (const char* level : {"ca", "cg"}) {
        if (level[1] == 'g' && size != 16) continue;
        for (Isa isa : present_isas()) {
          Copies c = random_copies(size, random);
          const bool everyone = random() % 2;
          for (Lane& lane : c.lane) {
            if (everyone) lane.takes_part = 1;
            // Who reads nothing may point anywhere.
            const bool reads =
                tail.reads == 'a' || tail.reads == '3' || (tail.reads == 'b' && lane.bytes) ||
                (tail.reads == 'i' && !lane.ignores) || (tail.reads == 'n' && lane.ignores);
            if (!reads || !lane.takes_part) lane.from = random() * 0x100000001u;
            if (!lane.takes_part) lane.to = random();
          }
          const std::string copy = fmt::format("cp.async.{}.{}.global{} [%r10], [%d10], {}{};",
                                               level, random() % 2 ? "shared" : "shared::cta",
                                               tail.modifiers, size, tail.operands);
          c.run(copy, isa);
          std::vector<u8> expected(window, 0x5a);
          for (const Lane& lane : c.lane) {
            if (!lane.takes_part) continue;
            const std::uint64_t bytes = tail.reads == 'a'   ? size
                                        : tail.reads == 'b' ? lane.bytes
                                        : tail.reads == 'i' ? (lane.ignores ? 0 : size)
                                        : tail.reads == 'n' ? (lane.ignores ? size : 0)
                                                            : tail.reads - '0';
            std::fill_n(expected.begin() + lane.to, size, 0);
            std::copy_n(c.source.begin() + (bytes ? lane.from : 0), bytes,
                        expected.begin() + lane.to);
          }
          INFO(copy << " " << name_of(isa));
          REQUIRE(c.out == expected);
        }
      }
}

TEST_CASE("cp.async takes displacements of both addresses") {
  Copies c;
  for (std::size_t k = 0; k < c.source.size(); ++k) c.source[k] = static_cast<u8>(k * 7 + k / 256);
  for (int l = 0; l < lanes; ++l) c.lane[l] = {.from = 100u + 16u * l - 4u, .to = 16u * l};
  c.run("cp.async.cg.shared.global [%r10+512], [%d10+-80], 16;", best_isa());
  for (int l = 0; l < lanes; ++l)
    for (int b = 0; b < 16; ++b) REQUIRE(c.out[512 + 16 * l + b] == c.source[16 + 16 * l + b]);
  REQUIRE(c.out[511] == 0x5a);
}

TEST_CASE("cp.async reports what no GPU would forgive") {
  const auto report = [](std::string_view copy, auto change) {
    Copies c;
    for (int l = 0; l < lanes; ++l) c.lane[l] = {.from = 16u * l, .to = 16u * l, .bytes = 16};
    change(c.lane);
    return error_of([&] { c.run(copy, best_isa()); });
  };
  using Lanes = std::vector<Lane>;
  const char* whole = "cp.async.cg.shared.global [%r10], [%d10], 16;";
  const char* part = "cp.async.ca.shared.global [%r10], [%d10], 16, %r11;";
  CHECK(report(whole, [](Lanes&) {}) == "");
  CHECK(report(whole, [](Lanes& l) { l[7].from = 4088; })
            .starts_with("device: out-of-bounds read of 16 bytes in global memory at source[4088], "
                         "8 bytes past the end "
                         "of source (u8 [4096]) (kernel 'k', CTA 0, warp 0, lane 7, ptx line "));
  CHECK(
      report(whole, [](Lanes& l) { l[30].to = 1016; })
          .starts_with("device: out-of-bounds write of 16 bytes in shared memory at byte 1016, 8 "
                       "bytes past the end "
                       "of the 1024 bytes of shared memory (kernel 'k', CTA 0, warp 0, lane 30, "));
  CHECK(report(whole, [](Lanes& l) {
          l[3].from += 8;
        }).starts_with("device: misaligned read of 16 bytes in global"));
  CHECK(report(whole, [](Lanes& l) {
          l[3].to += 4;
        }).starts_with("device: misaligned write of 16 bytes in shared"));
  CHECK(report(part, [](Lanes& l) {
          l[9].bytes = 5, l[9].from += 8;
        }).starts_with("device: misaligned read of 16 bytes in global memory at source[152]"));
  CHECK(report(part, [](Lanes& l) {
          l[9].bytes = 5, l[9].from = 4096;
        }).starts_with("device: out-of-bounds read of 5 bytes in global memory at source[4096]"));
  CHECK(report(part, [](Lanes& l) { l[9].bytes = 0, l[9].from = 123456789; }) == "");
  CHECK(report(part, [](Lanes& l) { l[11].bytes = 17; })
            .starts_with("device: the copy is told to read more bytes than it writes (kernel 'k', "
                         "CTA 0, warp 0, lane "
                         "11, ptx line "));
  CHECK(report("cp.async.cg.shared.global [%r10], [%d10], 8;", [](Lanes&) {})
            .starts_with("device: kernel 'k': 'cp.async.cg.shared.global' copies 16 bytes, not '8' "
                         "(ptx line "));
  CHECK(report("cp.async.ca.shared.global [%r10], [%d10], 12;", [](Lanes&) {
        }).find("copies 4, 8 or 16 bytes") != std::string::npos);
  CHECK(report("cp.async.ca.shared.global.L2::96B [%r10], [%d10], 4;", [](Lanes&) {})
            .starts_with(
                "unsupported: the host device does not know the modifier '.L2::96B' of 'cp.async"));
}

}  // namespace lacuna::runtime::host::test
