#include "runtime/host/check/values.h"

#include "runtime/host/describe.h"
#include "runtime/host/exec/cta.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace lacuna::runtime::host {
namespace {

int part_count(Kind kind) {
  return kind == Kind::b64 ? 4 : kind == Kind::b32 ? 2 : 1;
}

/// For all lanes of a mask, lowest first.
template <class F>
void each_lane(std::uint32_t lanes, F f) {
  for (; lanes != 0; lanes &= lanes - 1) f(std::countr_zero(lanes));
}

/// The lanes in which a predicate operand holds.
std::uint32_t truth(const Warp& warp, std::uint16_t index) {
  const std::uint32_t value = warp.predicates[index & ~negated_bit];
  return index & negated_bit ? ~value : value;
}

template <class Word>
bool is_zero(const std::uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word == 0;
}
bool all_defined(const std::uint8_t* at, std::uint32_t bytes) {
  if (bytes == 4) return is_zero<std::uint32_t>(at);
  if (bytes == 16) return is_zero<std::uint64_t>(at) && is_zero<std::uint64_t>(at + 8);
  return std::all_of(at, at + bytes, [](std::uint8_t byte) { return byte == 0; });
}

bool is_address(const Step& step, int operand) {
  for (int k = 0; k < step.what.access_count; ++k)
    if (step.what.accesses[k].address == step.what.reads[operand].index && operand < 2) return true;
  return false;
}

/// The lane whose value a shuffle gives to `lane`.
int shuffle_source(const Step& step, int lane) {
  const auto value = [&](int operand) {
    const std::byte* at = step.warp.slots + std::size_t{step.at.src[operand]} * slot_bytes;
    return reinterpret_cast<const std::uint32_t*>(at)[lane];
  };
  const std::string_view name = step.what.row->name;
  const int step_by = static_cast<int>(value(1) & 31), clamp = static_cast<int>(value(2) & 31),
            segment = static_cast<int>(value(2) >> 8 & 31);
  const int last = (lane & segment) | (clamp & ~segment);
  const bool up = name.find(".up.") != name.npos;
  const int from = up                                 ? lane - step_by
                   : name.find(".down.") != name.npos ? lane + step_by
                   : name.find(".bfly.") != name.npos ? lane ^ step_by
                                                      : (lane & segment) | (step_by & ~segment);
  return (up ? from >= last : from <= last) ? from & 31 : lane;
}

}  // namespace

Values::Values(const Cta& cta)
    : cta_(cta),
      files_(static_cast<std::size_t>(cta.warp_count)),
      shared_(cta.shared_bytes, 1),
      local_(files_.size(),
             std::vector<std::uint8_t>(std::size_t{cta.local_bytes} * warp_size, 1)) {
  const Program& program = *cta.program;
  File file{.parts = std::vector<std::uint32_t>(std::size_t{program.slots} * 2 + 4, ~0u),
            .predicates = std::vector<std::uint32_t>(program.predicates + std::size_t{1}, ~0u),
            .settled = std::vector<Settled>(program.code.size())};
  for (const Constant& constant : program.constants)
    std::fill_n(file.parts.begin() + std::ptrdiff_t{constant.slot} * 2, constant.wide ? 4 : 2, 0u);
  for (const SpecialSlot& special : program.specials)
    std::fill_n(file.parts.begin() + std::ptrdiff_t{special.slot} * 2, 2, 0u);
  if (program.false_predicate >= 0)
    file.predicates[static_cast<std::size_t>(program.false_predicate)] = 0;
  std::fill(files_.begin(), files_.end(), file);
}

Values::Parts Values::parts_of(const File& file, NamedOperand operand) const {
  Parts parts{};
  std::copy_n(file.parts.begin() + std::ptrdiff_t{operand.index} * 2, part_count(operand.kind),
              parts.begin());
  return parts;
}

inline std::uint32_t Values::undefined(const File& file, NamedOperand operand) const {
  if (operand.kind == Kind::pred) return file.predicates[operand.index & ~negated_bit];
  const std::uint32_t* parts = file.parts.data() + std::size_t{operand.index} * 2;
  std::uint32_t lanes = parts[0];
  for (int k = 1; k < part_count(operand.kind); ++k) lanes |= parts[k];
  return lanes;
}

void Values::check_guard(const Warp& warp, const Instruction& at) const {
  if (at.guard == no_predicate) return;
  const std::uint32_t lanes = files_[warp.index].predicates[at.guard & ~negated_bit] & warp.active;
  if (lanes != 0)
    report_fault(warp, at, std::countr_zero(lanes),
                 "uninitialised predicate: what decides whether the lane executes the instruction "
                 "has no value");
}

void Values::check_read(const Step& step, int operand) const {
  const std::uint32_t lanes =
      undefined(files_[step.warp.index], step.what.reads[operand]) & step.lanes;
  if (lanes != 0) report(step, operand, lanes);
}

void Values::report(const Step& step, int operand, std::uint32_t lanes) const {
  const NamedOperand& read = step.what.reads[operand];
  report_fault(step.warp, step.at, std::countr_zero(lanes),
               is_address(step, operand) ? "uninitialised address: its register has no value"
               : read.kind == Kind::pred
                   ? fmt::format("uninitialised predicate: source {} has no value", operand + 1)
                   : fmt::format("uninitialised register: source {} has no value", operand + 1));
}

void Values::shuffle(const Step& step) {
  const File& file = files_[step.warp.index];
  for (int k = 1; k < step.what.read_count; ++k) check_read(step, k);
  const Parts from = parts_of(file, step.what.reads[0]);
  each_lane(step.lanes, [&](int lane) {
    const int source = shuffle_source(step, lane);
    for (int p = 0; p < 2; ++p) next_[0][p] |= (from[p] >> source & 1) << lane;
  });
}

/// A false operand settles "and", a true one "or".
void Values::combine(const Step& step) {
  const File& file = files_[step.warp.index];
  const NamedOperand *a = &step.what.reads[0], *b = &step.what.reads[1];
  const std::uint32_t ua = undefined(file, *a), ub = undefined(file, *b);
  const std::uint32_t flip = step.what.row->name[0] == 'o' ? ~0u : 0u;
  const std::uint32_t open_a = ua | (truth(step.warp, a->index) ^ flip),
                      open_b = ub | (truth(step.warp, b->index) ^ flip);
  next_[0][0] = (ua & open_b) | (ub & open_a);
}

void Values::before(const Step& step) {
  check_guard(step.warp, step.at);
  const Watched& what = step.what;
  File& file = files_[step.warp.index];
  const Window window = what.access_count == 0 ? Window::global : what.accesses[0].window;
  carries_ = what.flow != Flow::computes || window == Window::local || window == Window::generic;
  settled_ = &file.settled[static_cast<std::size_t>(&step.at - cta_.program->code.data())];
  is_settled_ = settled_->age == file.age && (step.lanes & ~settled_->lanes) == 0;
  if (carries_) next_ = {};
  if (is_settled_) return;
  switch (what.flow) {
    case Flow::computes: {
      const bool spills = what.access_count == 1 && what.accesses[0].window == Window::local &&
                          what.accesses[0].use == Use::write;
      for (int k = 0; k < (spills ? 1 : what.read_count); ++k) check_read(step, k);
      return;
    }
    case Flow::copies: {
      const Parts from = parts_of(file, what.reads[0]);
      const int given = part_count(what.reads[0].kind);
      for (int p = 0; p < 4; ++p) next_[0][p] = from[std::min(p, given - 1)];
      return;
    }
    case Flow::selects: {
      check_read(step, 2);
      const std::uint32_t first = truth(step.warp, what.reads[2].index);
      const Parts a = parts_of(file, what.reads[0]), b = parts_of(file, what.reads[1]);
      for (int p = 0; p < 4; ++p) next_[0][p] = (a[p] & first) | (b[p] & ~first);
      return;
    }
    case Flow::packs: {
      int at = 0;
      for (int k = 0; k < what.read_count; ++k) {
        const Parts from = parts_of(file, what.reads[k]);
        for (int p = 0; p < part_count(what.reads[k].kind); ++p) next_[0][at++] = from[p];
      }
      return;
    }
    case Flow::unpacks: {
      const Parts from = parts_of(file, what.reads[0]);
      int at = 0;
      for (int k = 0; k < what.write_count; ++k)
        for (int p = 0; p < part_count(what.writes[k].kind); ++p) next_[k][p] = from[at++];
      return;
    }
    case Flow::shuffles:
      return shuffle(step);
    case Flow::either:
      return combine(step);
    case Flow::both:
      for (int k = 0; k < what.read_count; ++k) next_[0][0] |= undefined(file, what.reads[k]);
      return;
  }
}

void Values::after(const Step& step) {
  if (is_settled_ && !carries_) return;
  File& file = files_[step.warp.index];
  std::uint32_t undefined = 0;
  for (int k = 0; k < step.what.write_count; ++k) {
    const NamedOperand& write = step.what.writes[k];
    const auto set = [&](std::uint32_t& lanes, std::uint32_t next) {
      lanes = (lanes & ~step.lanes) | (next & step.lanes);
      undefined |= next & step.lanes;
    };
    if (write.kind == Kind::pred) {
      set(file.predicates[write.index], carries_ ? next_[k][0] : 0);
      continue;
    }
    std::uint32_t* parts = file.parts.data() + std::size_t{write.index} * 2;
    for (int p = 0; p < (write.kind == Kind::b64 ? 4 : 2); ++p)
      set(parts[p], carries_ ? next_[k][p] : 0);
  }
  // One of two operands may be undefined, and another be taken next time.
  const bool lasts = step.what.flow == Flow::computes || step.what.flow == Flow::copies;
  if (undefined != 0)
    ++file.age;
  else if (lasts)
    *settled_ = {file.age, (settled_->age == file.age ? settled_->lanes : 0) | step.lanes};
}

void Values::define_shared(std::uint64_t at, std::uint32_t bytes) {
  std::memset(shared_.data() + at, 0, bytes);
}

void Values::load(const Step& step, const Touch& touch, int lane) {
  const std::uint32_t bytes = touch.access.bytes();
  if (touch.window == Window::shared) {
    const std::uint8_t* from = shared_.data() + touch.at[lane];
    if (all_defined(from, bytes)) return;
    const auto byte =
        touch.at[lane] + static_cast<std::uint64_t>(std::find(from, from + bytes, 1) - from);
    report_fault(step.warp, step.at, lane,
                 fmt::format("uninitialised read of {} in shared memory at {}: byte {} has never "
                             "been written",
                             count_of(bytes, "byte"),
                             describe_address(cta_, Window::shared, touch.at[lane], bytes), byte));
  }
  const std::uint8_t* from = local_[step.warp.index].data() +
                             static_cast<std::size_t>(lane) * cta_.local_bytes + touch.at[lane];
  for (std::uint32_t b = 0; b < bytes; ++b)
    if (from[b] != 0) next_[b / touch.access.element][b % touch.access.element / 2] |= 1u << lane;
}

void Values::store(const Step& step, const Touch& touch, int lane) {
  const std::uint32_t bytes = touch.access.bytes();
  if (touch.window == Window::shared) return define_shared(touch.at[lane], bytes);
  std::uint8_t* to = local_[step.warp.index].data() +
                     static_cast<std::size_t>(lane) * cta_.local_bytes + touch.at[lane];
  const File& file = files_[step.warp.index];
  for (std::uint32_t b = 0; b < bytes; ++b) {
    const NamedOperand& value = step.what.reads[1 + b / touch.access.element];
    const std::size_t part = std::size_t{value.index} * 2 + b % touch.access.element / 2;
    to[b] = static_cast<std::uint8_t>(file.parts[part] >> lane & 1);
  }
}

void Values::touch(const Step& step, const Touch& touch) {
  if (touch.window != Window::shared && touch.window != Window::local) return;
  if (touch.access.use != Use::write) {
    std::uint64_t last = ~std::uint64_t{0};
    each_lane(touch.lanes, [&](int lane) {
      if (touch.window == Window::local || touch.at[lane] != last) load(step, touch, lane);
      last = touch.at[lane];
    });
  }
  if (touch.access.use != Use::read)
    each_lane(touch.lanes, [&](int lane) { store(step, touch, lane); });
}

}  // namespace lacuna::runtime::host
