#include "tools/lacuna/dump.h"
#include "tools/lacuna/files.h"
#include "tools/lacuna/npy.h"

#include <fmt/format.h>

#include <map>

namespace lacuna::tool {
namespace fs = std::filesystem;
namespace {

template <class T>
T field(const Json& json, const char* name) {
  try {
    return json.at(name).get<T>();
  } catch (const Json::exception&) {
    throw Error(
        ErrorKind::argument,
        fmt::format("call.json is not what --dump wrote: '{}' is missing or of another type",
                    name));
  }
}

DType dtype_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i) {
    if (name_of(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  }
  throw Error(ErrorKind::argument, fmt::format("call.json: '{}' is no dtype", name));
}

Array read_array(const fs::path& directory, const std::string& name, DType dtype) {
  Array array = read_npy((directory / "inputs" / (name + ".npy")).string(), "dump");
  return array.dtype == dtype ? array : cast(array, dtype);
}

void place_array(const std::string& name, Array array, Inputs& inputs) {
  std::pair<std::string_view, Array*> slots[] = {{"q", &inputs.q},
                                                 {"k", &inputs.k},
                                                 {"v", &inputs.v},
                                                 {"offsets", &inputs.offsets},
                                                 {"q_lens", &inputs.q_lens},
                                                 {"k_lens", &inputs.k_lens},
                                                 {"cu_seqlens_q", &inputs.cu_seqlens_q},
                                                 {"cu_seqlens_k", &inputs.cu_seqlens_k}};
  for (auto& [slot, target] : slots) {
    if (slot == name) {
      *target = std::move(array);
      return;
    }
  }
  constexpr std::string_view prefix = "tensor_";
  if (!name.starts_with(prefix))
    throw Error(ErrorKind::argument, fmt::format("call.json: '{}' is no input of a call", name));
  inputs.tensors.emplace_back(name.substr(prefix.size()), std::move(array));
}

void read_results(const fs::path& directory, Recorded& recorded) {
  for (const Output& output : all_outputs) {
    fs::path file = directory / "outputs" / fmt::format("{}.npy", output.name);
    if (fs::exists(file)) recorded.results.*output.array = read_npy(file.string(), "dump");
  }
}

/// A replay runs source.cu on the recorded call: an edit of anything else would go unnoticed.
void refuse_edits(const fs::path& directory, const std::map<std::string, std::string>& digests) {
  for (auto& [name, digest] : digests) {
    fs::path file = directory / name;
    if (!fs::exists(file) || digest_of(read_file(file, "dump")) == digest) {
      continue;
    }
    throw Error(
        ErrorKind::argument,
        name == "pattern.lac"
            ? fmt::format("'{}' was edited; source.cu belongs to another pattern: use lacuna run",
                          file.string())
            : fmt::format("'{}' was edited; replay runs source.cu: edit that", file.string()));
  }
}

Recorded from_json(const fs::path& directory, const Json& json) {
  if (json.contains("digests"))
    refuse_edits(directory, field<std::map<std::string, std::string>>(json, "digests"));
  Recorded recorded;
  recorded.text = read_file(directory / "pattern.lac", "dump");
  recorded.source = read_file(directory / "source.cu", "dump");
  recorded.origin = field<std::string>(json, "origin");
  recorded.attention = field<std::string>(json, "attention");
  recorded.from.consts = field<std::vector<std::string>>(json, "consts");
  recorded.params = field<std::vector<std::string>>(json, "params");
  recorded.from.engine = {field<std::string>(json, "device"), field<std::string>(json, "compiler")};
  if (json.contains("schedule"))
    recorded.from.engine.schedule = field<std::string>(json, "schedule");
  recorded.output = dtype_named(field<std::string>(json, "output"));
  recorded.statistic = field<bool>(json, "statistic");
  recorded.escort = json.contains("escort") && field<bool>(json, "escort");
  for (auto& [name, dtype] : field<std::map<std::string, std::string>>(json, "arrays")) {
    place_array(name, read_array(directory, name, dtype_named(dtype)), recorded.inputs);
  }
  if (json.contains("scale"))
    recorded.inputs.scale = parse_float("scale", field<std::string>(json, "scale"));
  if (json.contains("offset")) recorded.inputs.offset = field<std::int32_t>(json, "offset");
  read_results(directory, recorded);
  return recorded;
}

}  // namespace

Recorded read_dump(const fs::path& directory) {
  std::string text = read_file(directory / "call.json", "dump");
  try {
    return from_json(directory, Json::parse(text));
  } catch (const Json::parse_error& wrong) {
    throw Error(ErrorKind::argument,
                fmt::format("'{}' is not what --dump wrote: it is not JSON from byte {} on",
                            (directory / "call.json").string(), wrong.byte));
  }
}

}  // namespace lacuna::tool
