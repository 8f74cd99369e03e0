#include "runtime/compiler.h"

#include "lacuna/error.hpp"

#include "runtime/compile_failure.h"
#include "runtime/compiler_description.h"
#include "runtime/nvrtc/log.h"
#include "runtime/nvrtc/search.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

namespace lacuna::runtime {
namespace nvrtc {
namespace {

/// One nvrtcProgram: source and templates in, bytes and log out.
class Compilation {
 public:
  Compilation(const Api& api, const codegen::Source& source) : api_(api) {
    std::vector<std::string> names, texts;
    for (const codegen::TemplateFile& file : codegen::included_templates(source.text)) {
      names.emplace_back(file.name);
      texts.emplace_back(file.text);
    }
    const std::vector<const char*> name_pointers = pointers(names), text_pointers = pointers(texts);
    api_.require(
        api_.create(&program_, source.text.c_str(), source.name.c_str(),
                    static_cast<int>(names.size()), text_pointers.data(), name_pointers.data()),
        "nvrtcCreateProgram");
  }
  ~Compilation() { api_.destroy(&program_); }
  Compilation(const Compilation&) = delete;
  Compilation& operator=(const Compilation&) = delete;

  Result run(const std::vector<std::string>& options) {
    const std::vector<const char*> list = pointers(options);
    return api_.compile(program_, static_cast<int>(list.size()), list.data());
  }
  std::string log() const {
    std::string text = read(api_.log_size, api_.log, "nvrtcGetProgramLog");
    return text.substr(0, text.find('\0'));
  }
  std::string payload(Format format) const {
    if (format == Format::cubin) return read(api_.cubin_size, api_.cubin, "nvrtcGetCUBIN");
    const std::string text = read(api_.ptx_size, api_.ptx, "nvrtcGetPTX");
    std::error_code failed;
    return without_directory(std::string_view(text).substr(0, text.find('\0')),
                             std::filesystem::current_path(failed).string());
  }

 private:
  static std::vector<const char*> pointers(const std::vector<std::string>& strings) {
    std::vector<const char*> list;
    for (const std::string& string : strings) list.push_back(string.c_str());
    return list;
  }
  std::string read(Result (*size_of)(Program*, std::size_t*), Result (*get)(Program*, char*),
                   const char* call) const {
    std::size_t size = 0;
    api_.require(size_of(program_, &size), call);
    std::string bytes(size, '\0');
    api_.require(get(program_, bytes.data()), call);
    return bytes;
  }

  const Api& api_;
  Program* program_ = nullptr;
};

std::vector<std::string> option_list(Version version, const CompileOptions& options) {
  // PTX is asked of a virtual architecture, a cubin of a real one.
  const bool cubin = options.format == Format::cubin;
  std::vector<std::string> list = {
      (cubin ? "--gpu-architecture=" : "--gpu-architecture=compute_") +
          options.arch.name().substr(cubin ? 0 : 3),
      "--std=c++17",
      "--fmad=false",
  };
  if (options.line_info) list.push_back("--generate-line-info");
  if (cubin) list.push_back("--ptxas-options=-v");
  // Ours is the cache; and a time that is measured should be that of a compile.
  if (version >= Version{12, 9}) list.push_back("--no-cache");
  if (version >= Version{13, 0}) list.push_back("--minimal");  // no textures: 5 ms less
  return list;
}

std::vector<std::string> arch_names(const std::vector<int>& archs) {
  std::vector<std::string> names;
  for (int arch : archs) names.push_back(fmt::format("sm_{}", arch));
  return names;
}

/// NVRTC tells major and minor; the size of the file tells builds of one version apart well enough
/// for a cache.
std::string identity_of(const Installation& found) {
  std::error_code failed;
  const std::uintmax_t bytes = std::filesystem::file_size(found.api->library.path(), failed);
  return fmt::format("nvrtc {}.{} ({} bytes)", found.version.major, found.version.minor,
                     failed ? 0 : bytes);
}

class NvrtcCompiler final : public Compiler {
 public:
  explicit NvrtcCompiler(Installation found)
      : found_(std::move(found)),
        archs_(found_.api->read_archs()),
        identity_(identity_of(found_)) {}

  std::string_view name() const override { return "nvrtc"; }
  std::string identity() const override { return identity_; }
  std::string options(const codegen::Source&, const CompileOptions& options) const override {
    return fmt::format("{}", fmt::join(option_list(found_.version, options), "\n"));
  }
  Artifact compile(const codegen::Source& source, const CompileOptions& options) const override;

 private:
  [[noreturn]] void refuse(const plan::Arch& arch) const {
    throw Error(
        ErrorKind::unsupported,
        fmt::format("NVRTC {}.{} does not know {}; it compiles for {}", found_.version.major,
                    found_.version.minor, arch.name(), fmt::join(arch_names(archs_), ", ")));
  }
  [[noreturn]] void report(Result result, const codegen::Source& source,
                           const CompileOptions& options, const std::string& log) const;

  Installation found_;
  std::vector<int> archs_;
  std::string identity_;
};

void NvrtcCompiler::report(Result result, const codegen::Source& source,
                           const CompileOptions& options, const std::string& log) const {
  // A suffix that the number does not have (sm_80a) shows only here, as an option that NVRTC's own
  // front end refuses.
  if (log.find("--nv_arch") != log.npos || log.find("--gpu-architecture") != log.npos) {
    refuse(options.arch);
  }
  if (result == Result::builtin_failure) {
    throw Error(ErrorKind::unavailable,
                fmt::format("{} cannot compile: libnvrtc-builtins.so.{}.{}, a part of NVRTC, is "
                            "neither beside it nor "
                            "known to the system loader",
                            found_.api->library.path().string(), found_.version.major,
                            found_.version.minor),
                {}, log);
  }
  throw compile_failure(*this, source, options,
                        log.empty() ? found_.api->error_string(result) : log);
}

Artifact NvrtcCompiler::compile(const codegen::Source& source,
                                const CompileOptions& options) const {
  if (std::find(archs_.begin(), archs_.end(), options.arch.sm) == archs_.end()) {
    refuse(options.arch);
  }
  Compilation compilation(*found_.api, source);
  const Result result = compilation.run(option_list(found_.version, options));
  const std::string log = without_times(compilation.log());
  if (result != Result::success) report(result, source, options, log);
  const Resources resources = parse_resources(log);
  return Artifact{.format = options.format,
                  .payload = compilation.payload(options.format),
                  .entry = source.entry,
                  .arch = options.arch,
                  .threads = source.threads,
                  .shared_bytes = source.shared_bytes,
                  .param_bytes = source.param_bytes,
                  .compiler = identity_,
                  .source = source.text,
                  .log = log,
                  .registers = resources.registers,
                  .spill_stores = resources.spill_stores,
                  .spill_loads = resources.spill_loads};
}

}  // namespace
}  // namespace nvrtc

std::shared_ptr<const Compiler> open_nvrtc(const std::string& library, int driver_version) {
  SearchTrace trace;
  return std::make_shared<nvrtc::NvrtcCompiler>(
      nvrtc::find_installation(library, driver_version, trace));
}

CompilerDescription describe_nvrtc(const std::string& library, int driver_version) {
  CompilerDescription description;
  SearchTrace trace;
  try {
    const nvrtc::Installation found = nvrtc::find_installation(library, driver_version, trace);
    description.path = found.api->library.path().string();
    description.identity = nvrtc::identity_of(found);
    description.builtins = found.builtins.string();
    description.archs = nvrtc::arch_names(found.api->read_archs());
  } catch (const Error& error) {
    description.problem = error.what();
  }
  description.trace = trace.text();
  return description;
}

}  // namespace lacuna::runtime
