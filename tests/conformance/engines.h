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
/// Without a disk cache, so that what is tested is what was generated now. At least one, or a
/// failure that says what is missing.
const std::vector<TestEngine>& engines();

}  // namespace lacuna::tests
