#include "runtime/host/report.h"

#include "lacuna/error.hpp"

#include "runtime/host/describe.h"
#include "runtime/host/exec/cta.h"
#include "runtime/host/exec/launch.h"
#include "runtime/host/exec/observer.h"
#include "runtime/host/exec/program.h"
#include "runtime/host/exec/schedule.h"
#include "runtime/host/exec/warp.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace lacuna::runtime::host {
namespace {

constexpr int shown_warps = 16;
const Place& place_of(const Cta& cta, std::int32_t pc) {
  const Program& program = *cta.program;
  return program.places[program.code[static_cast<std::size_t>(pc)].place];
}

/// An instruction that goes over several lines, in one.
std::string one_line(std::string_view text) {
  std::string line;
  for (char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!blank)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  return line;
}

std::string source_of(const Cta& cta, const Place& place) {
  const std::string source = cta.program->module->source_place(place.location);
  return fmt::format("{}ptx line {}: {}", source.empty() ? "" : source + ", ", place.line,
                     one_line(place.text));
}

Span span_of_place(const Cta& cta, const Place& place) {
  const std::vector<std::string_view>& files = cta.program->module->files;
  if (place.location.line == 0 || place.location.file >= files.size()) return {};
  return {std::string(files[place.location.file]), static_cast<int>(place.location.line), 0};
}

std::string_view verb(Use use) {
  return use == Use::read ? "read" : use == Use::write ? "write" : "atomic access";
}

std::string stands(const Cta& cta, const Warp& w) {
  std::string text;
  const auto add = [&](std::uint32_t lanes, std::string_view what) {
    const bool all = lanes == w.launched;
    text += fmt::format("{}{} {}", text.empty() ? ": " : "; ",
                        all ? "all lanes" : fmt::format("lanes {}", describe_lanes(lanes)), what);
  };
  for (int g = 0; g < w.group_count; ++g) {
    const Group& group = w.groups[g];
    const bool behind =
        group.wait == Group::Wait::barrier;  // it has arrived: its pc is the next instruction
    add(group.lanes,
        fmt::format("{} {}", group.wait == Group::Wait::nothing ? "can run from" : "wait at",
                    source_of(cta, place_of(cta, behind ? group.pc - 1 : group.pc))));
  }
  if (w.active != 0)
    add(w.active, fmt::format("can run from {}", source_of(cta, place_of(cta, w.pc))));
  if (w.exited != 0) add(w.exited, "have exited");
  return fmt::format("warp {}{}", w.index, text);
}

std::string where_all_stand(const Cta& cta) {
  std::string text;
  for (int k = 0; k < std::min(cta.warp_count, shown_warps); ++k)
    text += fmt::format("\n  {}", stands(cta, cta.warps[k]));
  if (cta.warp_count > shown_warps)
    text += fmt::format("\n  and {} more warps", cta.warp_count - shown_warps);
  return text;
}

/// Where threads wait at more than one barrier, all of them.
std::string barriers_of(const Cta& cta) {
  std::string text;
  int waited_at = 0;
  for (int id = 0; id < barrier_count; ++id) {
    const Barrier& barrier = cta.barriers[id];
    if (barrier.expected == 0) continue;
    ++waited_at;
    text += fmt::format("\n  barrier {}: {} of {} threads have come", id, barrier.arrived,
                        barrier.expected);
  }
  return waited_at > 1 ? text : "";
}

/// The first reason that explains why nothing moves, and where.
std::string reason(const Cta& cta, const Place*& place) {
  for (int k = 0; k < cta.warp_count; ++k) {
    const Warp& w = cta.warps[k];
    for (int g = 0; g < w.group_count; ++g) {
      if (w.groups[g].wait != Group::Wait::members) continue;
      place = &place_of(cta, w.groups[g].pc);
      const bool barrier = place->text.find("bar.warp") == place->text.npos &&
                           place->text.find("bar") != place->text.npos;
      return fmt::format(
          "{}: lanes {} of warp {} wait for lanes that do not come",
          barrier ? "divergent barrier" : "warp synchronisation that cannot complete",
          describe_lanes(w.groups[g].lanes), w.index);
    }
  }
  for (int k = 0; k < cta.warp_count; ++k) {
    const Warp& w = cta.warps[k];
    for (int g = 0; g < w.group_count; ++g) {
      if (w.groups[g].wait != Group::Wait::barrier) continue;
      place = &place_of(cta, w.groups[g].pc - 1);
      const Barrier& barrier = cta.barriers[w.groups[g].barrier];
      return fmt::format("deadlock: {} of {} threads have come to barrier {}", barrier.arrived,
                         barrier.expected, w.groups[g].barrier);
    }
  }
  return "deadlock";
}

}  // namespace

std::string describe_place(const Cta& cta, const Instruction& at) {
  return source_of(cta, cta.program->places[at.place]);
}

void report_fault(const Warp& warp, const Instruction& at, int lane, const std::string& what) {
  const Cta& cta = *warp.cta;
  const Place& place = cta.program->places[at.place];
  throw Error(ErrorKind::device,
              fmt::format("{} (kernel '{}', CTA {}, warp {}, lane {}, {})", what,
                          cta.program->entry, cta.index, warp.index, lane, source_of(cta, place)),
              span_of_place(cta, place));
}

void report_absent_lane(const Warp& warp, const Instruction& at, int lane, int source) {
  report_fault(warp, at, lane,
               fmt::format("the lane reads from lane {}, which does not take part", source));
}

void report_access(const Warp& warp, const Instruction& at, int lane, Window window,
                   std::uint64_t address, std::uint32_t bytes, Use use) {
  const Cta& cta = *warp.cta;
  const bool inside = is_inside(cta, window, address, bytes);
  const std::string target = describe_address(cta, window, address, bytes);
  const bool misaligned = (address & (bytes - 1)) != 0;
  const std::string_view check = !inside      ? "out-of-bounds"
                                 : misaligned ? "misaligned"
                                              : "forbidden";
  const std::string_view why = inside && !misaligned ? ", which is read-only" : "";
  report_fault(warp, at, lane,
               fmt::format("{} {} of {} in {} memory at {}{}", check, verb(use),
                           count_of(bytes, "byte"), name_of_window(window), target, why));
}

void report_deadlock(const Cta& cta) {
  const Place* place = nullptr;
  const std::string why = reason(cta, place);
  const std::string more = cta.observer == nullptr ? "" : cta.observer->stands(cta);
  throw Error(ErrorKind::device,
              fmt::format("{} (kernel '{}', CTA {}{}):{}{}{}", why, cta.program->entry, cta.index,
                          place == nullptr ? "" : ", " + source_of(cta, *place),
                          where_all_stand(cta), barriers_of(cta), more),
              place == nullptr ? Span{} : span_of_place(cta, *place));
}

void report_endless(const Cta& cta, std::uint64_t limit) {
  throw Error(
      ErrorKind::device,
      fmt::format(
          "endless: a CTA has executed more than {} warp-instructions (kernel '{}', CTA {}):{}",
          limit, cta.program->entry, cta.index, where_all_stand(cta)));
}

}  // namespace lacuna::runtime::host
