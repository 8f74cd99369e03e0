#pragma once
#include <nlohmann/json.hpp>

#include <functional>
#include <string>

namespace lacuna::tool {

using Json = nlohmann::ordered_json;

enum Exit : int {
  exit_ok = 0,
  exit_failure = 1,  ///< beyond the bound, a device fault, a failed compile, something missing
  exit_usage = 2,    ///< a wrong argument or input
};

/// What a command has to say. Nothing of it is printed before the command has finished.
struct Report {
  std::string text;  ///< for people
  Json json;         ///< with --json
  int exit_code = exit_ok;
};

/// What standard output and error are.
struct Terminal {
  bool colour = false;    ///< stdout is a terminal that takes colours
  bool progress = false;  ///< stderr is a terminal and stdout is not spoken by --json
  int columns = 100;
  static Terminal detect();
};

}  // namespace lacuna::tool
