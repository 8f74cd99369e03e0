#include "runtime/host/check/orders.h"

#include "lacuna/error.hpp"

#include "runtime/host/check/checker.h"
#include "runtime/host/describe.h"
#include "runtime/host/exec/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace lacuna::runtime::host {
namespace {

/// The bytes of everything that a launch may write.
class Snapshot {
 public:
  explicit Snapshot(const LaunchState& state) : state_(state) {
    for (const std::vector<RegionSpan>* spans : {&state.regions, &state.statics})
      for (const RegionSpan& span : *spans)
        if (span.writable && span.bytes != 0)
          parts_.push_back({&span, {span.data, span.data + span.bytes}});
  }

  void restore() const {
    for (const Part& part : parts_)
      std::memcpy(part.span->data, part.bytes.data(), part.bytes.size());
  }

  /// The first element that is not as it was; empty where all are.
  std::string difference() const {
    for (const Part& part : parts_) {
      const auto differs =
          std::mismatch(part.bytes.begin(), part.bytes.end(), part.span->data).first;
      if (differs != part.bytes.end()) return describe(*part.span, differs - part.bytes.begin());
    }
    return {};
  }

 private:
  struct Part {
    const RegionSpan* span;
    std::vector<std::byte> bytes;
  };

  std::string describe(const RegionSpan& span, std::int64_t offset) const {
    const std::uint64_t index = (span.base >> region_shift) - 1;
    if (index < state_.regions.size())
      return describe_element(state_.request->regions[index], span, offset);
    return fmt::format("byte {} of the variable '{}'", offset,
                       state_.program->statics[index - first_variable].name);
  }

  const LaunchState& state_;
  std::vector<Part> parts_;
};

}  // namespace

Statistics run_in_every_order(LaunchState& state, const Checks& checks,
                              const std::function<Statistics()>& run) {
  struct Order {
    std::uint64_t seed;
    bool late;
    const char* what;
  };
  const std::uint64_t seed = state.seed;
  const Order others[] = {
      {seed, true, "when asynchronous copies arrive"},
      {seed + 1, false, "the order of warps"},
      {seed + 1, true, "the order of warps and when asynchronous copies arrive"}};
  const auto atomics = std::make_shared<std::atomic<bool>>(false);
  const auto run_with = [&](std::uint64_t with_seed, bool late) {
    Checks with = checks;
    with.late_copies = late;
    state.observe = make_checker(with, atomics);
    state.seed = with_seed;
    return run();
  };
  const Snapshot before(state);
  const Statistics result = run_with(seed, false);
  const Snapshot expected(state);
  for (const Order& order : others) {
    before.restore();
    run_with(order.seed, order.late);
    const std::string differs = *atomics ? "" : expected.difference();
    if (!differs.empty())
      throw Error(ErrorKind::device,
                  fmt::format("order: {} depends on {} (kernel '{}', seed {})", differs, order.what,
                              state.program->entry, order.seed));
  }
  return result;
}

}  // namespace lacuna::runtime::host
