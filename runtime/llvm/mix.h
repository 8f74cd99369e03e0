#pragma once
#include <llvm/IR/PassManager.h>

#include <string>
#include <utility>
#include <vector>

namespace lacuna::runtime::llvm_plugin {

/// Static instruction counts of one level of a loop nest, inner loops not included.
struct Loop {
  int depth = 0;  ///< 0: outside of loops
  std::string place, trip_count;
  std::vector<std::pair<std::string, int>> counts;
};

/// What the optimiser made of a module, as text and counted; taken by the last pass before code
/// generation.
struct Inspection {
  std::string ir;
  std::vector<Loop> loops;
};

struct InspectPass : llvm::PassInfoMixin<InspectPass> {
  InspectPass(std::string entry, Inspection& into) : entry_(std::move(entry)), into_(&into) {}
  llvm::PreservedAnalyses run(llvm::Module& module, llvm::ModuleAnalysisManager& analyses);
  static bool isRequired() { return true; }

 private:
  std::string entry_;
  Inspection* into_;
};

}  // namespace lacuna::runtime::llvm_plugin
