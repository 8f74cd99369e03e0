#pragma once
#include "runtime/host/check/checks.h"
#include "runtime/host/exec/observer.h"

namespace lacuna::runtime::host {

/// Observers that make the checks; each report is an Error{device} that names the check, the
/// access and the other party.
MakeObserver make_checker(const Checks& checks);

}  // namespace lacuna::runtime::host
