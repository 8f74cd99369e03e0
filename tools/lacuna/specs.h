#pragma once
#include "compiler/plan/plan.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace lacuna::tool {

/// Whether --statistic or --lse was given. Throws Error{argument} where --lse was, and rows of the
/// pattern have none.
bool wants_statistic(bool statistic, bool lse, const Pattern& pattern);

/// The flags of a plan that is made for no call in particular, and on no device.
struct SpecFlags {
  std::string shape, dtype = "bf16", output, arch = "sm_90", lengths = "uniform", schedule;
  std::vector<std::string> storage;
  bool statistic = false, lse = false, escort = false, sparsity = false, checked = false;

  void add_to(CLI::App& command);
  Spec spec(const Pattern& pattern) const;
  plan::Plan plan(const Pattern& pattern) const;
};

}  // namespace lacuna::tool
