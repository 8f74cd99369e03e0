#pragma once
#include <llvm/IR/PassManager.h>

namespace lacuna::runtime::llvm_plugin {

/// The first pass, on the module as clang's front end made it: says to LLVM what clang 19 cannot
/// say.
struct PreparePass : llvm::PassInfoMixin<PreparePass> {
  llvm::PreservedAnalyses run(llvm::Module& module, llvm::ModuleAnalysisManager& analyses);
  static bool isRequired() { return true; }
};

/// Whether an inline asm is one plain PTX instruction that means the same whichever lanes run it
/// together.
bool is_per_lane(llvm::StringRef ptx);

}  // namespace lacuna::runtime::llvm_plugin
