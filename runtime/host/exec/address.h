// From the addresses of 32 lanes to places in host memory, each checked against what the launch
// allows.
#pragma once
#include "runtime/host/exec/lanes.h"
#include "runtime/host/report.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

/// One address for each lane: first as the kernel computed them, then, resolved, as host pointers.
struct alignas(64) Addresses {
  u64 at[warp_size];
};

LACUNA_INLINE void compute(const Warp& w, u16 from, bool is_short, u64 displacement,
                           Addresses& to) {
  if (is_short) {
    const u32* base = slot<u32>(w, from);
    LACUNA_LANES to.at[l] = base[l] + displacement;
  } else {
    const u64* base = slot<u64>(w, from);
    LACUNA_LANES to.at[l] = base[l] + displacement;
  }
}
LACUNA_INLINE void compute(const Warp& w, const Instruction& i, Addresses& to) {
  compute(w, i.src[0], i.short_address != 0, static_cast<u64>(i.immediate), to);
}

LACUNA_INLINE bool outside(u64 address, u64 base, u64 room, u32 bytes) {
  return (address - base > room) | ((address & (bytes - 1)) != 0);
}

/// Whether a lane's access fails; `room` is the highest offset at which it would not.
LACUNA_INLINE bool any_outside(const Addresses& a, u32 lanes, u64 base, u64 room, u32 bytes) {
  u64 bad = 0;
#pragma omp simd reduction(| : bad)
  for (int l = 0; l < warp_size; ++l)
    bad |= static_cast<u64>(outside(a.at[l], base, room, bytes) & lane_in(lanes, l));
  return bad != 0;
}

inline const RegionSpan* find_region(const Cta& cta, u64 address) {
  const u64 index = address >> region_shift;
  if (index - 1 < cta.region_count) return cta.regions + (index - 1);
  if (index - 1 - first_variable < cta.variable_count)
    return cta.variables + (index - 1 - first_variable);
  return nullptr;
}

inline void resolve_global(const Warp& w, const Instruction& i, u32 lanes, u32 bytes, Use use,
                           Addresses& a) {
  const Cta& cta = *w.cta;
  const RegionSpan* region = find_region(cta, a.at[first_lane(lanes)]);
  if (region != nullptr && region->bytes >= bytes && (use == Use::read || region->writable) &&
      !any_outside(a, lanes, region->base, region->bytes - bytes, bytes)) {
    const u64 shift = reinterpret_cast<u64>(region->data) - region->base;
    LACUNA_LANES a.at[l] += shift;
    return;
  }
  for (int l : each(lanes)) {
    const RegionSpan* own = find_region(cta, a.at[l]);
    if (own == nullptr || own->bytes < bytes || (use != Use::read && !own->writable) ||
        outside(a.at[l], own->base, own->bytes - bytes, bytes))
      report_access(w, i, l, Window::global, a.at[l], bytes, use);
    a.at[l] += reinterpret_cast<u64>(own->data) - own->base;
  }
}

/// A window of `size` bytes that begins at `memory`, or at memory + lane * stride.
inline void resolve_window(const Warp& w, const Instruction& i, u32 lanes, u32 bytes, Use use,
                           Addresses& a, Window window, std::byte* memory, u64 size, u64 stride) {
  const bool forbidden = window == Window::param && use != Use::read;
  if (forbidden || size < bytes || any_outside(a, lanes, 0, size - bytes, bytes)) {
    for (int l : each(lanes)) {
      if (forbidden || size < bytes || outside(a.at[l], 0, size - bytes, bytes))
        report_access(w, i, l, window, a.at[l], bytes, use);
    }
  }
  const u64 base = reinterpret_cast<u64>(memory);
  LACUNA_LANES a.at[l] += base + static_cast<u64>(l) * stride;
}

inline void resolve_tagged(const Warp& w, const Instruction& i, u32 lanes, u32 bytes, Use use,
                           Addresses& a, u64 tag) {
  const Cta& cta = *w.cta;
  switch (tag) {
    case shared_tag:
      return resolve_window(w, i, lanes, bytes, use, a, Window::shared, cta.shared,
                            cta.shared_bytes, 0);
    case local_tag:
      return resolve_window(w, i, lanes, bytes, use, a, Window::local, w.local, cta.local_bytes,
                            cta.local_bytes);
    case param_tag:
      return resolve_window(w, i, lanes, bytes, use, a, Window::param, cta.params, cta.param_bytes,
                            0);
    default:
      return resolve_global(w, i, lanes, bytes, use, a);
  }
}

/// Lanes may point into different windows: each window is resolved for its lanes.
inline void resolve_generic(const Warp& w, const Instruction& i, u32 lanes, u32 bytes, Use use,
                            Addresses& a) {
  for (u32 rest = lanes; rest != 0;) {
    const u64 tag = a.at[first_lane(rest)] >> tag_shift;
    const u64 bits = tag >= shared_tag && tag <= param_tag ? tag << tag_shift : 0;
    u32 same = 0;
    for (int l : each(rest)) same |= (a.at[l] >> tag_shift == tag) ? lane_bits[l] : 0u;
    Addresses part = a;
    LACUNA_LANES part.at[l] = a.at[l] - bits;
    resolve_tagged(w, i, same, bytes, use, part, tag);
    LACUNA_LANES a.at[l] = lane_in(same, l) ? part.at[l] : a.at[l];
    rest &= ~same;
  }
}

template <Window window>
LACUNA_INLINE void resolve(const Warp& w, const Instruction& i, u32 lanes, u32 bytes, Use use,
                           Addresses& a) {
  if constexpr (window == Window::generic)
    resolve_generic(w, i, lanes, bytes, use, a);
  else if constexpr (window == Window::global)
    resolve_global(w, i, lanes, bytes, use, a);
  else
    resolve_tagged(w, i, lanes, bytes, use, a,
                   window == Window::shared  ? shared_tag
                   : window == Window::local ? local_tag
                                             : param_tag);
}

}  // namespace
}  // namespace lacuna::runtime::host::LACUNA_ISA
