#include "runtime/host/describe.h"

#include "runtime/device.h"
#include "runtime/host/exec/cta.h"
#include "runtime/host/exec/launch.h"
#include "runtime/host/exec/program.h"
#include "runtime/host/exec/warp.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::runtime::host {
namespace {

/// Addresses this far below a region are taken for its underrun rather than for another region's
/// overrun.
constexpr std::int64_t half_region = std::int64_t{1} << (region_shift - 1);

/// Axes from the largest stride to the smallest; those of one element or without stride say
/// nothing.
std::vector<int> axes_by_stride(const TensorView& view) {
  std::vector<int> axes;
  for (int axis = 0; axis < view.rank; ++axis)
    if (view.strides[axis] != 0 && view.shape[axis] > 1) axes.push_back(axis);
  std::stable_sort(axes.begin(), axes.end(), [&](int a, int b) {
    return std::abs(view.strides[a]) > std::abs(view.strides[b]);
  });
  return axes;
}

/// The index of an element at `offset` elements above the lowest one. Outer axes stay inside their
/// extent, so that an overrun shows in the axis of rows, where kernels make it.
std::string element_index(const TensorView& view, std::int64_t offset) {
  std::array<std::int64_t, max_rank> index{};
  const std::vector<int> axes = axes_by_stride(view);
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const int axis = axes[k];
    const std::int64_t stride = std::abs(view.strides[axis]);
    std::int64_t steps = offset / stride;
    const bool last_two = k + 2 >= axes.size();
    if (!last_two) steps = std::min(steps, view.shape[axis] - 1);
    offset -= steps * stride;
    index[axis] = view.strides[axis] > 0 ? steps : view.shape[axis] - 1 - steps;
  }
  std::string text;
  for (int axis = 0; axis < view.rank; ++axis)
    text += fmt::format("{}{}", axis == 0 ? "" : ",", index[axis]);
  return text;
}

std::string shape_of(const Region& region) {
  std::string text;
  for (int axis = 0; axis < region.view.rank; ++axis)
    text += fmt::format("{}{}", axis == 0 ? "" : ",", region.view.shape[axis]);
  return fmt::format("{} [{}]", lacuna::name_of(region.view.dtype), text);
}

std::string absent_regions(const LaunchState& state) {
  std::string names;
  for (const Region& region : state.request->regions)
    if (region.view.data == nullptr)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", region.name);
  return names.empty() ? "" : fmt::format("; absent tensors: {}", names);
}

/// What a global address means: a tensor, a module variable, or nothing.
std::string describe_global(const Cta& cta, std::uint64_t address, std::uint32_t bytes) {
  const LaunchState& state = *cta.launch;
  const std::uint64_t nearest = (address + static_cast<std::uint64_t>(half_region)) >> region_shift;
  if (nearest - 1 < cta.region_count) {
    const RegionSpan& span = cta.regions[nearest - 1];
    const auto offset = static_cast<std::int64_t>(address - span.base);
    const Region& region = state.request->regions[nearest - 1];
    std::string text = describe_element(region, span, offset);
    const std::int64_t end = offset + bytes;
    if (offset < 0)
      text += fmt::format(", {} before the start of {}",
                          count_of(static_cast<std::uint64_t>(-offset), "byte"), region.name);
    else if (end > static_cast<std::int64_t>(span.bytes))
      text += fmt::format(
          ", {} past the end of {}",
          count_of(static_cast<std::uint64_t>(end - static_cast<std::int64_t>(span.bytes)), "byte"),
          region.name);
    return fmt::format("{} ({})", text, shape_of(region));
  }
  if (nearest - first_variable - 1 < cta.variable_count) {
    const std::uint64_t which = nearest - first_variable - 1;
    const auto offset = static_cast<std::int64_t>(address - cta.variables[which].base);
    return fmt::format("byte {} of the variable '{}' of {}", offset,
                       cta.program->statics[which].name,
                       count_of(cta.variables[which].bytes, "byte"));
  }
  const std::uint64_t tag = address >> tag_shift;
  if (tag >= shared_tag && tag <= param_tag)
    return fmt::format("address {:#x}, a generic address of {} memory", address,
                       tag == shared_tag  ? "shared"
                       : tag == local_tag ? "local"
                                          : "parameter");
  if (address < (std::uint64_t{1} << region_shift))
    return fmt::format("address {:#x}, a null pointer{}", address, absent_regions(state));
  return fmt::format("address {:#x}, which belongs to nothing", address);
}

std::string describe_window(const Cta& cta, Window window, std::uint64_t address,
                            std::uint32_t bytes) {
  const std::uint64_t size = window == Window::shared  ? cta.shared_bytes
                             : window == Window::local ? cta.local_bytes
                                                       : cta.param_bytes;
  const auto offset = static_cast<std::int64_t>(address);
  const std::int64_t past = offset + bytes - static_cast<std::int64_t>(size);
  std::string text = fmt::format("byte {}", offset);
  if (offset < 0)
    text +=
        fmt::format(", {} before the start", count_of(static_cast<std::uint64_t>(-offset), "byte"));
  else if (past > 0)
    text += fmt::format(", {} past the end", count_of(static_cast<std::uint64_t>(past), "byte"));
  return fmt::format("{} of the {} of {} memory", text, count_of(size, "byte"),
                     name_of_window(window));
}

}  // namespace

std::string_view name_of_window(Window window) {
  switch (window) {
    case Window::shared:
      return "shared";
    case Window::local:
      return "local";
    case Window::param:
      return "parameter";
    default:
      return "global";
  }
}

std::string count_of(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string describe_lanes(std::uint32_t mask) {
  std::string text;
  for (int lane = 0; lane < warp_size; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    int last = lane;
    while (last + 1 < warp_size && (mask >> (last + 1) & 1) != 0) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",",
                        last == lane ? fmt::format("{}", lane) : fmt::format("{}-{}", lane, last));
    lane = last;
  }
  return text;
}

std::string describe_element(const Region& region, const RegionSpan& span, std::int64_t offset) {
  if (offset < 0 || region.view.rank == 0 || span.bytes == 0) return std::string(region.name);
  return fmt::format("{}[{}]", region.name,
                     element_index(region.view, offset / size_of(region.view.dtype)));
}

bool is_inside(const Cta& cta, Window window, std::uint64_t address, std::uint32_t bytes) {
  const auto fits = [&](std::uint64_t offset, std::uint64_t size) {
    return bytes <= size && offset <= size - bytes;
  };
  if (window == Window::shared) return fits(address, cta.shared_bytes);
  if (window == Window::local) return fits(address, cta.local_bytes);
  if (window == Window::param) return fits(address, cta.param_bytes);
  const std::uint64_t index = address >> region_shift;
  if (index - 1 < cta.region_count)
    return fits(address - cta.regions[index - 1].base, cta.regions[index - 1].bytes);
  if (index - first_variable - 1 < cta.variable_count)
    return fits(address - cta.variables[index - first_variable - 1].base,
                cta.variables[index - first_variable - 1].bytes);
  return false;
}

std::string describe_address(const Cta& cta, Window window, std::uint64_t address,
                             std::uint32_t bytes) {
  return window == Window::global ? describe_global(cta, address, bytes)
                                  : describe_window(cta, window, address, bytes);
}

}  // namespace lacuna::runtime::host
