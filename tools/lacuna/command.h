#pragma once
#include "tools/lacuna/report.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace lacuna::tool {

/// What the command line asked for.
struct Invocation {
  std::function<Report(const Terminal&)> action;
  bool json = false;
};

/// How a subcommand teaches itself.
struct Lesson {
  std::string_view name, summary;
  std::string_view examples;  ///< one a line, indented by two
  std::string_view next;      ///< what to do with the result
};

/// A subcommand of `app` that runs `run(options)` when it is chosen; `options` holds what its flags
/// are bound to and lives as long as the action.
template <class Options>
CLI::App* add_command(CLI::App& app, Invocation& invocation, const Lesson& lesson,
                      std::shared_ptr<Options> options,
                      Report (*run)(const Options&, const Terminal&)) {
  CLI::App* command = app.add_subcommand(std::string(lesson.name), std::string(lesson.summary));
  command->add_flag("--json", invocation.json, "print one JSON object instead of text");
  command->footer("Examples:\n" + std::string(lesson.examples) + "\nNext:\n" +
                  std::string(lesson.next));
  command->callback([&invocation, options, run] {
    invocation.action = [options, run](const Terminal& terminal) {
      return run(*options, terminal);
    };
  });
  return command;
}

// One per file; in the order of --help.
void add_run(CLI::App& app, Invocation& invocation);
void add_check(CLI::App& app, Invocation& invocation);
void add_explain(CLI::App& app, Invocation& invocation);
void add_show(CLI::App& app, Invocation& invocation);
void add_compile(CLI::App& app, Invocation& invocation);
void add_replay(CLI::App& app, Invocation& invocation);
void add_entmax(CLI::App& app, Invocation& invocation);
void add_cache(CLI::App& app, Invocation& invocation);
void add_doctor(CLI::App& app, Invocation& invocation);
void add_version(CLI::App& app, Invocation& invocation);

}  // namespace lacuna::tool
