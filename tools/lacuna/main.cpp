#include "lacuna/error.hpp"
#include "lacuna/version.hpp"

#include "compiler/base/diagnostic.h"
#include "tools/lacuna/command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <exception>

namespace lacuna::tool {
namespace {

constexpr std::string_view name_of(ErrorKind kind) {
  constexpr std::string_view names[] = {"pattern",     "argument", "unsupported", "unavailable",
                                        "compilation", "device",   "io"};
  return names[static_cast<int>(kind)];
}

constexpr int exit_code(ErrorKind kind) {
  return kind == ErrorKind::pattern || kind == ErrorKind::argument ? exit_usage : exit_failure;
}

/// The sentence on stderr, and with --json the same as an object on stdout.
int fail(const Invocation& invocation, const Error& error) {
  fmt::print(stderr, "lacuna: {}\n", error.what());
  // Some messages end in their log already.
  if (std::string_view(error.what()).find(error.log()) == std::string_view::npos) {
    fmt::print(stderr, "{}\n", error.log());
  }
  if (invocation.json) {
    Json json = {{"kind", name_of(error.kind())}, {"message", error.what()}};
    if (error.span().line > 0) {
      json["file"] = error.span().file;
      json["line"] = error.span().line;
      json["column"] = error.span().column;
    }
    if (!error.log().empty()) json["log"] = error.log();
    fmt::print("{}\n", Json{{"ok", false}, {"error", json}}.dump(2, ' ', false,
                                                                 Json::error_handler_t::replace));
  }
  return exit_code(error.kind());
}

int perform(const Invocation& invocation) {
  Terminal terminal = Terminal::detect();
  if (invocation.json) terminal.progress = false;
  Report report = invocation.action(terminal);
  if (invocation.json) {
    Json json = {{"ok", report.exit_code == exit_ok}};
    json.update(report.json);
    // A string may hold what a compiler said, in any encoding.
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    std::fwrite(report.text.data(), 1, report.text.size(), stdout);
  }
  if (std::fflush(stdout) != 0) throw Error(ErrorKind::io, "standard output cannot be written");
  return report.exit_code;
}

void describe(CLI::App& app, Invocation& invocation) {
  app.name("lacuna");
  app.get_formatter()->column_width(36);
  app.option_defaults()->always_capture_default(false);
  app.set_version_flag("--version", "lacuna " LACUNA_VERSION, "print the version");
  app.footer(
      "Start with:\n"
      "  lacuna doctor                                     what is installed, and what is missing\n"
      "  lacuna show FILE.lac --shape N=256                see the mask\n"
      "  lacuna check FILE.lac --shape H=4,N=131,D=64      run it on random tensors, compared with "
      "the reference\n"
      "  lacuna run FILE.lac --q q.npy --k k.npy --v v.npy --out DIR\n\n"
      "lacuna COMMAND --help has examples. Exit codes: 0 done, 1 failed (beyond the bound, a "
      "device or compiler\n"
      "failed, something is missing here), 2 a wrong argument or input.");
  add_run(app, invocation);
  add_check(app, invocation);
  add_explain(app, invocation);
  add_show(app, invocation);
  add_compile(app, invocation);
  add_replay(app, invocation);
  add_entmax(app, invocation);
  add_cache(app, invocation);
  add_doctor(app, invocation);
  add_version(app, invocation);
}

CLI::App* chosen(CLI::App& app) {
  CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return command;
}

std::string command_line(const CLI::App& command) {
  if (!command.get_parent()) return command.get_name();
  return command_line(*command.get_parent()) + " " + command.get_name();
}

std::vector<std::string> names_of(CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* sub : command.get_subcommands({})) names.push_back(sub->get_name());
  return names;
}

/// What the parser could not place: a command where none is known yet, else a flag or a word.
std::string unexpected(CLI::App& command, const std::string& word) {
  std::vector<std::string> names;
  bool flag = word.substr(0, 1) == "-";
  if (flag) {
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  } else {
    names = names_of(command);
  }
  std::vector<std::string_view> views(names.begin(), names.end());
  auto near = suggestion(word.substr(0, word.find('=')), views);
  if (!flag && names.empty()) return fmt::format("'{}' is one argument too many", word);
  return fmt::format("'{}' is not a {}{}", word, flag ? "flag" : "command", near);
}

/// The parser's own messages, as sentences: "--q: 1 required F.npy missing", "--q: At Most 1
/// required but received 2".
std::string reworded(const std::string& what) {
  auto colon = what.find(": ");
  if (what.find("required but received") != what.npos)
    return what.substr(0, colon) + " is given twice";
  auto missing = what.find(" required ");
  if (missing != what.npos && what.ends_with(" missing"))
    return what.substr(0, colon) + " needs a value";
  return what;
}

int complain(CLI::App& app, const CLI::ParseError& error) {
  CLI::App* command = chosen(app);
  if (error.get_name() == "CallForVersion") {
    fmt::print("{}\n", error.what());
    return exit_ok;
  }
  if (error.get_name() == "CallForHelp") {
    fmt::print("{}\n",
               command->help(command->get_parent() ? command_line(*command->get_parent()) : ""));
    return exit_ok;
  }
  auto rest = command->remaining(true);
  std::string what = error.what();
  if (!rest.empty()) {
    // A mistyped flag also leaves the right one missing: name the cause.
    what = unexpected(*command, rest.front());
  } else if (!command->get_subcommands({}).empty()) {
    what =
        fmt::format("{} needs one of {}", command->get_name(), fmt::join(names_of(*command), ", "));
  } else {
    what = reworded(what);
  }
  fmt::print(stderr, "lacuna: {}{} {} --help\n", what, what.back() == '?' ? " See" : "; see",
             command_line(*command));
  return exit_usage;
}

int run_command(int argc, char** argv) {
  CLI::App app(
      "Sparse attention, compiled just in time: a line of text says which query sees which key.");
  Invocation invocation;
  describe(app, invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return complain(app, error);
  }
  try {
    if (!invocation.action) {
      throw Error(ErrorKind::argument,
                  "a command is needed, such as 'lacuna doctor'; see lacuna --help");
    }
    return perform(invocation);
  } catch (const Error& error) {
    return fail(invocation, error);
  } catch (const std::bad_alloc&) {
    return fail(invocation, Error(ErrorKind::unsupported,
                                  "this machine has too little memory for these tensors"));
  }
}

}  // namespace
}  // namespace lacuna::tool

int main(int argc, char** argv) {
  return lacuna::tool::run_command(argc, argv);
}
