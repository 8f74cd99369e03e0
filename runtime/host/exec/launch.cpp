#include "runtime/host/exec/launch.h"

#include "lacuna/error.hpp"

#include "runtime/host/exec/warp.h"

#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

namespace lacuna::runtime::host {
namespace {

constexpr std::uint64_t max_region_bytes = (std::uint64_t{1} << region_shift) - 4096;
constexpr std::uint64_t alignment_bits = 255;
constexpr std::uint64_t max_regions = first_variable - 1;

/// Round to nearest, subnormals kept: what the handlers assume, whatever the calling thread has
/// set.
class FloatingState {
 public:
  FloatingState() : saved_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(0x1f80); }
  ~FloatingState() { __builtin_ia32_ldmxcsr(saved_); }
  FloatingState(const FloatingState&) = delete;
  FloatingState& operator=(const FloatingState&) = delete;

 private:
  unsigned saved_;
};

/// The bytes of the elements before and after the first one, whichever way strides point.
struct Extent {
  __int128 before = 0, after = 0;
  bool empty = false;
};
Extent extent_of(const TensorView& view) {
  Extent extent;
  const int size = size_of(view.dtype);
  for (int axis = 0; axis < view.rank; ++axis) {
    if (view.shape[axis] <= 0) extent.empty = true;
    const __int128 reach = static_cast<__int128>(view.shape[axis] - 1) * view.strides[axis] * size;
    (reach < 0 ? extent.before : extent.after) += reach;
  }
  return extent;
}

std::uint64_t first_element(const Region& region, const RegionSpan& span) {
  const auto* first = static_cast<const std::byte*>(region.view.data);
  return span.base + static_cast<std::uint64_t>(first - span.data);
}

/// CTAs handed out in order; the failure of the lowest one wins, and those above it stop.
class Work {
 public:
  Work(const LaunchState& state) : state_(state) {}

  void run(Workspace& workspace) {
    const FloatingState floating;
    Statistics mine;
    for (;;) {
      const std::uint64_t block = next_.fetch_add(1);
      if (block >= state_.request->blocks || block > failed_.load()) break;
      try {
        const Statistics one = execute(state_, workspace, block);
        mine.blocks += one.blocks;
        mine.warp_instructions += one.warp_instructions;
        mine.lane_instructions += one.lane_instructions;
      } catch (...) {
        fail(block);
      }
    }
    const std::lock_guard lock(mutex_);
    total_.blocks += mine.blocks;
    total_.warp_instructions += mine.warp_instructions;
    total_.lane_instructions += mine.lane_instructions;
  }

  Statistics result() const {
    if (error_) std::rethrow_exception(error_);
    return total_;
  }

 private:
  void fail(std::uint64_t block) {
    const std::lock_guard lock(mutex_);
    if (block >= failed_.load()) return;
    failed_ = block;
    error_ = std::current_exception();
  }

  const LaunchState& state_;
  std::atomic<std::uint64_t> next_{0}, failed_{~std::uint64_t{0}};
  std::mutex mutex_;
  std::exception_ptr error_;
  Statistics total_;
};

}  // namespace

RegionSpan span_of(const Region& region, std::uint32_t index) {
  RegionSpan span{.base = (std::uint64_t{index} + 1) << region_shift, .writable = region.writable};
  const Extent extent = extent_of(region.view);
  if (region.view.data == nullptr || extent.empty) {
    span.data = static_cast<std::byte*>(region.view.data);
    return span;
  }
  const __int128 bytes = extent.after - extent.before + size_of(region.view.dtype);
  if (bytes > static_cast<__int128>(max_region_bytes))
    throw Error(
        ErrorKind::unsupported,
        fmt::format("'{}' spans more than {} bytes, the most that the host device addresses",
                    region.name, max_region_bytes));
  span.bytes = static_cast<std::uint64_t>(bytes);
  span.data = static_cast<std::byte*>(region.view.data) + static_cast<std::int64_t>(extent.before);
  span.base += reinterpret_cast<std::uintptr_t>(span.data) & alignment_bits;
  return span;
}

void place_regions(LaunchState& state) {
  const Launch& request = *state.request;
  if (request.regions.size() > max_regions)
    throw Error(ErrorKind::unsupported,
                fmt::format("a launch has {} tensors; the host device addresses {}",
                            request.regions.size(), max_regions));
  for (std::uint32_t i = 0; i < request.regions.size(); ++i)
    state.regions.push_back(span_of(request.regions[i], i));
  state.params.assign(request.params.begin(), request.params.end());
  for (const AddressSlot& slot : request.slots) {
    if (slot.region >= state.regions.size() || std::uint64_t{slot.byte} + 8 > state.params.size())
      throw Error(ErrorKind::argument,
                  fmt::format("address slot at byte {} for tensor {} is outside of {} parameter "
                              "bytes and {} tensors",
                              slot.byte, slot.region, state.params.size(), state.regions.size()));
    // An absent tensor stays null: kernels ask for that.
    const Region& region = request.regions[slot.region];
    const std::uint64_t address =
        region.view.data == nullptr ? 0 : first_element(region, state.regions[slot.region]);
    std::memcpy(state.params.data() + slot.byte, &address, sizeof(address));
  }
}

Statistics execute_all(const LaunchState& state,
                       std::vector<std::unique_ptr<Workspace>>& workspaces, int threads) {
  Work work(state);
  while (workspaces.size() < static_cast<std::size_t>(threads))
    workspaces.push_back(std::make_unique<Workspace>());
  {
    std::vector<std::jthread> others;
    try {
      for (int k = 1; k < threads; ++k)
        others.emplace_back(
            [&work, &space = *workspaces[static_cast<std::size_t>(k)]] { work.run(space); });
    } catch (const std::system_error&) {  // as many as the system gives; this thread alone would do
    }
    work.run(*workspaces[0]);
  }
  return work.result();
}

}  // namespace lacuna::runtime::host
