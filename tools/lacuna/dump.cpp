#include "tools/lacuna/dump.h"

#include "compiler/base/digest.h"
#include "compiler/plan/explain.h"
#include "tools/lacuna/files.h"
#include "tools/lacuna/npy.h"

#include <fmt/format.h>

namespace lacuna::tool {
namespace fs = std::filesystem;
namespace {

/// As --param takes them.
Json params_json(const Inputs& inputs) {
  Json json = Json::array();
  for (const ParamValue& param : inputs.params) {
    json.push_back(fmt::format("{}={}", param.name, print_literal(param.value)));
  }
  return json;
}

/// Each file with the type that the call had it in: .npy has no bf16.
Json arrays_json(const Inputs& inputs) {
  Json json = Json::object();
  for (auto& [name, array] : inputs.arrays()) json[name] = name_of(array->dtype);
  return json;
}

Json call_json(const DeviceCall& call, const Inputs& inputs, const DumpOrigin& origin) {
  const plan::Plan& plan = call.planned().plan;
  const ir::Pattern& tree = plan.spec.pattern.tree();
  Json json = {{"lacuna", LACUNA_VERSION},
               {"attention", tree.name},
               {"origin", tree.origin},
               {"consts", origin.consts},
               {"params", params_json(inputs)},
               {"arrays", arrays_json(inputs)},
               {"output", name_of(plan.spec.output.value_or(plan.spec.dtype))},
               {"statistic", plan.spec.statistic},
               {"escort", plan.spec.escort},
               {"device", origin.engine.device},
               {"compiler", origin.engine.compiler},
               {"schedule", call.engine().options.schedule},
               {"arch", plan.facts.arch.name()},
               {"variant", call.variant().aligned ? "aligned" : "unaligned"},
               {"device_was", call.engine().device->description()},
               {"compiler_was", call.engine().compiler->identity()}};
  // As text: a JSON number would not bring every float back.
  if (inputs.scale) json["scale"] = fmt::format("{}", *inputs.scale);
  if (inputs.offset) json["offset"] = *inputs.offset;
  return json;
}

}  // namespace

std::string digest_of(std::string_view bytes) {
  return Digest().add("file", bytes).hex();
}

Dump::Dump(fs::path directory) : directory_(std::move(directory)) {
  std::error_code ignored;
  if (!fs::exists(directory_, ignored)) return;
  if (!fs::is_directory(directory_, ignored)) {
    throw Error(ErrorKind::argument, fmt::format("--dump '{}' is a file", directory_.string()));
  }
  if (!fs::is_empty(directory_, ignored) && !fs::exists(directory_ / "call.json", ignored)) {
    throw Error(ErrorKind::argument,
                fmt::format("--dump '{}' holds something else; name an empty or a new directory",
                            directory_.string()));
  }
  // Of an earlier dump nothing may stay that this one does not write.
  for (const char* name :
       {"pattern.lac", "plan.txt", "source.cu", "templates", "options.txt", "kernel.ptx",
        "kernel.cubin", "kernel.ll", "log.txt", "call.json", "inputs", "outputs"}) {
    fs::remove_all(directory_ / name, ignored);
  }
}

void Dump::write(const fs::path& name, std::string_view bytes) const {
  fs::path file = directory_ / name;
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  if (failed) {
    throw Error(ErrorKind::io, fmt::format("{} cannot be created: {}", file.parent_path().string(),
                                           failed.message()));
  }
  write_file(file, bytes);
}

void Dump::before(const DeviceCall& call, const Inputs& inputs, const DumpOrigin& origin) {
  const plan::Plan& plan = call.planned().plan;
  Json record = call_json(call, inputs, origin);
  record["digests"] = Json::object();
  auto write_derived = [&](const std::string& name, std::string_view bytes) {
    write(name, bytes);
    record["digests"][name] = digest_of(bytes);
  };
  auto write_record = [&] { write("call.json", record.dump(2) + "\n"); };
  write_record();
  write_derived("pattern.lac", plan.spec.pattern.tree().source);
  write_derived("plan.txt", plan::explain(plan, call.bound().shape));
  for (auto& [name, array] : inputs.arrays())
    write(fs::path("inputs") / (name + ".npy"), format_npy(*array));
  auto source = codegen::generate(plan, plan.passes.at(0), call.variant());
  write("source.cu", source.text);
  for (const auto& file : codegen::included_templates(source.text)) {
    write_derived("templates/" + std::string(file.name), file.text);
  }
  auto options = runtime::compile_options(call.engine());
  write_derived("options.txt", call.engine().compiler->options(source, options) + "\n");
  write_record();
  options.keep_ir = true;
  auto artifact = call.engine().compiler->compile(source, options);
  write_derived(fmt::format("kernel.{}", runtime::name_of(artifact.format)), artifact.payload);
  if (!artifact.ir.empty()) write_derived("kernel.ll", artifact.ir);
  write_record();
  if (!artifact.log.empty()) write("log.txt", artifact.log);
}

void Dump::after(const Results& results) {
  for (const Output& output : all_outputs) {
    const Array& array = results.*output.array;
    if (array.present()) write(fmt::format("outputs/{}.npy", output.name), format_npy(array));
  }
}

}  // namespace lacuna::tool
