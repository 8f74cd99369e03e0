#pragma once
#include "runtime/host/check/checks.h"
#include "runtime/host/exec/observer.h"

#include <atomic>
#include <memory>

namespace lacuna::runtime::host {

/// Observers that make the checks; each report is an Error{device} that names the check, the
/// access and the other party.
/// `atomics`, where given, becomes true where the kernel uses some.
MakeObserver make_checker(const Checks& checks,
                          std::shared_ptr<std::atomic<bool>> atomics = nullptr);

}  // namespace lacuna::runtime::host
