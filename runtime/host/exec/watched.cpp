#include "runtime/host/exec/watched.h"

#include "runtime/host/exec/warp.h"

#include <string_view>

namespace lacuna::runtime::host {
namespace {

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
void name_matrix(Watched& what, const Instruction& at, Use use) {
  add_access(what, at, use);
  Access& access = what.accesses[0];
  access.element = 16;
  access.count = 1;
  access.collective = true;
  access.givers = static_cast<std::uint8_t>(8 * what.row->count);
  for (int k = 0; k < what.row->count; ++k)
    if (use == Use::read)
      add_write(what, at.dst[k], Kind::b32);
    else
      add_read(what, at.src[1 + k], Kind::b32);
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

/// Arrivals release, waits acquire; a barrier is made and unmade by plain writes.
void name_mbarrier(Watched& what, const Instruction& at) {
  const std::string_view name = what.row->name;
  const bool makes = name.starts_with("mbarrier.init") || name.starts_with("mbarrier.inval");
  const bool waits = name.starts_with("mbarrier.test_wait");
  add_access(what, at, makes ? Use::write : Use::update);
  add_read(what, at.src[1], what.row->src[1]);
  add_write(what, at.dst[0], what.row->dst[0]);
  if (!makes) what.order = {.strong = true, .acquires = waits, .releases = !waits};
  if (name.starts_with("cp.async")) what.role = Role::waits_all;
}

void name_all(Watched& what, const Instruction& at) {
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
      return name_matrix(what, at, Use::read);
    case Shape::store_matrix:
      return name_matrix(what, at, Use::write);
    case Shape::mbarrier:
      return name_mbarrier(what, at);
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

}  // namespace

Watched name_operands(const Row& row, const Instruction& at, std::string_view opcode) {
  Watched what{.run = at.run, .row = &row};
  what.order = order_of(opcode);
  what.flow = flow_of(row.name);
  what.role = role_of(row.name);
  name_all(what, at);
  return what;
}

}  // namespace lacuna::runtime::host
