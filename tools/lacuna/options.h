#pragma once
#include "lacuna/engine.hpp"

#include "tools/lacuna/inputs.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace lacuna::tool {

/// FILE.lac [--attention NAME] [--const NAME=X]...
struct PatternFlags {
  std::string file, attention;
  std::vector<std::string> consts;

  void add_to(CLI::App& command);
  /// Throws Error{pattern} as the parser does, Error{argument} for a file or a const.
  Pattern load() const;
  /// The same for a text that stands in for the file.
  Pattern parse(std::string_view text) const;
};

/// --device, --compiler, --schedule and --check-memory over what the environment says.
struct EngineFlags {
  std::string device, compiler, schedule;
  bool check_memory = false;

  void add_to(CLI::App& command);
  EngineOptions options() const;
};

/// --offset, --cu-seqlens-q, --cu-seqlens-k, --q-lens and --k-lens.
void add_lengths(CLI::App& command, LengthFlags& flags);

/// A flag that may be given several times, one value each.
void add_repeated(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                  const std::string& metavar, const std::string& help);
/// A flag with one value, shown as `name metavar`.
CLI::Option* add_value(CLI::App& command, const std::string& name, std::string& value,
                       const std::string& metavar, const std::string& help);

}  // namespace lacuna::tool
