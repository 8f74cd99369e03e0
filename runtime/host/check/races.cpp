#include "runtime/host/check/races.h"

#include "runtime/host/describe.h"
#include "runtime/host/exec/cta.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

namespace lacuna::runtime::host {
namespace {

std::string_view deed(bool wrote, std::uint8_t kinds) {
  return (kinds & updating) != 0 ? "atomic access" : wrote ? "write" : "read";
}

}  // namespace

void Races::report(const Visit& other, const Now& now, std::uint64_t address, bool wrote) {
  const Warp& warp = now.step.warp;
  const bool mine = other.warp == warp.index;
  const std::uint32_t without_me = other.lanes & ~(1u << now.lane);
  const std::uint32_t others = mine && without_me != 0 ? without_me : other.lanes;
  report_fault(
      warp, now.step.at, now.lane,
      fmt::format(
          "race: {} in {} memory at {} and {} by warp {}, lane{} {} ({}): no {} orders them",
          deed(now.writes, now.kind), name_of_window(now.touch.window),
          describe_address(cta_, now.touch.window, address, 1), deed(wrote, other.kinds),
          other.warp, std::has_single_bit(others) ? "" : "s", describe_lanes(others),
          describe_place(cta_, cta_.program->code[other.at]), mine ? "bar.warp.sync" : "barrier"));
}

void Races::check_ordered(const Visit& other, const Now& now, std::uint64_t address, bool wrote) {
  if (other.clock != 0 &&
      !clocks.ordered(now.step.warp.index, now.lanes, other.warp, other.lanes, other.clock))
    report(other, now, address, wrote);
}

/// Of the bytes at `address` in what this lane and another one store.
bool Races::same_value(const Now& now, int other, std::uint64_t address) const {
  const Access& access = now.touch.access;
  if (access.asynchronous || access.collective) return false;
  const auto byte = [&](int lane, std::uint32_t k) {
    const auto offset = static_cast<std::uint32_t>(address + k - now.touch.at[lane]);
    const NamedOperand& value = now.step.what.reads[1 + offset / access.element];
    return now.step.warp.slots[std::size_t{value.index} * slot_bytes +
                               static_cast<std::size_t>(lane) * (value.kind == Kind::b64 ? 8 : 4) +
                               offset % access.element];
  };
  for (std::uint32_t k = 0; k < now.bytes; ++k)
    if (byte(now.lane, k) != byte(other, k)) return false;
  return true;
}

void Races::check_write(const Cell& cell, const Now& now, std::uint64_t address) {
  const Visit& write = cell.write;
  if (write.clock == 0 || (now.kind != plain && write.kinds == strong)) return;
  if (now.writes && cell.stamp == stamp_) {  // lanes of this very instruction
    const int other = std::countr_zero(write.lanes);
    if (same_value(now, other, address)) return;
    report_fault(now.step.warp, now.step.at, now.lane,
                 fmt::format("race: lanes {} and {} write different values in {} memory at {} with "
                             "one instruction",
                             other, now.lane, name_of_window(now.touch.window),
                             describe_address(cta_, now.touch.window, address, 1)));
  }
  check_ordered(write, now, address, true);
}

/// Earlier reads and updates of the kinds that the access conflicts with.
void Races::check_visits(const Cells& cells, const Cell& cell, const Now& now,
                         std::uint64_t address, std::uint8_t kinds) {
  if ((cell.read.kinds & kinds) != 0) check_ordered(cell.read, now, address, false);
  if (cell.many == nullptr) return;
  for (std::size_t k = 0; k < cells.warps(); ++k)
    if ((cell.many[k].kinds & kinds) != 0) check_ordered(cell.many[k], now, address, false);
}

void Races::visit(Cells& cells, Cell& cell, const Now& now, std::uint64_t address) {
  const auto warp = static_cast<std::uint8_t>(now.step.warp.index);
  if (now.writes) {
    check_write(cell, now, address);
    check_visits(cells, cell, now, address, now.kind == plain ? plain | strong | updating : plain);
    const std::uint32_t before = cell.stamp == stamp_ ? cell.write.lanes : 0;
    cell.write = {now.clock, now.lanes | before, now.at, warp, now.kind};
    cell.stamp = stamp_;
    if (now.kind == plain) cells.forget(cell);
    return;
  }
  Visit& mine = cells.visit_of(cell, warp);
  // What these lanes have read since they last met anybody, and nobody has written since, is in
  // order.
  const bool again = mine.clock == now.clock && (mine.lanes & now.lanes) == now.lanes;
  if (again && now.kind == plain && mine.kinds == plain && !cell.updated &&
      cell.write.kinds != strong)
    return;
  check_write(cell, now, address);
  if (now.kind == updating) check_visits(cells, cell, now, address, plain);
  if (now.kind == plain && cell.updated) check_visits(cells, cell, now, address, updating);
  if (mine.clock == now.clock) {
    mine.lanes |= now.lanes;
    mine.kinds |= now.kind;
  } else {
    mine = {now.clock, now.lanes, now.at, warp, now.kind};
  }
  cell.updated |= now.kind == updating;
}

void Races::touch(const Step& step, const Touch& touch) {
  const Access& access = touch.access;
  const bool is_shared = touch.window == Window::shared;
  if (!is_shared) {
    if (touch.window != Window::global) return;
    const RegionSpan* region = region_of(cta_, touch.at[std::countr_zero(touch.lanes)]);
    if (region == nullptr || !region->writable) return;
  }
  Cells& cells = is_shared ? shared : global_;
  const Program& program = *cta_.program;
  Now now{.step = step, .touch = touch};
  now.clock = clocks.now(step.warp.index);
  now.at = static_cast<std::uint32_t>(&step.at - program.code.data());
  now.kind = access.use == Use::update ? updating : step.what.order.strong ? strong : plain;
  now.writes = access.use == Use::write;
  ++stamp_;
  const std::uint32_t bytes = access.bytes();
  for (std::uint32_t rest = touch.lanes; rest != 0;) {
    now.lane = std::countr_zero(rest);
    now.lanes = 1u << now.lane;
    rest &= rest - 1;
    const std::uint64_t begin = touch.at[now.lane], end = begin + bytes;
    while (!now.writes && rest != 0 && touch.at[std::countr_zero(rest)] == begin) {
      now.lanes |= rest & (0 - rest);  // neighbours that read the same are one reader
      rest &= rest - 1;
    }
    if (access.collective) now.lanes = step.lanes;
    now.begin = begin;
    now.end = end;
    for (std::uint64_t cell = begin / cell_bytes; cell * cell_bytes < end; ++cell)
      enter(cells, cells[cell], now, cell * cell_bytes, cell_bytes);
  }
}

void Races::enter(Cells& cells, Cell& cell, Now& now, std::uint64_t address, std::uint32_t bytes) {
  if (cell.quarters == nullptr && now.begin <= address && address + bytes <= now.end) {
    now.bytes = bytes;
    return visit(cells, cell, now, address);
  }
  Cell* quarters = cells.quarters_of(cell);
  const std::uint32_t size = bytes / 4;
  for (int k = 0; k < 4; ++k, address += size)
    if (address < now.end && now.begin < address + size)
      enter(cells, quarters[k], now, address, size);
}

void Races::settle(Cell& cell, const Visit& write, std::uint64_t address, std::uint32_t size,
                   std::uint64_t begin, std::uint64_t end) {
  if (address >= end || begin >= address + size) return;
  if (cell.quarters == nullptr && begin <= address && address + size <= end) {
    cell.write = write;
    return shared.forget(cell);
  }
  Cell* quarters = shared.quarters_of(cell);
  for (std::uint32_t k = 0; k < 4; ++k)
    settle(quarters[k], write, address + k * (size / 4), size / 4, begin, end);
}

void Races::land(int warp, int lane, std::uint32_t instruction, std::uint64_t at,
                 std::uint32_t bytes) {
  const Visit write{clocks.now(warp), 1u << lane, instruction, static_cast<std::uint8_t>(warp),
                    plain};
  const std::uint64_t first = at / cell_bytes * cell_bytes;  // a copy lies in one cell
  settle(shared[at / cell_bytes], write, first, cell_bytes, at, at + bytes);
}

}  // namespace lacuna::runtime::host
