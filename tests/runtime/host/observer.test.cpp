// What an observer is told of a kernel, and the order of warps by seed.
#include "runtime/host/exec/observer.h"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace lacuna::runtime::host::test {
namespace {

using u32 = std::uint32_t;

/// Writes down every access in one line.
class Diary final : public Observer {
 public:
  explicit Diary(std::vector<std::string>& lines) : lines_(lines) {}
  void touch(const Step& step, const Touch& touch) override {
    static constexpr std::string_view windows[] = {"global", "shared", "local", "param"};
    static constexpr std::string_view uses[] = {"read", "write", "update"};
    const int first = __builtin_ctz(touch.lanes);
    const std::uint64_t step_of_lane =
        touch.lanes & (2u << first) ? touch.at[first + 1] - touch.at[first] : 0;
    lines_.push_back(fmt::format("warp {} {} {}x{} of {} at {} step {} lanes {:#x}",
                                 step.warp.index, uses[static_cast<int>(touch.access.use)],
                                 touch.access.count, touch.access.element,
                                 windows[static_cast<int>(touch.window)],
                                 touch.at[first] & 0xfffffff, step_of_lane, touch.lanes));
  }
  void arrive(Warp& warp, const Instruction&, u32 id, u32 lanes, bool waits) override {
    lines_.push_back(fmt::format("warp {} {} barrier {} lanes {:#x}", warp.index,
                                 waits ? "waits at" : "arrives at", id, lanes));
  }
  void release(Cta&, u32 id) override { lines_.push_back(fmt::format("barrier {} opens", id)); }

 private:
  std::vector<std::string>& lines_;
};

std::vector<std::string> diary_of(std::string_view body, int threads) {
  std::vector<std::string> lines;
  std::vector<u32> out(256);
  Setup setup{.threads = threads};
  setup.observe = [&](Cta&) { return std::make_unique<Diary>(lines); };
  run_body(body, {output("out", out, DType::i32)}, setup, ".shared .align 16 .b8 tile[1024];");
  return lines;
}

}  // namespace

TEST_CASE("every row names what it reads, writes and touches") {
  for (Isa isa : present_isas()) {
    std::map<std::pair<Handler, std::uint8_t>, const Row*> first;
    for (const Row* row : table(isa).rows()) {
      INFO(row->name);
      const Row& same = *first.emplace(std::pair(row->run, row->code), row).first->second;
      // Decoding adds instructions of which only handler and code are known.
      if (same.shape == row->shape)
        for (int k = 0; k < 4; ++k)
          if (row->src[k] != Kind::immediate) CHECK(same.src[k] == row->src[k]);
      Instruction at;
      at.count = row->count;
      at.run = row->run;
      at.code = row->code;
      for (std::uint16_t k = 0; k < 10; ++k) at.src[k] = static_cast<std::uint16_t>(100 + k);
      for (std::uint16_t k = 0; k < 4; ++k) at.dst[k] = static_cast<std::uint16_t>(200 + k);
      const Watched what = name_operands(*row, at, row->name);
      CHECK(what.row == row);
      const std::string_view name = row->name;
      const bool touches = name.starts_with("ld") || name.starts_with("st.") ||
                           name.starts_with("stmatrix") || name.starts_with("atom.") ||
                           name.starts_with("red.") || name.find(".shared.global") != name.npos;
      if (touches) CHECK(what.access_count == (name.starts_with("cp.") ? 2 : 1));
      for (int k = 0; k < what.access_count; ++k) {
        const Access& access = what.accesses[k];
        CHECK(access.bytes() >= 1);
        CHECK(access.bytes() <= 16);
        if (name.find(".shared") != name.npos && !access.asynchronous)
          CHECK(access.window == Window::shared);
        if (name.find(".v4.f32") != name.npos) CHECK(access.bytes() == 16);
      }
      for (int k = 0; k < what.write_count; ++k) CHECK(what.writes[k].index >= 200);
      for (int k = 0; k < what.read_count; ++k) CHECK(what.reads[k].index < 200);
      if (name.starts_with("mma.")) CHECK(what.read_count + what.write_count >= 7);
      if (name.starts_with("ld")) CHECK(what.write_count == row->count);
    }
  }
}

TEST_CASE("an observer is told of every access with its lanes' addresses") {
  CHECK(diary_of(R"(
    mov.u32 %r0, %tid.x; mov.u32 %r1, tile; mad.lo.u32 %r2, %r0, 8, %r1;
    st.shared.v2.u32 [%r2+16], {%r0, %r0}; setp.lt.u32 %p1, %r0, 5; @%p1 ld.shared.u16 %h1, [%r2];
    @!%p1 atom.shared.add.u32 %r3, [%r2+4], 1; ret;)",
                 32) ==
        std::vector<std::string>{"warp 0 write 2x4 of shared at 16 step 8 lanes 0xffffffff",
                                 "warp 0 read 1x2 of shared at 0 step 8 lanes 0x1f",
                                 "warp 0 update 1x4 of shared at 44 step 8 lanes 0xffffffe0"});
}

TEST_CASE("an observer sees generic accesses by window") {
  CHECK(diary_of(R"(
    .local .align 8 .b8 mine[64]; mov.u32 %r0, %tid.x; mov.u64 %d1, tile; cvta.shared.u64 %d1, %d1;
    mov.u64 %d2, mine; cvta.local.u64 %d2, %d2; setp.lt.u32 %p1, %r0, 8; selp.b64 %d3, %d1, %d2, %p1;
    st.u32 [%d3+12], %r0; ld.param.u64 %d4, [p0]; ret;)",
                 32) ==
        std::vector<std::string>{"warp 0 write 1x4 of shared at 12 step 0 lanes 0xff",
                                 "warp 0 write 1x4 of local at 12 step 0 lanes 0xffffff00",
                                 "warp 0 read 1x8 of param at 0 step 0 lanes 0xffffffff"});
}

TEST_CASE("an observer sees barriers fill and open") {
  CHECK(diary_of("mov.u32 %r0, %tid.x; setp.ge.u32 %p1, %r0, 32; @%p1 bra $B; bar.arrive 1, 64; "
                 "bra $E; $B: bar.sync 1, 64; $E: bar.sync 0; ret;",
                 40) ==
        std::vector<std::string>{"warp 0 arrives at barrier 1 lanes 0xffffffff",
                                 "warp 0 waits at barrier 0 lanes 0xffffffff",
                                 "warp 1 waits at barrier 1 lanes 0xff", "barrier 1 opens",
                                 "warp 1 waits at barrier 0 lanes 0xff", "barrier 0 opens"});
}

TEST_CASE("seeds give other orders of warps: races differ, correct kernels do not") {
  const auto runs = [](std::string_view body) {
    std::set<std::vector<u32>> results;
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      std::vector<u32> out(256, 0);
      Setup setup{.threads = 256};
      setup.seed = seed;
      run_body(body, {output("out", out, DType::i32)}, setup, ".shared .align 4 .b8 tile[1024];");
      results.insert(out);
    }
    return results.size();
  };
  // Each thread adds to its neighbour's word, ten times over; without barriers turns show.
  const std::string body = R"(
    ld.param.u64 %d1, [p0]; mov.u32 %r0, %tid.x; mul.wide.u32 %d2, %r0, 4; add.s64 %d1, %d1, %d2; mov.u32 %r9, tile;
    mad.lo.u32 %r1, %r0, 4, %r9; st.shared.u32 [%r1], %r0; add.u32 %r2, %r0, 33; and.b32 %r2, %r2, 255;
    mad.lo.u32 %r2, %r2, 4, %r9; mov.u32 %r3, 0; {0}
  $L: ld.shared.u32 %r4, [%r2]; mad.lo.u32 %r4, %r4, 3, %r0; {0} st.shared.u32 [%r1], %r4; {0}
    add.u32 %r3, %r3, 1; setp.lt.u32 %p1, %r3, 10; @%p1 bra $L;
    st.global.u32 [%d1], %r4; ret;)";
  CHECK(runs(fmt::format(fmt::runtime(body), "bar.sync 0;")) == 1);
  CHECK(runs(fmt::format(fmt::runtime(body), "")) > 3);
}

}  // namespace lacuna::runtime::host::test
