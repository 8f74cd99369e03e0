#include "runtime/host/check/checker.h"

#include "runtime/host/check/copies.h"
#include "runtime/host/check/races.h"
#include "runtime/host/check/values.h"
#include "runtime/host/describe.h"
#include "runtime/host/exec/cta.h"
#include "runtime/host/exec/schedule.h"

#include <fmt/format.h>

#include <bit>
#include <optional>

namespace lacuna::runtime::host {
namespace {

class Checker final : public Observer {
 public:
  Checker(const Checks& checks, const Cta& cta, std::shared_ptr<std::atomic<bool>> atomics)
      : checks_(checks), atomics_(std::move(atomics)) {
    if (checks.values) values_.emplace(cta);
    if (checks.races) races_.emplace(cta);
    if (checks.copies || checks.late_copies) copies_.emplace(cta, checks.late_copies);
  }

  void before(const Step& step) override {
    if (values_) values_->before(step);
  }
  void skip(Warp& warp, const Instruction& at) override {
    if (values_) values_->skip(warp, at);
  }

  void touch(const Step& step, const Touch& touch) override {
    if (touch.access.use == Use::update && atomics_ != nullptr) *atomics_ = true;
    if (checks_.copies) copies_->check(step, touch);
    if (races_) races_->touch(step, touch);
    const bool hands_over = step.what.role == Role::waits_all;  // its arrival tells of its copies
    if (hands_over && copies_) land(copies_->wait_all(step));
    if (races_ && step.what.order.strong) order(step, touch);
    if (values_) values_->touch(step, touch);
    if (!copies_ || !touch.access.asynchronous) return;
    if (touch.window == Window::shared)
      copies_->issue(step, touch);
    else
      copies_->source(step, touch);
  }

  void after(const Step& step) override {
    if (values_) values_->after(step);
    if (step.what.role != Role::none) play(step);
  }

  void arrive(Warp& warp, const Instruction&, std::uint32_t id, std::uint32_t,
              bool waits) override {
    // Those that wait have met once it opens; an arrival is a meeting of nobody.
    (void)waits;
    if (races_) races_->clocks.arrive(warp.index, id);
  }

  void release(Cta& cta, std::uint32_t id) override {
    if (!races_) return;
    for (int k = 0; k < cta.warp_count; ++k) {
      const Warp& w = cta.warps[k];
      std::uint32_t lanes = 0;
      for (int g = 0; g < w.group_count; ++g)
        if (w.groups[g].wait == Group::Wait::barrier && w.groups[g].barrier == id)
          lanes |= w.groups[g].lanes;
      if (lanes == 0) continue;
      races_->clocks.depart(k, id);
      races_->clocks.meet(k, lanes, live_lanes(w));
    }
    races_->clocks.reset(id);
  }

  std::string stands(const Cta& cta) override {
    std::string text;
    for (int k = 0; copies_ && k < cta.warp_count; ++k)
      if (copies_->in_flight(k) != 0)
        text += fmt::format("\n  warp {}: asynchronous copies of lanes {} in flight", k,
                            describe_lanes(copies_->in_flight(k)));
    return text;
  }

 private:
  /// Strong accesses pass knowledge on.
  void order(const Step& step, const Touch& touch) {
    const Order& how = step.what.order;
    const auto tag = static_cast<std::uint64_t>(touch.window == Window::shared ? shared_tag : 0)
                     << tag_shift;
    std::uint32_t lanes = touch.lanes;
    if (step.what.row->shape == Shape::mbarrier && how.acquires)
      lanes &= step.warp.predicates[step.at.dst[0]];  // the others have waited in vain
    for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
      const std::uint64_t location = tag | touch.at[std::countr_zero(rest)];
      if (touch.access.use != Use::write)
        races_->clocks.learn(step.warp.index, location, how.acquires);
      if (touch.access.use != Use::read)
        races_->clocks.publish(step.warp.index, location, how.releases);
    }
  }

  /// The lanes of each member mask meet.
  void meet(const Step& step) {
    const std::byte* slot = step.warp.slots + std::size_t{step.at.src[0]} * slot_bytes;
    const auto* masks = reinterpret_cast<const std::uint32_t*>(slot);
    for (std::uint32_t rest = step.lanes; rest != 0;) {
      const std::uint32_t mask = masks[std::countr_zero(rest)];
      std::uint32_t same = 0;
      for (int lane = 0; lane < warp_size; ++lane)
        same |= masks[lane] == mask ? rest & 1u << lane : 0u;
      races_->clocks.meet(step.warp.index, same, live_lanes(step.warp));
      rest &= ~same;
    }
  }

  void play(const Step& step) {
    switch (step.what.role) {
      case Role::meets:
        if (races_) meet(step);
        return;
      case Role::fences:
        if (races_) races_->clocks.fence(step.warp.index);
        return;
      case Role::commits:
        if (copies_) copies_->commit(step);
        return;
      case Role::waits:
        if (copies_) land(copies_->wait(step, static_cast<std::uint32_t>(step.at.immediate)));
        return;
      case Role::waits_all:
        if (copies_) land(copies_->wait_all(step));
        return;
      case Role::none:
        return;
    }
  }

  void land(const std::vector<Copies::Copy>& copies) {
    if (races_)
      for (const Copies::Copy& copy : copies)
        races_->land(copy.warp, copy.lane, copy.at, copy.to, copy.bytes);
  }

  Checks checks_;
  std::shared_ptr<std::atomic<bool>> atomics_;
  std::optional<Values> values_;
  std::optional<Races> races_;
  std::optional<Copies> copies_;
};

}  // namespace

MakeObserver make_checker(const Checks& checks, std::shared_ptr<std::atomic<bool>> atomics) {
  return [checks, atomics](Cta& cta) { return std::make_unique<Checker>(checks, cta, atomics); };
}

}  // namespace lacuna::runtime::host
