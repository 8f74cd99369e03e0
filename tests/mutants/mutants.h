#pragma once
#include <span>
#include <string_view>
#include <vector>

namespace lacuna::tests {

/// A bug, seeded into a template: `text`, which stands in `file` exactly once, is replaced.
struct Mutant {
  std::string_view name;
  std::string_view file;   ///< of templates/
  std::string_view shape;  ///< the name of the case that it is run on
  std::string_view text, instead;
  /// Who must notice: "value" (the results of a run without checks), or the check whose report ends
  /// a run, under all checks at the latest.
  std::string_view catcher;
};

/// All of them.
std::vector<Mutant> mutants();
/// Those of the passes of entmax.
std::span<const Mutant> entmax_mutants();

}  // namespace lacuna::tests
