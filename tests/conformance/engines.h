#pragma once
#include "runtime/engine.h"

#include <string>
#include <vector>

namespace lacuna::tests {

/// An engine that conformance runs on, with the name of its compiler and device.
struct TestEngine {
  std::string name;
  std::shared_ptr<EngineState> state;
};

/// Every pairing that this machine offers: host with each compiler, or what LACUNA_DEVICE names.
/// Each twice: with the checks that the host device and `validate` have, and with the code that a
/// GPU runs otherwise. Without a disk cache, so that what is tested is what was generated now.
/// Fails, and says what is missing, where there is none.
const std::vector<TestEngine>& engines();
/// The host device under all checks of memory, with each compiler.
const std::vector<TestEngine>& checking_engines();

}  // namespace lacuna::tests
