// mbarrier against a model that counts, and as what it is for: a ring between two warps.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <numeric>

namespace lacuna::runtime::host::test {
namespace {

using lacuna::test::fresh_seed;
using u32 = std::uint32_t;

/// The words of the PTX ISA, section mbarrier.
struct Model {
  u32 expected = 0, pending = 0, phase = 0;
  void arrive(u32 count) {
    pending -= count;
    if (pending == 0) pending = expected, phase += 1;
  }
};

/// A random sequence of operations by one lane, and what each must say.
struct Sequence {
  std::string body;
  std::vector<u32> expected;

  explicit Sequence(std::mt19937& random) {
    const char* space = random() % 2 ? ".shared" : ".shared::cta";
    const bool generic = random() % 3 == 0;
    if (generic) space = "";
    const char* at = generic ? "%d2" : "%r1";
    Model model{.expected = static_cast<u32>(3 + random() % 5)};
    model.pending = model.expected;
    add("mbarrier.init{}.b64 [{}], {};", space, at, model.expected);
    u32 state_phase = 0;
    bool has_state = false;
    for (int step = 0; step < 40; ++step) {
      switch (random() % 6) {
        case 0:
          add("mbarrier.arrive{}.b64 %d3, [{}];", space, at);
          state(model, state_phase, has_state);
          model.arrive(1);
          break;
        case 1: {
          const u32 count = 1 + random() % model.pending;
          add("mbarrier.arrive.release.cta{}.b64 _, [{}], {};", space, at, count);
          model.arrive(count);
          break;
        }
        case 2:
          if (model.pending < 2) break;
          add("mbarrier.arrive.noComplete{}.b64 %d3, [{}], {};", space, at, model.pending - 1);
          state(model, state_phase, has_state);
          model.arrive(model.pending - 1);
          break;
        case 3:
          if (model.expected < 3) break;
          add("mbarrier.arrive_drop{}.b64 %d3, [{}];", space, at);
          state(model, state_phase, has_state);
          model.expected -= 1;
          model.arrive(1);
          break;
        case 4:
          add("cp.async.mbarrier.arrive{}{}.b64 [{}];", step % 2 ? ".noinc" : "", space, at);
          if (step % 2) model.arrive(1);
          break;
        default:
          add("mbarrier.test_wait.parity{}.b64 %p1, [{}], {};", space, at, step % 2);
          tell((model.phase & 1) != static_cast<u32>(step % 2));
          break;
      }
      if (has_state && model.phase - state_phase < 2) {  // older states may not be asked about
        add("mbarrier.test_wait.acquire.cta{}.b64 %p1, [{}], %d3;", space, at);
        tell(model.phase != state_phase);
      }
    }
  }

 private:
  template <class... T>
  void add(std::string_view format, const T&... values) {
    body += fmt::vformat(format, fmt::make_format_args(values...)) + "\n";
  }
  void put() { add("st.global.b32 [%d1+{}], %r2;", 4 * expected.size()); }
  void tell(bool over) {
    add("selp.u32 %r2, 1, 0, %p1;");
    put();
    expected.push_back(over);
  }
  void state(const Model& model, u32& phase, bool& has) {
    phase = model.phase;
    has = true;
    add("mbarrier.pending_count.b64 %r2, %d3;");
    put();
    expected.push_back(model.pending);
  }
};

std::string report_of(std::string_view body) {
  return error_of([&] {
    run_body(fmt::format(".shared .align 8 .b8 word[16]; mov.u32 %r0, %tid.x; {} ret;", body), {},
             {.instruction_limit = 100000});
  });
}

}  // namespace

TEST_CASE("an mbarrier counts as a model does") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 60; ++round) {
    const Sequence sequence(random);
    std::vector<u32> out(sequence.expected.size() + 1, 77);
    run_body(fmt::format(R"(
      .shared .align 8 .b8 word[8]; ld.param.u64 %d1, [p0]; mov.u32 %r0, %tid.x; mov.u32 %r1, word; mov.u64 %d2, word;
      cvta.shared.u64 %d2, %d2; setp.ne.u32 %p2, %r0, 0; @%p2 bra $END;
      {} $END: ret;)",
                         sequence.body),
             {output("out", out, DType::i32)});
    out.pop_back();
    INFO(sequence.body);
    REQUIRE(out == sequence.expected);
  }
}

TEST_CASE("two warps pass chunks through a ring of mbarriers") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::vector<u32> in(32 * 50), out(32);
  for (u32& value : in) value = random();
  // Slots 0 and 1; word 0, 1: full, 2, 3: empty. Warp 0 copies, warp 1 sums.
  for (Isa isa : present_isas()) {
    run_body(R"(
      .shared .align 16 .b8 ring[256]; .shared .align 8 .b8 words[32];
      mov.u32 %r0, %tid.x; and.b32 %r1, %r0, 31; shl.b32 %r2, %r1, 2; mov.u32 %r3, words; mov.u32 %r4, ring;
      add.u32 %r4, %r4, %r2; mul.wide.u32 %d2, %r1, 4; setp.ne.u32 %p1, %r0, 0; @%p1 bra $READY;
      mbarrier.init.shared.b64 [%r3], 32; mbarrier.init.shared.b64 [%r3+8], 32;
      mbarrier.init.shared.b64 [%r3+16], 32; mbarrier.init.shared.b64 [%r3+24], 32;
      $READY: bar.sync 0; mov.u32 %r5, 0; mov.u32 %r6, 0; setp.ge.u32 %p2, %r0, 32; @%p2 bra $CONSUME;
      ld.param.u64 %d1, [p0]; add.s64 %d1, %d1, %d2;
      $PRODUCE: and.b32 %r7, %r5, 1; shl.b32 %r8, %r7, 3; add.u32 %r8, %r8, %r3; shr.u32 %r9, %r5, 1; xor.b32 %r9, %r9, 1;
      and.b32 %r9, %r9, 1;
      $EMPTY: mbarrier.test_wait.parity.shared.b64 %p3, [%r8+16], %r9; @!%p3 bra $EMPTY;
      shl.b32 %r10, %r7, 7; add.u32 %r10, %r10, %r4; cp.async.ca.shared.global [%r10], [%d1], 4;
      cp.async.mbarrier.arrive.noinc.shared.b64 [%r8];
      add.s64 %d1, %d1, 128; add.u32 %r5, %r5, 1; setp.lt.u32 %p4, %r5, 50; @%p4 bra $PRODUCE; ret;
      $CONSUME: and.b32 %r7, %r5, 1; shl.b32 %r8, %r7, 3; add.u32 %r8, %r8, %r3; shr.u32 %r9, %r5, 1; and.b32 %r9, %r9, 1;
      $FULL: mbarrier.test_wait.parity.shared.b64 %p3, [%r8], %r9; @!%p3 bra $FULL;
      shl.b32 %r10, %r7, 7; add.u32 %r10, %r10, %r4; ld.shared.u32 %r11, [%r10]; mad.lo.u32 %r6, %r6, 3, %r11;
      mbarrier.arrive.shared.b64 %d4, [%r8+16];
      add.u32 %r5, %r5, 1; setp.lt.u32 %p4, %r5, 50; @%p4 bra $CONSUME;
      ld.param.u64 %d1, [p1]; add.s64 %d1, %d1, %d2; st.global.u32 [%d1], %r6; ret;)",
             {input("in", in, DType::i32), output("out", out, DType::i32)},
             {.threads = 64, .isa = isa, .instruction_limit = 1000000});
    for (int l = 0; l < 32; ++l) {
      u32 sum = 0;
      for (int k = 0; k < 50; ++k) sum = sum * 3 + in[32 * k + l];
      REQUIRE(out[l] == sum);
    }
  }
}

TEST_CASE("what an mbarrier does not allow is reported") {
  CHECK(report_of("mbarrier.arrive.shared.b64 _, [word];")
            .starts_with("device: there is no mbarrier: the word was not initialised as one "
                         "(kernel 'k', CTA 0, warp "
                         "0, lane 0, ptx line "));
  CHECK(report_of("setp.ne.u32 %p1, %r0, 3; @%p1 bra $ON; mbarrier.init.shared.b64 [word], 0; $ON:")
            .starts_with("device: an mbarrier cannot wait for 0 arrivals; the most is 1048575 "
                         "(kernel 'k', CTA 0, "
                         "warp 0, lane 3"));
  CHECK(report_of("mbarrier.init.shared.b64 [word], 5; mbarrier.arrive.shared.b64 _, [word], 6;")
            .starts_with("device: 6 arrivals at an mbarrier that waits for 5 (kernel"));
  CHECK(
      report_of(
          "mbarrier.init.shared.b64 [word], 5; mbarrier.arrive.noComplete.shared.b64 _, [word], 5;")
          .starts_with(
              "device: an arrival that must not complete the phase of its mbarrier does (kernel"));
  CHECK(report_of("mbarrier.init.shared.b64 [word], 5; mbarrier.inval.shared.b64 [word];\n"
                  "mbarrier.test_wait.parity.shared.b64 %p1, [word], 0;")
            .starts_with("device: there is no mbarrier"));
  CHECK(report_of("mbarrier.init.shared.b64 [word+4], 5;")
            .starts_with("device: misaligned atomic access of 8 bytes"));
  CHECK(report_of("mbarrier.init.shared.b64 [word+16], 5;")
            .starts_with("device: out-of-bounds atomic access of 8"));
  CHECK(report_of("mbarrier.init.shared.b64 [word], 5; $L: mbarrier.test_wait.parity.shared.b64 "
                  "%p1, [word], 0;\n"
                  "@!%p1 bra $L;")
            .starts_with("device: endless: a CTA has executed more than 100000 warp-instructions"));
  CHECK(report_of("mbarrier.arrive.shared.b64 _, [word], %r1, %r2;")
            .find("operands; it takes 2 to 3") != std::string::npos);
}

}  // namespace lacuna::runtime::host::test
