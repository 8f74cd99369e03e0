#include "lacuna/engine.hpp"

#include "runtime/compiler_description.h"
#include "runtime/device.h"
#include "tools/lacuna/command.h"
#include "tools/lacuna/progress.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <thread>

namespace lacuna::tool {
namespace {

struct DoctorFlags {};

struct Findings {
  EngineOptions options;
  runtime::CudaProbe cuda;
  runtime::CompilerDescription nvrtc, llvm;
};

Findings examine() {
  Findings found;
  found.options = EngineOptions::from_environment();
  found.cuda = runtime::probe_cuda();
  found.nvrtc = runtime::describe_nvrtc(found.options.nvrtc_library, found.cuda.driver_version);
  found.llvm = runtime::describe_llvm(found.options.llvm_library);
  return found;
}

/// A problem without the places searched, which are listed on their own.
std::string headline(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  constexpr std::string_view tail = " Searched:";
  if (line.ends_with(tail)) line.resize(line.size() - tail.size());
  return line;
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string indented(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    auto end = std::min(text.find('\n', at), text.size());
    out += "      " + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out;
}

void add_compiler(std::string_view name, const runtime::CompilerDescription& compiler,
                  Report& report) {
  bool usable = compiler.problem.empty();
  Json json = {{"usable", usable},
               {"path", compiler.path},
               {"identity", compiler.identity},
               {"archs", compiler.archs},
               {"trace", compiler.trace}};
  if (!usable) json["problem"] = compiler.problem;
  report.json["compilers"][std::string(name)] = json;
  if (usable) {
    report.text += fmt::format("  {:<9} {} at {}\n", name, compiler.identity, compiler.path);
    if (!compiler.archs.empty())
      report.text += fmt::format("  {:<9} for {}\n", "", fmt::join(compiler.archs, " "));
  } else {
    report.text += fmt::format("  {:<9} missing: {}\n{}", name, headline(compiler.problem),
                               indented(compiler.trace));
  }
}

void add_devices(const Findings& found, Report& report) {
  unsigned threads = found.options.threads > 0 ? static_cast<unsigned>(found.options.threads)
                                               : std::thread::hardware_concurrency();
  report.json["host"] = {{"threads", threads}};
  report.text += fmt::format("  {:<9} {} threads execute PTX\n", "host", threads);
  const runtime::CudaProbe& cuda = found.cuda;
  Json json = {{"usable", cuda.problem.empty()},
               {"library", cuda.library},
               {"driver", version_text(cuda.driver_version)},
               {"gpus", Json::array()},
               {"trace", cuda.trace}};
  if (!cuda.problem.empty()) json["problem"] = cuda.problem;
  for (const auto& gpu : cuda.gpus) {
    json["gpus"].push_back({{"name", gpu.name}, {"arch", gpu.arch.name()}, {"bytes", gpu.memory}});
    report.text += fmt::format("  {:<9} {}, {}, {} GiB\n", "cuda", gpu.name, gpu.arch.name(),
                               gpu.memory >> 30);
  }
  if (!cuda.library.empty()) {
    report.text += fmt::format("  {:<9} {} for CUDA {}\n", "driver", cuda.library,
                               version_text(cuda.driver_version));
  }
  if (!cuda.problem.empty()) {
    report.text += fmt::format("  {:<9} not usable: {}\n", "cuda", headline(cuda.problem));
    if (cuda.library.empty()) report.text += indented(cuda.trace);
  }
  report.json["cuda"] = json;
}

void add_cache(const Findings& found, Report& report) {
  const EngineOptions& options = found.options;
  bool writable = !options.cache_dir.empty();
  if (writable) {
    // What exists of the path decides: the rest would be created.
    auto existing = options.cache_dir;
    std::error_code ignored;
    while (!existing.empty() && existing != existing.root_path() &&
           !std::filesystem::exists(existing, ignored)) {
      existing = existing.parent_path();
    }
    writable = access(existing.c_str(), W_OK) == 0;
  }
  report.json["cache"] = {{"dir", options.cache_dir.string()},
                          {"writable", writable},
                          {"limit_bytes", options.cache_bytes}};
  report.text += fmt::format("  {:<9} {}\n", "cache",
                             options.cache_dir.empty() ? "off: LACUNA_CACHE_DIR is empty"
                             : writable                ? options.cache_dir.string()
                                                       : options.cache_dir.string() +
                                              ", which cannot be written: kernels are compiled "
                                              "in every process");
  for (const auto& dir : options.shared_cache_dirs) {
    report.json["cache"]["shared"].push_back(dir.string());
    report.text += fmt::format("  {:<9} {} (shared, read only)\n", "", dir.string());
  }
}

/// The one command that mends most, or nothing.
std::string remedy(const Findings& found) {
  bool gpu = found.cuda.problem.empty();
  bool nvrtc = found.nvrtc.problem.empty(), llvm = found.llvm.problem.empty();
  if (!llvm && !found.options.llvm_library.empty()) return "unset LACUNA_LLVM";
  if (!nvrtc && !found.options.nvrtc_library.empty()) return "unset LACUNA_NVRTC";
  if (gpu && !nvrtc) {
    // NVRTC 13's cubins need a driver of CUDA 13.
    return found.cuda.driver_version >= 13000 ? "pip install 'nvidia-cuda-nvrtc==13.*'"
                                              : "pip install nvidia-cuda-nvrtc-cu12";
  }
  if (!gpu && !llvm)
    return "scripts/install.sh && scripts/build.sh lacuna  (in Lacuna's source tree)";
  return {};
}

/// What a run takes by default, or why there is none.
void add_verdict(const Findings& found, Report& report) {
  bool usable = true;
  std::string engine;
  try {
    engine = Engine(found.options).description();
  } catch (const Error& error) {
    usable = false;
    engine = headline(error.what());
  }
  std::string mend = remedy(found);
  report.json["usable"] = usable;
  report.json[usable ? "engine" : "problem"] = engine;
  if (!mend.empty()) report.json["mend"] = mend;
  report.exit_code = usable ? exit_ok : exit_failure;
  report.text +=
      usable ? fmt::format("ready: {}\n", engine) : fmt::format("not ready: {}\n", engine);
  if (!mend.empty())
    report.text += fmt::format("{}: {}\n", usable ? "better with" : "mend it with", mend);
}

Report run_doctor(const DoctorFlags&, const Terminal& terminal) {
  Progress progress(terminal);
  progress.say("looking for compilers and devices");
  Findings found = examine();
  Report report;
  report.text = fmt::format("lacuna {}\n", LACUNA_VERSION);
  report.json["version"] = LACUNA_VERSION;
  report.text += "compilers\n";
  add_compiler("nvrtc", found.nvrtc, report);
  add_compiler("llvm", found.llvm, report);
  report.text += "devices\n";
  add_devices(found, report);
  report.text += "directories\n";
  add_cache(found, report);
  add_verdict(found, report);
  return report;
}

}  // namespace

void add_doctor(CLI::App& app, Invocation& invocation) {
  add_command(app, invocation,
              {"doctor", "say what is installed here, what is missing, and what mends it",
               "  lacuna doctor\n  LACUNA_NVRTC=/opt/cuda/lib64/libnvrtc.so lacuna doctor --json",
               "  lacuna check FILE.lac --shape N=131 runs everything once. Exit code 1 says that "
               "nothing can run."},
              std::make_shared<DoctorFlags>(), run_doctor);
}

}  // namespace lacuna::tool
