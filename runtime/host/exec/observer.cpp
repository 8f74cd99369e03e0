#include "runtime/host/exec/observer.h"

#include "runtime/host/exec/cta.h"
#include "runtime/host/exec/table.h"

#include <bit>
#include <map>
#include <string_view>

namespace lacuna::runtime::host {
namespace {

using Addresses = std::array<std::uint64_t, warp_size>;

/// "ld.acquire.cta.shared.u32" of "@%p1 ld.acquire.cta.shared.u32 %r1, [%r2]".
std::string_view opcode_of(std::string_view text) {
  const auto skip = [&](bool blanks) {
    std::size_t at = 0;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) <= ' ') == blanks) ++at;
    text.remove_prefix(at);
  };
  skip(true);
  while (text.starts_with('@')) skip(false), skip(true);
  return text.substr(0, text.find_first_of(" \t\r\n;"));
}

void addresses_of(const Step& step, const Access& access, Addresses& to) {
  const std::byte* base = step.warp.slots + std::size_t{access.address} * slot_bytes;
  for (int lane = 0; lane < warp_size; ++lane)
    to[lane] = static_cast<std::uint64_t>(access.displacement) +
               (access.short_address ? reinterpret_cast<const std::uint32_t*>(base)[lane]
                                     : reinterpret_cast<const std::uint64_t*>(base)[lane]);
}

Window window_at(std::uint64_t address) {
  switch (address >> tag_shift) {
    case shared_tag:
      return Window::shared;
    case local_tag:
      return Window::local;
    case param_tag:
      return Window::param;
    default:
      return Window::global;
  }
}

/// The lanes whose copy writes zeros alone.
std::uint32_t copies_nothing(const Step& step) {
  std::uint32_t lanes = 0;
  for (int lane = 0; lane < warp_size; ++lane)
    lanes |= copied_bytes(step, lane) == 0 ? 1u << lane : 0u;
  return lanes;
}

/// Tells the observer of an access, once for each window that its lanes point into.
void tell(Observer& observer, const Step& step, const Access& access, Addresses& at) {
  std::uint32_t lanes =
      access.givers == warp_size ? step.lanes : step.lanes & ((1u << access.givers) - 1);
  if (access.asynchronous && access.use == Use::read) lanes &= ~copies_nothing(step);
  if (lanes == 0) return;
  if (access.window != Window::generic)
    return observer.touch(step, {access, access.window, lanes, at.data()});
  for (std::uint32_t rest = lanes; rest != 0;) {
    const Window window = window_at(at[static_cast<std::size_t>(std::countr_zero(rest))]);
    std::uint32_t same = 0;
    for (std::uint32_t more = rest; more != 0; more &= more - 1) {
      const int lane = std::countr_zero(more);
      if (window_at(at[lane]) != window) continue;
      same |= 1u << lane;
      if (window != Window::global) at[lane] &= (std::uint64_t{1} << tag_shift) - 1;
    }
    observer.touch(step, {access, window, same, at.data()});
    rest &= ~same;
  }
}

void observe(Observer& observer, const Step& step) {
  observer.before(step);
  std::array<Addresses, 2> at;
  for (int k = 0; k < step.what.access_count; ++k) addresses_of(step, step.what.accesses[k], at[k]);
  step.what.run(step.warp, step.at);
  // Lanes that were put aside wait for others and will execute this again.
  if (!step.what.moves_lanes && (step.warp.active & step.lanes) != step.lanes) return;
  for (int k = 0; k < step.what.access_count; ++k)
    tell(observer, step, step.what.accesses[k], at[k]);
  observer.after(step);
}

void step(Warp& w, const Instruction& at) {
  const Program& program = *w.cta->program;
  const Watched& what = program.watched[static_cast<std::size_t>(&at - program.code.data())];
  Observer* const observer = w.cta->observer;
  const std::uint32_t lanes = observer == nullptr ? 0 : executing_lanes(w, at);
  if (observer != nullptr && lanes == 0) observer->skip(w, at);
  if (lanes == 0)
    what.run(w, at);
  else
    observe(*observer, {w, at, what, lanes});
  if (w.turn > 0 && --w.turn == 0) {
    w.yields = true;
    w.limit = -1;
  }
}

}  // namespace

std::uint32_t executing_lanes(const Warp& w, const Instruction& at) {
  if (at.guard == no_predicate) return w.active;
  const std::uint32_t value = w.predicates[at.guard & ~negated_bit];
  return w.active & (at.guard & negated_bit ? ~value : value);
}

std::uint32_t copied_bytes(const Step& step, int lane) {
  const Instruction& at = step.at;
  if (at.optional == copies_some)
    return reinterpret_cast<const std::uint32_t*>(step.warp.slots +
                                                  std::size_t{at.src[2]} * slot_bytes)[lane];
  if (at.optional != copies_unless) return at.count;
  const bool holds = (step.warp.predicates[at.src[2] & ~negated_bit] >> lane & 1) != 0;
  return holds != ((at.src[2] & negated_bit) != 0) ? 0 : at.count;
}

const RegionSpan* region_of(const Cta& cta, std::uint64_t address) {
  const std::uint64_t index = (address >> region_shift) - 1;
  if (index < cta.region_count) return cta.regions + index;
  if (index - first_variable < cta.variable_count) return cta.variables + (index - first_variable);
  return nullptr;
}

void watch(Program& program, const Table& table) {
  // Forms that share a handler and a code take the same operands; the text tells them apart, but
  // for the conversions and packings that decoding adds.
  std::map<std::pair<Handler, std::uint8_t>, const Row*> rows;
  for (const Row* row : table.rows()) rows.emplace(std::pair(row->run, row->code), row);
  program.watched.assign(program.code.size(), {});
  for (std::size_t k = 0; k < program.code.size(); ++k) {
    Instruction& at = program.code[k];
    const std::string_view opcode = opcode_of(program.places[at.place].text);
    const Row* named = opcode.empty() ? nullptr : table.find(opcode);
    const bool same = named != nullptr && named->run == at.run && named->code == at.code;
    program.watched[k] = name_operands(same ? *named : *rows.at({at.run, at.code}), at, opcode);
    at.run = step;
  }
}

}  // namespace lacuna::runtime::host
