#include "runtime/llvm/plugin.h"

#include "runtime/llvm/compile.h"

#include <pthread.h>

#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace lacuna::runtime::llvm_plugin {
namespace {

lacuna_llvm_text view(const std::string& text) {
  return {text.data(), text.size()};
}

/// A result as the other side sees it, with what it points into.
struct Owned {
  lacuna_llvm_result result{};  // first: the address of one is that of the other
  Compiled compiled;
  std::vector<lacuna_llvm_loop> loops;
  std::vector<std::vector<lacuna_llvm_count>> counts;

  void expose() {
    for (const Loop& loop : compiled.inspection.loops) {
      std::vector<lacuna_llvm_count>& list = counts.emplace_back();
      for (const auto& [name, count] : loop.counts) list.push_back({view(name), count});
      loops.push_back(
          {loop.depth, view(loop.place), view(loop.trip_count), list.data(), list.size()});
    }
    result = {compiled.ok,  view(compiled.log), view(compiled.ptx), view(compiled.inspection.ir),
              loops.data(), loops.size()};
  }
};

struct Job {
  const lacuna_llvm_request* request;
  Compiled* into;
};

void* run_job(void* argument) {
  const Job& job = *static_cast<const Job*>(argument);
  try {
    *job.into = compile(*job.request);
  } catch (const std::exception& error) {
    job.into->log = std::string("error: clang gave up: ") + error.what() + "\n";
  }
  return nullptr;
}

/// Templates nest deeply, and a caller's thread may have a stack of 64 KiB.
constexpr std::size_t stack_bytes = 16u << 20;

void compile_on_deep_stack(const lacuna_llvm_request& request, Compiled& into) {
  Job job{&request, &into};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_bytes);
  pthread_t thread;
  const int refused = pthread_create(&thread, &attributes, run_job, &job);
  pthread_attr_destroy(&attributes);
  if (refused) {
    into.log = "error: no thread with a stack of 16 MiB for the compiler\n";
    return;
  }
  pthread_join(thread, nullptr);
}

const lacuna_llvm_result* compile_request(const lacuna_llvm_request* request) {
  auto owned = std::make_unique<Owned>();
  compile_on_deep_stack(*request, owned->compiled);
  owned->expose();
  return &owned.release()->result;
}

void release_result(const lacuna_llvm_result* result) {
  delete reinterpret_cast<const Owned*>(result);
}

}  // namespace
}  // namespace lacuna::runtime::llvm_plugin

extern "C" __attribute__((visibility("default"))) const lacuna_llvm_table* lacuna_llvm_entry() {
  using namespace lacuna::runtime::llvm_plugin;
  static const std::string identity = clang_identity();
  static const std::string archs = known_archs();
  static const lacuna_llvm_table table = {lacuna_llvm_interface, identity.c_str(), archs.c_str(),
                                          compile_request, release_result};
  return &table;
}
