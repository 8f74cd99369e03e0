// mbarrier: arrivals counted in a 64-bit word of shared memory. Lanes arrive in order; asynchronous
// copies have been made when they are issued, so that what arrives for them arrives at once.
#include "runtime/host/exec/address.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

constexpr u32 most_arrivals = (1u << 20) - 1;
constexpr u64 valid = 0b10;

/// What the word holds. A state that arrive returns is the word as it was.
struct Word {
  u64 phase : 1, expected : 20, pending : 20, unused : 21, mark : 2;
};
static_assert(sizeof(Word) == 8);

enum Operation : u8 {
  init,
  invalidate,
  arrive,
  drop,
  part,
  drop_part,
  copies,
  more_copies,
  test,
  test_parity
};

constexpr bool takes_part(Operation op) {
  return op == part || op == drop_part;
}
constexpr bool drops(Operation op) {
  return op == drop || op == drop_part;
}

/// `count` more have come; a phase ends when all have.
void count_arrivals(const Warp& w, const Instruction& i, int lane, Operation op, u32 count,
                    Word& word) {
  if (count == 0 || count > word.pending)
    report_fault(w, i, lane,
                 fmt::format("{} arrivals at an mbarrier that waits for {}", count,
                             static_cast<u32>(word.pending)));
  if (takes_part(op) && count == word.pending)
    report_fault(w, i, lane, "an arrival that must not complete the phase of its mbarrier does");
  if (drops(op)) word.expected -= count;
  word.pending -= count;
  if (word.pending != 0) return;
  word.pending = word.expected;
  word.phase ^= 1;
}

template <Operation op>
void change(const Warp& w, const Instruction& i, int lane, u64 at, u32 count) {
  auto& word = *reinterpret_cast<Word*>(at);
  if constexpr (op == init) {
    if (count == 0 || count > most_arrivals)
      report_fault(w, i, lane,
                   fmt::format("an mbarrier cannot wait for {} arrivals; the most is {}", count,
                               most_arrivals));
    word = {.phase = 0, .expected = count, .pending = count, .unused = 0, .mark = valid};
  } else if (word.mark != valid) {
    report_fault(w, i, lane, "there is no mbarrier: the word was not initialised as one");
  } else if constexpr (op == invalidate) {
    word.mark = 0;
  } else if constexpr (op == arrive || op == drop || takes_part(op) || op == copies) {
    count_arrivals(w, i, lane, op, count, word);
  }
  // more_copies: one more is to come, and comes.
}

/// Whether the phase of a state, or of a parity, is over.
template <Operation op>
bool is_over(const Warp& w, const Instruction& i, int lane, u64 at) {
  const auto& word = *reinterpret_cast<const Word*>(at);
  if (word.mark != valid)
    report_fault(w, i, lane, "there is no mbarrier: the word was not initialised as one");
  const u64 phase =
      op == test_parity ? slot<u32>(w, i.src[1])[lane] & 1 : slot<u64>(w, i.src[1])[lane] & 1;
  return word.phase != phase;
}

template <Window window, Operation op>
void mbarrier(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes == 0) return;
  Addresses a;
  compute(w, i, a);
  resolve<window>(w, i, lanes, sizeof(Word), Use::update, a);
  if constexpr (op == test || op == test_parity) {
    u32 over = 0;
    for (int l : each(lanes)) over |= is_over<op>(w, i, l, a.at[l]) ? lane_bits[l] : 0u;
    set_predicate(w, i.dst[0], lanes, over);
    if (over == lanes) return;
    w.yields = true;  // what is waited for may be another warp's to do
    w.limit = -1;
  } else {
    constexpr bool counts = op == init || op == arrive || op == drop || takes_part(op);
    constexpr bool tells = op == arrive || op == drop || takes_part(op);
    for (int l : each(lanes)) {
      const u32 count = counts ? slot<u32>(w, i.src[1])[l] : 1;
      u64 before;
      __builtin_memcpy(&before, reinterpret_cast<const void*>(a.at[l]), sizeof(before));
      change<op>(w, i, l, a.at[l], count);
      if (tells) slot<u64>(w, i.dst[0])[l] = before;
    }
  }
}

template <Window window, Operation op>
constexpr Row operation(const char* name) {
  const Kind to = op == test || op == test_parity                ? Kind::pred
                  : op == arrive || op == drop || takes_part(op) ? Kind::b64
                                                                 : Kind::none;
  const Kind from = op == test                                              ? Kind::b64
                    : op == invalidate || op == copies || op == more_copies ? Kind::none
                                                                            : Kind::b32;
  return {
      name, mbarrier<window, op>, Shape::mbarrier, Neutral::mbarrier, op == arrive || op == drop, 1,
      {to}, {Kind::none, from}};
}

// clang-format off
#define MBARRIER(space, window) \
  operation<Window::window, init>("mbarrier.init" space ".b64"), \
  operation<Window::window, invalidate>("mbarrier.inval" space ".b64"), \
  operation<Window::window, arrive>("mbarrier.arrive" space ".b64"), \
  operation<Window::window, drop>("mbarrier.arrive_drop" space ".b64"), \
  operation<Window::window, part>("mbarrier.arrive.noComplete" space ".b64"), \
  operation<Window::window, drop_part>("mbarrier.arrive_drop.noComplete" space ".b64"), \
  operation<Window::window, test>("mbarrier.test_wait" space ".b64"), \
  operation<Window::window, test_parity>("mbarrier.test_wait.parity" space ".b64"), \
  operation<Window::window, copies>("cp.async.mbarrier.arrive.noinc" space ".b64"), \
  operation<Window::window, more_copies>("cp.async.mbarrier.arrive" space ".b64"),

constexpr Row rows[] = {
    MBARRIER("", generic) MBARRIER(".shared", shared)
    rare("mbarrier.pending_count.b64", [](u64 state) -> u32 {
      return static_cast<u32>(__builtin_bit_cast(Word, state).pending);
    }),
};
// clang-format on

}  // namespace

Rows mbarrier_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
