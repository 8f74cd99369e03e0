#include "runtime/host/exec/observer.h"

#include "runtime/host/exec/cta.h"
#include "runtime/host/exec/table.h"

#include <bit>
#include <map>
#include <string_view>

namespace lacuna::runtime::host {
namespace {

using Addresses = std::array<std::uint64_t, warp_size>;

std::string_view next_word(std::string_view& name) {
  const std::size_t dot = name.find('.');
  const std::string_view word = name.substr(0, dot);
  name.remove_prefix(dot == name.npos ? name.size() : dot + 1);
  return word;
}

bool has_word(std::string_view name, std::string_view wanted) {
  while (!name.empty())
    if (next_word(name) == wanted) return true;
  return false;
}

Window window_of(std::string_view name) {
  if (has_word(name, "shared")) return Window::shared;
  if (has_word(name, "global") || has_word(name, "const")) return Window::global;
  if (has_word(name, "local")) return Window::local;
  if (has_word(name, "param")) return Window::param;
  return Window::generic;
}

/// Bytes of the type that a name ends with: ".u8", ".bf16", ".s64".
std::uint8_t element_bytes(std::string_view name) {
  if (name.ends_with("64")) return 8;
  if (name.ends_with("32")) return 4;
  return name.ends_with("16") ? 2 : 1;
}

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

Order order_of(std::string_view opcode) {
  Order order;
  const bool atomic = opcode.starts_with("atom") || opcode.starts_with("red.");
  order.acquires = has_word(opcode, "acquire") || has_word(opcode, "acq_rel");
  order.releases = has_word(opcode, "release") || has_word(opcode, "acq_rel");
  order.strong = atomic || order.acquires || order.releases || has_word(opcode, "relaxed") ||
                 has_word(opcode, "volatile");
  return order;
}

Flow flow_of(std::string_view name) {
  const auto begins = [&](std::string_view with) { return name.starts_with(with); };
  const auto integer = [](std::string_view type) {
    return type.starts_with('u') || type.starts_with('s');
  };
  if (begins("cvt.")) {
    next_word(name);
    const std::string_view to = next_word(name), from = next_word(name);
    return integer(to) && integer(from) && name.empty() ? Flow::copies : Flow::computes;
  }
  if (begins("mov.") && !name.ends_with("pred")) return Flow::copies;
  if (begins("selp.")) return Flow::selects;
  if (begins("#pack")) return Flow::packs;
  if (begins("#unpack")) return Flow::unpacks;
  if (begins("shfl.")) return Flow::shuffles;
  if (name == "and.pred" || name == "or.pred") return Flow::either;
  return name.ends_with(".pred") && !begins("bar") && !begins("vote") ? Flow::both : Flow::computes;
}

Role role_of(std::string_view name) {
  if (name == "bar.warp.sync") return Role::meets;
  if (name.starts_with("fence") || name.starts_with("membar")) return Role::fences;
  if (name == "cp.async.commit_group") return Role::commits;
  if (name == "cp.async.wait_group") return Role::waits;
  return name == "cp.async.wait_all" ? Role::waits_all : Role::none;
}

void add_read(Watched& what, std::uint16_t index, Kind kind) {
  if (kind != Kind::none && kind != Kind::immediate) what.reads[what.read_count++] = {index, kind};
}
void add_write(Watched& what, std::uint16_t index, Kind kind) {
  if (kind != Kind::none) what.writes[what.write_count++] = {index, kind};
}

void add_access(Watched& what, const Instruction& at, Use use) {
  const std::string_view name = what.row->name;
  Access& access = what.accesses[what.access_count++];
  access = {.window = window_of(name),
            .use = use,
            .atomic = use == Use::update,
            .element = element_bytes(name),
            .count = at.count,
            .short_address = at.short_address,
            .address = at.src[0],
            .displacement = at.immediate};
  add_read(what, at.src[0], at.short_address ? Kind::b32 : Kind::b64);
}

/// 16 bytes from each address: a row of a tile.
void name_matrix(Watched& what, const Instruction& at) {
  add_access(what, at, Use::read);
  Access& access = what.accesses[0];
  access.element = 16;
  access.count = 1;
  access.collective = true;
  access.givers = static_cast<std::uint8_t>(8 * what.row->count);
  for (int k = 0; k < what.row->count; ++k) add_write(what, at.dst[k], Kind::b32);
}

void name_factors(Watched& what, const Instruction& at) {
  const auto add = [&](int first, int count) {
    for (int k = first; k < first + count; ++k) add_read(what, at.src[k], Kind::b32);
  };
  add(0, what.row->code);
  add(4, what.row->code / 2);
  add(6, what.row->count);
  for (int k = 0; k < what.row->count; ++k) add_write(what, at.dst[k], Kind::b32);
}

void name_copy(Watched& what, const Instruction& at) {
  const auto add = [&](Window window, Use use, std::uint16_t slot, std::int64_t displacement,
                       std::uint8_t is_short) {
    what.accesses[what.access_count++] = {.window = window,
                                          .use = use,
                                          .asynchronous = true,
                                          .element = 1,
                                          .count = at.count,
                                          .short_address = is_short,
                                          .address = slot,
                                          .displacement = displacement};
    add_read(what, slot, is_short ? Kind::b32 : Kind::b64);
  };
  add(Window::global, Use::read, at.src[1], at.immediate >> 32, 0);
  add(Window::shared, Use::write, at.src[0], static_cast<std::int32_t>(at.immediate),
      at.short_address);
  if (at.optional != 0)
    add_read(what, at.src[2], at.optional == copies_unless ? Kind::pred : Kind::b32);
}

void name_operands(Watched& what, const Instruction& at) {
  const Row& row = *what.row;
  switch (row.shape) {
    case Shape::load:
      add_access(what, at, Use::read);
      for (int k = 0; k < at.count; ++k) add_write(what, at.dst[k], row.dst[0]);
      return;
    case Shape::store:
      add_access(what, at, Use::write);
      for (int k = 0; k < at.count; ++k) add_read(what, at.src[1 + k], row.src[1]);
      return;
    case Shape::atomic:
    case Shape::reduction:
      add_access(what, at, Use::update);
      for (int k = 1; k < 4; ++k) add_read(what, at.src[k], row.src[k]);
      add_write(what, at.dst[0], row.dst[0]);
      return;
    case Shape::multiply:
      return name_factors(what, at);
    case Shape::load_matrix:
      return name_matrix(what, at);
    case Shape::copy:
      return name_copy(what, at);
    case Shape::barrier:
    case Shape::barrier_reduce:
      add_read(what, at.src[0], Kind::b32);
      if (at.optional) add_read(what, at.src[1], Kind::b32);
      if (row.shape == Shape::barrier_reduce) add_read(what, at.src[2], Kind::pred);
      add_write(what, at.dst[0], row.dst[0]);
      what.moves_lanes = true;
      return;
    case Shape::branch_table:
      add_read(what, at.src[0], Kind::b32);
      [[fallthrough]];
    case Shape::branch:
    case Shape::finish:
      what.moves_lanes = true;
      return;
    case Shape::prefetch:
    case Shape::call:
      return;
    default:
      break;
  }
  for (int k = 0; k < 4; ++k) add_read(what, at.src[k], row.src[k]);
  const std::string_view name = row.name;
  if (name.starts_with("#unpack")) {  // its row names the kind of all parts once
    const int parts = name.ends_with(".4") ? 4 : 2;
    for (int k = 0; k < parts; ++k) add_write(what, at.dst[k], row.dst[0]);
    return;
  }
  const bool pair = row.shape == Shape::paired || row.shape == Shape::compare;
  add_write(what, at.dst[0], row.dst[0]);
  if (!pair || at.optional) add_write(what, at.dst[1], row.dst[1]);
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
    Watched& what = program.watched[k];
    const std::string_view opcode = opcode_of(program.places[at.place].text);
    const Row* named = opcode.empty() ? nullptr : table.find(opcode);
    const bool same = named != nullptr && named->run == at.run && named->code == at.code;
    what.run = at.run;
    what.row = same ? named : rows.at({at.run, at.code});
    what.order = order_of(opcode);
    what.flow = flow_of(what.row->name);
    what.role = role_of(what.row->name);
    name_operands(what, at);
    at.run = step;
  }
}

}  // namespace lacuna::runtime::host
