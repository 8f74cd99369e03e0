// The laboratory's models of an SM against slow ones, and its counters on PTX with known answers.
#include "bench/laboratory/memory_cost.h"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/random.h"

#include "bench/laboratory/fit.h"
#include "bench/laboratory/occupancy.h"
#include "bench/laboratory/trace.h"
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>

namespace lacuna::bench::test {
namespace {

using Addresses = std::array<std::uint64_t, 32>;

Addresses addresses(const std::function<std::uint64_t(int)>& of_lane) {
  Addresses at;
  for (int lane = 0; lane < 32; ++lane) at[lane] = of_lane(lane);
  return at;
}

/// Serves a phase wave by wave: in each, every bank hands one word to all who want it, or to one of
/// those who update it.
int waves(std::vector<std::pair<int, std::uint64_t>> wishes, bool atomic) {  // lane, word
  int count = 0;
  while (!wishes.empty()) {
    ++count;
    std::map<int, std::uint64_t> open;
    std::set<int> updated;
    std::erase_if(wishes, [&](const auto& wish) {
      const int bank = static_cast<int>(wish.second % 32);
      const bool served = open.emplace(bank, wish.second).first->second == wish.second;
      return served && (!atomic || updated.insert(bank).second);
    });
  }
  return count;
}

int slow_wavefronts(const Addresses& at, std::uint32_t lanes, int bytes, bool atomic) {
  int total = 0;
  const int lanes_of_phase = bytes == 16 ? 8 : bytes == 8 ? 16 : 32;
  for (int first = 0; first < 32; first += lanes_of_phase) {
    std::vector<std::pair<int, std::uint64_t>> wishes;
    for (int lane = first; lane < first + lanes_of_phase; ++lane)
      for (int byte = 0; byte < bytes; byte += 4)
        if (lanes >> lane & 1) wishes.emplace_back(lane, (at[lane] + byte) / 4);
    total += waves(wishes, atomic);
  }
  return total;
}

Counts counts_of(const std::string& body, const std::vector<runtime::host::test::Buffer>& buffers,
                 int threads = 32) {
  Trace trace;
  runtime::host::test::Setup setup{.threads = threads};
  setup.observe = trace.observer();
  runtime::host::test::run_body(body, buffers, setup, ".shared .align 128 .b8 tile[8192];");
  return trace.take();
}

/// What one kind of instruction cost: "executions wavefronts/least sectors/least".
std::string costs_of(const Counts& counts, std::string_view opcode) {
  std::string out;
  for (const auto& [at, statement] : counts) {
    if (!statement.opcode.starts_with(opcode)) continue;
    const Tally& t = statement.tally;
    out += fmt::format("{}{:.0f} {:.0f}/{:.0f} {:.0f}/{:.0f}", out.empty() ? "" : "; ",
                       t.executions, t.wavefronts, t.least_wavefronts, t.sectors, t.least_sectors);
  }
  return out;
}

}  // namespace

TEST_CASE("shared memory: strides and broadcasts cost what the guide says") {
  const auto cost = [](int bytes, bool atomic, const std::function<std::uint64_t(int)>& of_lane) {
    const Cost c = shared_cost(addresses(of_lane).data(), ~0u, bytes, atomic);
    return std::pair(c.needed, c.least);
  };
  for (const int stride : {1, 3, 33})
    CHECK(cost(4, false, [=](int l) { return 4u * stride * l; }) == std::pair(1, 1));
  CHECK(cost(4, false, [](int l) { return 8u * l; }) == std::pair(2, 1));
  CHECK(cost(4, false, [](int l) { return 128u * l; }) == std::pair(32, 1));
  CHECK(cost(4, false, [](int) { return 64u; }) == std::pair(1, 1));
  CHECK(cost(4, true, [](int) { return 64u; }) == std::pair(32, 1));
  CHECK(cost(1, false, [](int l) { return 1u * l; }) == std::pair(1, 1));
  CHECK(cost(8, false, [](int l) { return 8u * l; }) == std::pair(2, 2));
  CHECK(cost(16, false, [](int l) { return 16u * l; }) == std::pair(4, 4));
  CHECK(cost(16, false, [](int l) { return 32u * l; }) == std::pair(8, 4));
  // Rows of 64 halves, unswizzled and swizzled: what ldmatrix reads of them.
  CHECK(cost(16, false, [](int l) { return 128u * l; }) == std::pair(32, 4));
  CHECK(cost(16, false, [](int l) { return 128u * l + 16u * (l % 8); }) == std::pair(4, 4));
}

TEST_CASE("shared memory: the formula is what serving wave by wave takes") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    const int bytes = 1 << random() % 5;
    const std::uint64_t span = std::uint64_t{1} << (1 + random() % 11);
    const Addresses at = addresses([&](int) { return random() % span * bytes; });
    const std::uint32_t lanes = random() % 4 == 0 ? ~0u : random();
    const bool atomic = bytes == 4 && random() % 4 == 0;
    REQUIRE(shared_cost(at.data(), lanes, bytes, atomic).needed ==
            slow_wavefronts(at, lanes, bytes, atomic));
  }
}

TEST_CASE("global memory: sectors are those that a set of bytes lies in") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    const int bytes = 1 << random() % 5;
    const std::uint64_t span = std::uint64_t{1} << (1 + random() % 11),
                        base = random() % 64 * bytes;
    const Addresses at = addresses([&](int) { return base + random() % span * bytes; });
    const std::uint32_t lanes = random();
    std::set<std::uint64_t> touched, sectors;
    for (int lane = 0; lane < 32; ++lane)
      for (int byte = 0; byte < bytes; ++byte)
        if (lanes >> lane & 1)
          touched.insert(at[lane] + byte), sectors.insert((at[lane] + byte) / 32);
    const Cost cost = global_cost(at.data(), lanes, bytes);
    REQUIRE(cost.needed == static_cast<int>(sectors.size()));
    REQUIRE(cost.least == static_cast<int>((touched.size() + 31) / 32));
  }
}

TEST_CASE("a trace counts PTX with known answers") {
  alignas(128) static std::uint32_t words[4096];
  std::vector<std::uint32_t> out(64);
  const runtime::host::test::Buffer in = {"in", TensorView::contiguous(words, DType::i32, {4096}),
                                          true};
  const std::string start =
      "mov.u32 %r0, %tid.x; mov.u32 %r1, tile; ld.param.u64 %d0, [p0]; mul.wide.u32 %d1, %r0, 4;";

  SECTION("conflicts by stride, lanes by predicate") {
    const Counts counts = counts_of(start + R"(
      shl.b32 %r2, %r0, 7; add.u32 %r2, %r2, %r1; st.shared.u32 [%r2], %r0;
      setp.lt.u32 %p1, %r0, 5; @%p1 ld.shared.u32 %r3, [%r2];
      setp.gt.u32 %p2, %r0, 99; @%p2 ld.shared.u8 %h1, [%r2]; ret;)",
                                    {in});
    CHECK(costs_of(counts, "st.shared") == "1 32/1 0/0");
    CHECK(costs_of(counts, "ld.shared.u32") == "1 5/1 0/0");
    CHECK(costs_of(counts, "ld.shared.u8") == "1 0/0 0/0");
  }
  SECTION("vectors go in phases") {
    const Counts counts = counts_of(start + R"(
      mad.lo.u32 %r2, %r0, 16, %r1; st.shared.v4.u32 [%r2], {%r0, %r0, %r0, %r0};
      mad.lo.u32 %r2, %r0, 80, %r1; ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r2];
      mad.lo.u32 %r2, %r0, 32, %r1; ld.shared.v2.u32 {%r3, %r4}, [%r2]; ret;)",
                                    {in});
    CHECK(costs_of(counts, "st.shared.v4") == "1 4/4 0/0");
    CHECK(costs_of(counts, "ld.shared.v4") ==
          "1 4/4 0/0");  // 20 words: eight lanes, eight sets of banks
    CHECK(costs_of(counts, "ld.shared.v2") == "1 8/2 0/0");  // 8 words: four lanes to a bank
  }
  SECTION("sectors, and loops by their trips") {
    const Counts counts = counts_of(start + R"(
      add.s64 %d2, %d0, %d1; ld.global.u32 %r3, [%d2];
      mul.wide.u32 %d3, %r0, 128; add.s64 %d3, %d0, %d3; mov.u32 %r9, 0;
      $L: ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%d3]; add.u32 %r9, %r9, 1; setp.lt.u32 %p1, %r9, 3;
      @%p1 bra $L; ld.global.u16 %h1, [%d2+2]; ret;)",
                                    {in});
    CHECK(costs_of(counts, "ld.global.u32") == "1 0/0 4/4");
    CHECK(costs_of(counts, "ld.global.v4") == "3 0/0 96/48");
    CHECK(costs_of(counts, "ld.global.u16") == "1 0/0 4/2");
    CHECK(costs_of(counts, "bra") == "3 0/0 0/0");
  }
  SECTION("updates of one word follow one another") {
    const Counts counts = counts_of(
        start + "red.shared.add.u32 [%r1], 1; red.global.add.u32 [%d0], 1; ret;", {in}, 64);
    CHECK(costs_of(counts, "red.shared") == "2 64/2 0/0");
    CHECK(costs_of(counts, "red.global") == "2 0/0 2/2");
  }
  SECTION("ldmatrix reads eight rows in a phase; cp.async writes 16 bytes a lane") {
    const Counts counts = counts_of(start + R"(
      mad.lo.u32 %r2, %r0, 128, %r1; ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r3, %r4, %r5, %r6}, [%r2];
      and.b32 %r7, %r0, 7; shl.b32 %r7, %r7, 4; add.u32 %r8, %r2, %r7;
      ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r3, %r4, %r5, %r6}, [%r8];
      ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r3, %r4}, [%r8];
      mul.wide.u32 %d3, %r0, 16; add.s64 %d3, %d0, %d3; mad.lo.u32 %r9, %r0, 16, %r1;
      cp.async.cg.shared.global [%r9], [%d3], 16; cp.async.ca.shared.global [%r2], [%d3], 4;
      cp.async.commit_group; cp.async.wait_all; ret;)",
                                    {in});
    CHECK(costs_of(counts, "ldmatrix.sync.aligned.m8n8.x4.shared") == "1 32/4 0/0");
    CHECK(costs_of(counts, "ldmatrix.sync.aligned.m8n8.x4.trans") == "1 4/4 0/0");
    CHECK(costs_of(counts, "ldmatrix.sync.aligned.m8n8.x2") == "1 2/2 0/0");
    CHECK(costs_of(counts, "cp.async.cg") == "1 4/4 16/16");
    CHECK(costs_of(counts, "cp.async.ca") == "1 32/1 16/4");
  }
}

TEST_CASE("occupancy is what placing warp by warp gives") {
  struct Sm {
    int sm, warps, ctas, shared_bytes;
  };
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (const Sm sm :
       {Sm{80, 64, 32, 163840 + 4096}, Sm{86, 48, 16, 102400}, Sm{90, 64, 32, 233472}}) {
    for (int round = 0; round < 500; ++round) {
      const Resources cta = {.registers = 16 + static_cast<int>(random() % 240),
                             .shared_bytes = static_cast<int>(random() % 99328),
                             .threads = 32 * (1 + static_cast<int>(random() % 16))};
      // Warps go to the quarter with the most registers left; an SM reserves 1 KiB for each CTA.
      int free[] = {16384, 16384, 16384, 16384}, shared = sm.shared_bytes, warps = sm.warps,
          ctas = 0;
      const auto place = [&] {
        shared -= (cta.shared_bytes + 127) / 128 * 128 + 1024;
        if (shared < 0 || ctas == sm.ctas || (warps -= cta.threads / 32) < 0) return false;
        for (int w = 0; w < cta.threads / 32; ++w)
          if ((*std::max_element(free, free + 4) -= (cta.registers * 32 + 255) / 256 * 256) < 0)
            return false;
        return true;
      };
      while (place()) ++ctas;
      INFO(fmt::format("sm_{}: {} registers, {} bytes, {} threads", sm.sm, cta.registers,
                       cta.shared_bytes, cta.threads));
      REQUIRE(occupancy(cta, {sm.sm}).ctas == ctas);
      REQUIRE(occupancy(cta, {sm.sm}).warps == ctas * cta.threads / 32);
    }
  }
}

TEST_CASE("occupancy names the limit") {
  CHECK(occupancy({255, 65536, 128}, {80}).limited_by == "registers");
  CHECK(occupancy({32, 0, 1024}, {86}).limited_by == "warps");
  CHECK(occupancy({32, 65536, 64}, {86}).limited_by == "shared memory");
  CHECK(occupancy({32, 0, 32}, {90}).limited_by == "CTAs");
  CHECK(runtime::host::test::error_of([] {
          occupancy({32, 0, 32}, {75});
        }).find("sm_75") != std::string::npos);
}

TEST_CASE("a fit finds what launches were made of") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<Causes> launches;
    std::vector<double> counts;
    const double a = random() % 100000, b = random() % 1000, c = random() % 1000,
                 d = -double(random() % 100);
    for (int k = 0; k < 5; ++k)
      launches.push_back(
          {2, double(8 + random() % 100), double(random() % 9), double(random() % 20)});
    launches.push_back({2, 7, 11, 3}), launches.push_back({2, 8, 10, 3});
    launches.push_back({2, 9, 10, 3}), launches.push_back({2, 9, 10, 4});
    for (const Causes& one : launches)
      counts.push_back(a * one.ctas + b * one.full + c * one.partial + d * one.dead);
    const Fit fit(launches);
    REQUIRE((fit.knows_full() && fit.knows_partial() && fit.knows_dead()));
    const Fit::Cost cost = fit.solve(counts);
    REQUIRE(std::abs(cost.cta - a) < 1e-3);
    REQUIRE(std::abs(cost.full - b) < 1e-5);
    REQUIRE(std::abs(cost.partial - c) < 1e-5);
    REQUIRE(std::abs(cost.dead - d) < 1e-5);
    REQUIRE(std::abs(cost.of({.partial = 2, .dead = 3}) - (2 * c + 3 * d)) < 1e-4);
  }
  CHECK_FALSE(Fit({{2, 8, 0}, {2, 12, 0}}).knows_partial());
  CHECK_FALSE(Fit({{2, 0, 8}, {2, 0, 12}}).knows_full());
  CHECK(Fit({{2, 0, 8}, {2, 0, 12}}).knows_partial());
  // Where every PARTIAL tile has as many dead warps, they are a part of it.
  const Fit alike({{2, 8, 2, 4}, {2, 12, 3, 6}, {2, 9, 5, 10}});
  CHECK((alike.knows_full() && alike.knows_partial() && !alike.knows_dead()));
}

}  // namespace lacuna::bench::test
