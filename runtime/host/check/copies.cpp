#include "runtime/host/check/copies.h"

#include "runtime/host/describe.h"
#include "runtime/host/exec/cta.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace lacuna::runtime::host {
namespace {

constexpr int poison = 0xff;  // as that of uninitialised memory: NaN in every format

bool overlap(std::uint64_t a, std::uint32_t a_bytes, std::uint64_t b, std::uint32_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

}  // namespace

Copies::Copies(const Cta& cta, bool late)
    : cta_(cta),
      late_(late),
      warps_(static_cast<std::size_t>(cta.warp_count)),
      owner_((cta.shared_bytes + 3) / 4) {}

void Copies::report(const Step& step, const Touch& touch, int lane, const Copy& copy,
                    bool is_source) const {
  const std::string_view deed = touch.access.asynchronous        ? "another copy's write"
                                : touch.access.use == Use::write ? "write"
                                : touch.access.use == Use::read  ? "read"
                                                                 : "atomic access";
  report_fault(
      step.warp, step.at, lane,
      fmt::format("copy in flight: {} of {} in {} memory at {}, {} by warp {}, lane {} ({}), which "
                  "no wait has covered yet",
                  deed, count_of(touch.access.bytes(), "byte"), name_of_window(touch.window),
                  describe_address(cta_, touch.window, touch.at[lane], touch.access.bytes()),
                  is_source ? "the source of a copy" : "the destination of a copy", copy.warp,
                  copy.lane, describe_place(cta_, cta_.program->code[copy.at])));
}

void Copies::check_shared(const Step& step, const Touch& touch) const {
  if (count_ == 0) return;
  for (std::uint32_t rest = touch.lanes; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const std::uint64_t begin = touch.at[lane], end = begin + touch.access.bytes();
    for (std::uint64_t cell = begin / 4; cell <= (end - 1) / 4; ++cell) {
      if (owner_[cell] == 0) continue;
      for (const Copy& copy : warps_[owner_[cell] - 1].copies)
        if (overlap(cell * 4, 4, copy.to, copy.bytes)) report(step, touch, lane, copy, false);
    }
  }
}

void Copies::check_sources(const Step& step, const Touch& touch) const {
  for (std::uint32_t rest = touch.lanes; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    for (const Issued& warp : warps_)
      for (const Copy& copy : warp.copies)
        if (overlap(touch.at[lane], touch.access.bytes(), copy.from, copy.read))
          report(step, touch, lane, copy, true);
  }
}

void Copies::check(const Step& step, const Touch& touch) const {
  if (touch.window == Window::shared) return check_shared(step, touch);
  if (writable_sources_ && touch.window == Window::global && touch.access.use != Use::read)
    check_sources(step, touch);
}

void Copies::source(const Step& step, const Touch& touch) {
  (void)step;
  for (std::uint32_t rest = touch.lanes; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    sources_[lane] = touch.at[lane];
    const RegionSpan* region = region_of(cta_, touch.at[lane]);
    writable_sources_ |= region != nullptr && region->writable;
  }
}

void Copies::mark(const Copy& copy, std::uint32_t with) {
  for (std::uint64_t cell = copy.to / 4; cell < (copy.to + copy.bytes) / 4; ++cell)
    owner_[cell] = with;
}

void Copies::issue(const Step& step, const Touch& destination) {
  Issued& warp = warps_[step.warp.index];
  for (std::uint32_t rest = destination.lanes; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const Copy copy{.from = sources_[lane],
                    .to = destination.at[lane],
                    .bytes = destination.access.bytes(),
                    .read = copied_bytes(step, lane),
                    .at = static_cast<std::uint32_t>(&step.at - cta_.program->code.data()),
                    .group = warp.groups[lane],
                    .warp = step.warp.index,
                    .lane = lane};
    warp.copies.push_back(copy);
    ++count_;
    mark(copy, static_cast<std::uint32_t>(step.warp.index) + 1);
    if (late_) std::memset(cta_.shared + copy.to, poison, copy.bytes);
  }
}

std::uint32_t Copies::in_flight(int warp) const {
  std::uint32_t lanes = 0;
  for (const Copy& copy : warps_[warp].copies) lanes |= 1u << copy.lane;
  return lanes;
}

void Copies::commit(const Step& step) {
  for (std::uint32_t rest = step.lanes; rest != 0; rest &= rest - 1)
    ++warps_[step.warp.index].groups[std::countr_zero(rest)];
}

template <class Covered>
std::vector<Copies::Copy> Copies::take(const Step& step, Covered covered) {
  std::vector<Copy>& copies = warps_[step.warp.index].copies;
  const auto arrived = std::stable_partition(copies.begin(), copies.end(), [&](const Copy& copy) {
    return (step.lanes >> copy.lane & 1) == 0 || !covered(copy);
  });
  std::vector<Copy> taken(arrived, copies.end());
  copies.erase(arrived, copies.end());
  count_ -= taken.size();
  for (const Copy& copy : taken) {
    mark(copy, 0);
    if (!late_) continue;
    std::memset(cta_.shared + copy.to, 0, copy.bytes);
    if (copy.read == 0) continue;
    const RegionSpan& region = *region_of(cta_, copy.from);
    std::memcpy(cta_.shared + copy.to, region.data + (copy.from - region.base), copy.read);
  }
  return taken;
}

std::vector<Copies::Copy> Copies::wait(const Step& step, std::uint32_t newest) {
  const auto& groups = warps_[step.warp.index].groups;
  return take(step, [&](const Copy& copy) { return copy.group + newest < groups[copy.lane]; });
}

std::vector<Copies::Copy> Copies::wait_all(const Step& step) {
  return take(step, [](const Copy&) { return true; });
}

}  // namespace lacuna::runtime::host
