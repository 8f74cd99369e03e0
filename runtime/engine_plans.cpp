#include "runtime/engine.h"

namespace lacuna::runtime {
namespace {

/// Equal patterns at different addresses are different keys, so no tree is compared.
bool same_choices(const Spec& a, const Spec& b) {
  return a.dtype == b.dtype && a.head_dim == b.head_dim && a.value_dim == b.value_dim &&
         a.output == b.output && a.statistic == b.statistic && a.escort == b.escort &&
         a.lengths == b.lengths && a.storage == b.storage && a.sparsity == b.sparsity;
}

}  // namespace

std::shared_ptr<const Planned> PlanTable::find_locked(const Spec& spec) const {
  auto [first, last] = plans_.equal_range(&spec.pattern.tree());
  for (; first != last; ++first) {
    if (same_choices(first->second->plan.spec, spec)) return first->second;
  }
  return nullptr;
}

std::shared_ptr<const Planned> PlanTable::find(const Spec& spec) const {
  std::lock_guard lock(mutex_);
  return find_locked(spec);
}

std::shared_ptr<const Planned> PlanTable::insert(std::shared_ptr<const Planned> planned) {
  const Spec& spec = planned->plan.spec;
  std::lock_guard lock(mutex_);
  if (auto earlier = find_locked(spec)) return earlier;
  if (plans_.size() >= capacity) {
    std::erase_if(plans_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  plans_.emplace(&spec.pattern.tree(), planned);
  return planned;
}

std::size_t PlanTable::size() const {
  std::lock_guard lock(mutex_);
  return plans_.size();
}

}  // namespace lacuna::runtime
