#pragma once
#include "compiler/plan/plan.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace lacuna::tool {

/// The flags of a plan that is made for no call in particular, and on no device.
struct SpecFlags {
  std::string shape, dtype = "bf16", output, arch = "sm_90", lengths = "uniform", schedule;
  std::vector<std::string> storage;
  bool lse = false, checked = false;

  void add_to(CLI::App& command);
  Spec spec(const Pattern& pattern) const;
  plan::Plan plan(const Pattern& pattern) const;
};

}  // namespace lacuna::tool
