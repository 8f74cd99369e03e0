#include "runtime/host/exec/slots.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

namespace lacuna::runtime::host {
namespace {

constexpr std::uint32_t max_slots = 0xffff, max_predicates = no_predicate;

constexpr std::pair<std::string_view, Special> specials[] = {
    {"%tid.x", Special::tid_x},
    {"%tid.y", Special::tid_y},
    {"%tid.z", Special::tid_z},
    {"%ntid.x", Special::ntid_x},
    {"%ntid.y", Special::ntid_y},
    {"%ntid.z", Special::ntid_z},
    {"%ctaid.x", Special::ctaid_x},
    {"%ctaid.y", Special::ctaid_y},
    {"%ctaid.z", Special::ctaid_z},
    {"%nctaid.x", Special::nctaid_x},
    {"%nctaid.y", Special::nctaid_y},
    {"%nctaid.z", Special::nctaid_z},
    {"%laneid", Special::laneid},
    {"%warpid", Special::warpid},
    {"%nwarpid", Special::nwarpid},
    {"%lanemask_eq", Special::lanemask_eq},
    {"%lanemask_lt", Special::lanemask_lt},
    {"%lanemask_le", Special::lanemask_le},
    {"%lanemask_gt", Special::lanemask_gt},
    {"%lanemask_ge", Special::lanemask_ge},
    {"%dynamic_smem_size", Special::dynamic_smem_size},
    {"%total_smem_size", Special::total_smem_size},
};

}  // namespace

bool find_special(std::string_view name, Special& special) {
  for (const auto& [known, value] : specials)
    if (known == name) return special = value, true;
  return false;
}

std::uint16_t Slots::fresh(bool wide) {
  const std::uint32_t slot = program_.slots;
  program_.slots += wide ? 2 : 1;
  if (program_.slots > max_slots)
    throw Error(ErrorKind::unsupported,
                fmt::format("kernel '{}' needs more than {} registers and constants, which is all "
                            "that the host device has",
                            program_.entry, max_slots));
  return static_cast<std::uint16_t>(slot);
}

std::uint16_t Slots::fresh_predicate() {
  if (program_.predicates == max_predicates)
    throw Error(
        ErrorKind::unsupported,
        fmt::format(
            "kernel '{}' needs more than {} predicates, which is all that the host device has",
            program_.entry, max_predicates));
  return static_cast<std::uint16_t>(program_.predicates++);
}

std::uint16_t Slots::constant(std::uint64_t value, bool wide) {
  if (!wide) value &= 0xffffffffu;
  const auto [at, added] = constants_.try_emplace({value, wide});
  if (added) {
    at->second = fresh(wide);
    program_.constants.push_back({at->second, wide, value});
  }
  return at->second;
}

std::uint16_t Slots::dynamic_shared(std::uint64_t offset, bool wide) {
  const auto [at, added] = dynamics_.try_emplace({offset, wide});
  if (added) at->second = fresh(wide);
  return at->second;
}

std::uint16_t Slots::special(Special special) {
  const auto [at, added] = specials_.try_emplace(special);
  if (added) {
    at->second = fresh(false);
    program_.specials.push_back({at->second, special});
  }
  return at->second;
}

std::uint16_t Slots::sink() {
  if (sink_ < 0) sink_ = fresh(true);
  return static_cast<std::uint16_t>(sink_);
}

std::uint16_t Slots::sink_predicate() {
  if (sink_predicate_ < 0) sink_predicate_ = fresh_predicate();
  return static_cast<std::uint16_t>(sink_predicate_);
}

std::uint16_t Slots::false_predicate() {
  if (false_ < 0) program_.false_predicate = false_ = fresh_predicate();
  return static_cast<std::uint16_t>(false_);
}

void Slots::finish(std::uint64_t dynamic_base) {
  for (const auto& [key, slot] : dynamics_) {
    const std::uint64_t value = key.first + dynamic_base;
    program_.constants.push_back({slot, key.second, key.second ? value : value & 0xffffffffu});
  }
}

}  // namespace lacuna::runtime::host
