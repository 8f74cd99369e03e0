#include "tools/lacuna/options.h"

#include "compiler/base/diagnostic.h"
#include "tools/lacuna/arguments.h"
#include "tools/lacuna/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace lacuna::tool {

CLI::Option* add_value(CLI::App& command, const std::string& name, std::string& value,
                       const std::string& metavar, const std::string& help) {
  return command.add_option(name, value, help)->type_name(metavar);
}

void add_repeated(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                  const std::string& metavar, const std::string& help) {
  command.add_option(name, values, help)
      ->type_name(metavar)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

void add_lengths(CLI::App& command, LengthFlags& flags) {
  add_value(command, "--offset", flags.offset, "N|F.npy",
            "q = row + offset, one or one per sequence (default: keys - queries)");
  add_value(command, "--cu-seqlens-q", flags.cu_seqlens_q, "F.npy",
            "packed: where each sequence of Q [1,H,Tq,D] starts, and the end");
  add_value(command, "--cu-seqlens-k", flags.cu_seqlens_k, "F.npy", "the same for K and V");
  add_value(command, "--q-lens", flags.q_lens, "F.npy", "padded: queries of each sequence");
  add_value(command, "--k-lens", flags.k_lens, "F.npy", "padded: keys of each sequence");
}

void PatternFlags::add_to(CLI::App& command) {
  add_value(command, "FILE.lac", file, "", "the pattern's text")->required();
  add_value(command, "--attention", attention, "NAME",
            "which attention of the file (default: the only one)");
  add_repeated(command, "--const", consts, "NAME=X", "another value for a const of the pattern");
}

Pattern PatternFlags::load() const {
  return parse(read_file(file, "FILE.lac"));
}

Pattern PatternFlags::parse(std::string_view text) const {
  Pattern pattern = Pattern::parse(text, file, attention);
  for (const Named& one : parse_named("--const", consts)) {
    std::vector<std::string_view> names;
    const ir::Const* found = nullptr;
    for (const ir::Const& constant : pattern.tree().consts) {
      names.push_back(constant.name);
      if (constant.name == one.name) found = &constant;
    }
    if (!found) {
      throw Error(ErrorKind::argument, fmt::format("{} has no const '{}'{}", pattern.name(),
                                                   one.name, suggestion(one.name, names)));
    }
    // A Literal's alternatives stand in the order of ir::Type.
    auto type = static_cast<ir::Type>(found->value.index());
    pattern = pattern.with_const(
        one.name, parse_literal(fmt::format("const '{}'", one.name), type, one.value));
  }
  return pattern;
}

void EngineFlags::add_to(CLI::App& command) {
  add_value(command, "--device", device, "auto|host|cuda",
            "where to run (default: LACUNA_DEVICE, then a GPU if any)");
  add_value(command, "--compiler", compiler, "auto|nvrtc|llvm",
            "what compiles (default: LACUNA_COMPILER, then nvrtc on cuda and llvm on host)");
  add_value(command, "--schedule", schedule, "128x64w4s2",
            "tiles of queries x keys, warps, stages; decode keeps its own (default: "
            "LACUNA_SCHEDULE, then "
            "what a model of the GPU ranks first)");
  command.add_flag(
      "--check-memory", check_memory,
      "report uninitialised values, races and missing waits; on the host device, slow");
}

EngineOptions EngineFlags::options() const {
  EngineOptions options = EngineOptions::from_environment();
  if (!device.empty()) options.device = parse_device(device);
  if (!compiler.empty()) options.compiler = parse_compiler(compiler);
  if (!schedule.empty()) options.schedule = schedule;
  options.check_memory |= check_memory;
  // A cache that does not work costs every later run its compile time; nothing else says so.
  options.log = [](std::string_view event) {
    if (event.starts_with("cache: ")) fmt::print(stderr, "lacuna: {}\n", event);
  };
  return options;
}

}  // namespace lacuna::tool
