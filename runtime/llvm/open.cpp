#include "lacuna/error.hpp"

#include "runtime/compile_failure.h"
#include "runtime/compiler.h"
#include "runtime/compiler_description.h"
#include "runtime/llvm/arguments.h"
#include "runtime/llvm/plugin.h"
#include "runtime/shared_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>

namespace lacuna::runtime {
namespace llvm_plugin {
namespace {

constexpr const char* file_name = "liblacuna_llvm.so";

// libclang-cpp's symbols have no versions: where another LLVM was loaded with RTLD_GLOBAL, they
// bind to it and dlopen never returns, unless the plug-in's own libraries are asked first.
// AddressSanitizer refuses to load with that flag.
#if defined(__SANITIZE_ADDRESS__)
constexpr int binding = 0;
#else
constexpr int binding = RTLD_DEEPBIND;
#endif

lacuna_llvm_text view(std::string_view text) {
  return {text.data(), text.size()};
}
std::string string(lacuna_llvm_text text) {
  return std::string(text.data, text.size);
}

std::optional<SharedLibrary> search(const std::string& library, SearchTrace& trace) {
  if (!library.empty()) return SharedLibrary::open(library, trace, binding);
  if (const std::filesystem::path own = directory_of_this_library(); !own.empty()) {
    // Beside us, where an installation puts it, and where a build tree does for its tests.
    for (const auto& folder : {own, own.parent_path() / "lib", own.parent_path()}) {
      const std::string file = (folder / file_name).string();
      std::error_code failed;
      if (!std::filesystem::exists(file, failed)) {
        trace.add(file, "no such file");
      } else if (auto opened = SharedLibrary::open(file, trace, binding)) {
        return opened;
      }
    }
  }
  return SharedLibrary::open(file_name, trace, binding);
}

struct Plugin {
  const lacuna_llvm_table* table;
  std::filesystem::path path;
};

Plugin find_plugin(const std::string& library, SearchTrace& trace) {
  const std::optional<SharedLibrary> opened = search(library, trace);
  if (!opened) {
    throw Error(ErrorKind::unavailable,
                fmt::format("the llvm compiler was not found; build {} (needs llvm-19-dev and "
                            "libclang-19-dev) or name it in LACUNA_LLVM. Searched:\n{}",
                            file_name, trace.text()),
                {}, trace.text());
  }
  const lacuna_llvm_table* table =
      opened->function<decltype(lacuna_llvm_entry)>("lacuna_llvm_entry")();
  if (table->interface != lacuna_llvm_interface) {
    throw Error(
        ErrorKind::unavailable,
        fmt::format("{} has interface {}, this library needs {}: they are of different builds",
                    opened->path().string(), table->interface, +lacuna_llvm_interface));
  }
  return {table, opened->path()};
}

std::vector<std::string> arch_names(std::string_view words) {
  std::vector<std::string> names;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    names.emplace_back(words.substr(0, end));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return names;
}

std::vector<LoopMix> loops_of(const lacuna_llvm_result& result) {
  std::vector<LoopMix> loops;
  for (const lacuna_llvm_loop& from : std::span(result.loops, result.loop_count)) {
    LoopMix& loop = loops.emplace_back();
    loop.depth = from.depth;
    loop.place = string(from.place);
    loop.trip_count = string(from.trip_count);
    for (const lacuna_llvm_count& count : std::span(from.counts, from.count_count)) {
      loop.counts.emplace_back(string(count.name), count.count);
    }
  }
  return loops;
}

class LlvmCompiler final : public Compiler {
 public:
  explicit LlvmCompiler(const Plugin& plugin)
      : table_(plugin.table),
        archs_(arch_names(table_->archs)),
        identity_(fmt::format("llvm {}", table_->identity)) {}

  std::string_view name() const override { return "llvm"; }
  std::string identity() const override { return identity_; }
  std::string options(const codegen::Source&, const CompileOptions& options) const override {
    return fmt::format("{}", fmt::join(cc1_arguments(options), "\n"));
  }
  Artifact compile(const codegen::Source& source, const CompileOptions& options) const override;

 private:
  void check(const CompileOptions& options) const;

  const lacuna_llvm_table* table_;
  std::vector<std::string> archs_;
  std::string identity_;
};

void LlvmCompiler::check(const CompileOptions& options) const {
  if (options.format != Format::ptx) {
    throw Error(ErrorKind::unsupported,
                fmt::format("the llvm compiler ends at PTX; a {} comes from nvrtc, or from the "
                            "driver when it loads the PTX",
                            name_of(options.format)));
  }
  const std::string arch = options.arch.name();
  if (std::find(archs_.begin(), archs_.end(), arch) == archs_.end()) {
    throw Error(ErrorKind::unsupported,
                fmt::format("LLVM {} does not know {}; it compiles for {}", table_->identity, arch,
                            fmt::join(archs_, ", ")));
  }
}

Artifact LlvmCompiler::compile(const codegen::Source& source, const CompileOptions& options) const {
  check(options);
  std::vector<lacuna_llvm_file> headers;
  for (const codegen::TemplateFile& file : codegen::included_templates(source.text)) {
    headers.push_back({view(file.name), view(file.text)});
  }
  const std::vector<std::string> list = cc1_arguments(options);
  const std::vector<lacuna_llvm_text> arguments = [&list] {
    std::vector<lacuna_llvm_text> views;
    for (const std::string& argument : list) views.push_back(view(argument));
    return views;
  }();
  const lacuna_llvm_request request = {.main = {view(source.name), view(source.text)},
                                       .headers = headers.data(),
                                       .header_count = headers.size(),
                                       .arguments = arguments.data(),
                                       .argument_count = arguments.size(),
                                       .entry = view(source.entry),
                                       .keep_ir = options.keep_ir};
  const std::unique_ptr<const lacuna_llvm_result, decltype(table_->release)> result(
      table_->compile(&request), table_->release);
  if (!result->ok) {
    throw compile_failure(*this, source, options, string(result->log));
  }
  return Artifact{.format = Format::ptx,
                  .payload = string(result->ptx),
                  .entry = source.entry,
                  .arch = options.arch,
                  .threads = source.threads,
                  .shared_bytes = source.shared_bytes,
                  .param_bytes = source.param_bytes,
                  .compiler = identity_,
                  .source = source.text,
                  .log = string(result->log),
                  .ir = string(result->ir),
                  .loops = loops_of(*result)};
}

}  // namespace
}  // namespace llvm_plugin

std::shared_ptr<const Compiler> open_llvm(const std::string& library) {
  SearchTrace trace;
  return std::make_shared<llvm_plugin::LlvmCompiler>(llvm_plugin::find_plugin(library, trace));
}

CompilerDescription describe_llvm(const std::string& library) {
  CompilerDescription description;
  SearchTrace trace;
  try {
    const llvm_plugin::Plugin plugin = llvm_plugin::find_plugin(library, trace);
    description.path = plugin.path.string();
    description.identity = fmt::format("llvm {}", plugin.table->identity);
    description.archs = llvm_plugin::arch_names(plugin.table->archs);
  } catch (const Error& error) {
    description.problem = error.what();
  }
  description.trace = trace.text();
  return description;
}

}  // namespace lacuna::runtime
