// cp.async: copies from global to shared memory, made at issue; waits for them are no work.
#include "runtime/host/exec/address.h"
#include "runtime/host/report.h"

namespace lacuna::runtime::host::LACUNA_ISA {
namespace {

constexpr u32 largest = 16;

/// The host addresses that lanes read, each as many bytes as it wants.
LACUNA_INLINE void resolve_sources(const Warp& w, const Instruction& i, u32 lanes,
                                   const u32* wanted, Addresses& a) {
  for (u32 rest = lanes; rest != 0;) {
    const u32 bytes = wanted[first_lane(rest)];
    u32 same = 0;
    LACUNA_LANES same |= wanted[l] == bytes ? lane_bits[l] : 0u;
    same &= rest;
    rest &= ~same;
    if (bytes == 0) continue;  // nothing is read, whatever the address
    if (bytes > i.count)
      report_fault(w, i, first_lane(same), "the copy is told to read more bytes than it writes");
    for (int l : each(bytes < i.count ? same : 0))  // a part must lie where the whole may
      if (a.at[l] % i.count != 0)
        report_access(w, i, l, Window::global, a.at[l], i.count, Use::read);
    Addresses part = a;
    resolve_global(w, i, same, bytes, Use::read, part);
    LACUNA_LANES a.at[l] = lane_in(same, l) ? part.at[l] : a.at[l];
  }
}

/// Reads `bytes` of `size`, zeros after them.
LACUNA_INLINE void copy_element(u64 to, u64 from, u32 bytes, u32 size) {
  alignas(largest) u8 value[largest] = {};
  __builtin_memcpy(value, reinterpret_cast<const void*>(from), bytes);
  __builtin_memcpy(reinterpret_cast<void*>(to), value, size);
}

void copy_async(Warp& w, const Instruction& i) {
  const u32 lanes = executing(w, i);
  if (lanes == 0) return;
  Addresses to, from;
  compute(w, i.src[0], i.short_address, static_cast<u64>(static_cast<s32>(i.immediate)), to);
  resolve<Window::shared>(w, i, lanes, i.count, Use::write, to);
  compute(w, i.src[1], false, static_cast<u64>(i.immediate >> 32), from);
  alignas(64) u32 wanted[warp_size];
  if (i.optional == copies_some) {
    __builtin_memcpy(wanted, slot<u32>(w, i.src[2]), sizeof(wanted));
  } else {
    const u32 ignored = i.optional == copies_unless ? predicate(w, i.src[2]) : 0;
    LACUNA_LANES wanted[l] = lane_in(ignored, l) ? 0u : i.count;
  }
  resolve_sources(w, i, lanes, wanted, from);
  for (int l : each(lanes)) {
    if (wanted[l] == largest)
      __builtin_memcpy(reinterpret_cast<void*>(to.at[l]), reinterpret_cast<const void*>(from.at[l]),
                       largest);
    else
      copy_element(to.at[l], from.at[l], wanted[l], i.count);
  }
}

void nothing(Warp&, const Instruction&) {}

constexpr Row copies(const char* name, u8 least) {
  return {name, copy_async, Shape::copy, Neutral::copy, 0, least};
}

constexpr Row policy(const char* name) {
  return rare(
      name, [](u64 any) -> u64 { return any; }, Shape::policy);
}

constexpr Row rows[] = {
    copies("cp.async.ca.shared.global", 4),
    copies("cp.async.cg.shared.global", 16),
    policy("createpolicy.fractional.L2::evict_first.b64"),
    policy("createpolicy.fractional.L2::evict_last.b64"),
    policy("createpolicy.fractional.L2::evict_normal.b64"),
    policy("createpolicy.fractional.L2::evict_unchanged.b64"),
    {"cp.async.commit_group", nothing},
    {"cp.async.wait_group", nothing, Shape::plain, Neutral::none, 0, 1, {}, {Kind::immediate}},
    {"cp.async.wait_all", nothing},
};

}  // namespace

Rows async_rows() {
  return {rows, sizeof(rows) / sizeof(*rows)};
}

}  // namespace lacuna::runtime::host::LACUNA_ISA
