#include "lacuna/version.hpp"

#include "tools/lacuna/command.h"

#include <fmt/format.h>

namespace lacuna::tool {
namespace {

struct VersionFlags {};

Report run_version(const VersionFlags&, const Terminal&) {
  return {fmt::format("lacuna {}\n", LACUNA_VERSION), {{"version", LACUNA_VERSION}}};
}

}  // namespace

void add_version(CLI::App& app, Invocation& invocation) {
  add_command(app, invocation,
              {"version", "print the version", "  lacuna version --json",
               "  lacuna doctor has the versions of the rest"},
              std::make_shared<VersionFlags>(), run_version);
}

}  // namespace lacuna::tool
