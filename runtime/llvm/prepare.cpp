#include "runtime/llvm/prepare.h"

#include <llvm/ADT/StringSet.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Module.h>

namespace lacuna::runtime::llvm_plugin {
namespace {

/// The byval parameter that `call`, an llvm.var.annotation, marks with LACUNA_GRID_CONST; null for
/// any other call.
llvm::Argument* grid_constant_of(llvm::CallBase& call) {
  if (call.getIntrinsicID() != llvm::Intrinsic::var_annotation) return nullptr;
  llvm::StringRef text;
  if (!llvm::getConstantStringInfo(call.getArgOperand(1), text)) return nullptr;
  if (text != "lacuna_grid_constant") return nullptr;
  auto* parameter = llvm::dyn_cast<llvm::Argument>(call.getArgOperand(0)->stripPointerCasts());
  return parameter && parameter->hasByValAttr() ? parameter : nullptr;
}

/// Without this the code generator copies a parameter whose address is taken into local memory. The
/// macro has a const: a marked parameter that the kernel writes would crash the code generator.
void annotate_grid_constants(llvm::Function& kernel, llvm::ArrayRef<llvm::Metadata*> indices) {
  llvm::LLVMContext& context = kernel.getContext();
  kernel.getParent()
      ->getOrInsertNamedMetadata("nvvm.annotations")
      ->addOperand(llvm::MDNode::get(context, {llvm::ConstantAsMetadata::get(&kernel),
                                               llvm::MDString::get(context, "grid_constant"),
                                               llvm::MDNode::get(context, indices)}));
}

void prepare(llvm::Function& function) {
  llvm::SmallVector<llvm::Instruction*> done;
  llvm::SmallVector<llvm::Metadata*> indices;  // 1-based
  llvm::Type* i32 = llvm::Type::getInt32Ty(function.getContext());
  for (llvm::Instruction& instruction : llvm::instructions(function)) {
    auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
    if (!call) continue;
    if (auto* assembly = llvm::dyn_cast<llvm::InlineAsm>(call->getCalledOperand())) {
      // clang marks all asm of CUDA convergent, and then never unrolls the loop around it
      // partially.
      if (is_per_lane(assembly->getAsmString())) call->removeFnAttr(llvm::Attribute::Convergent);
    } else if (llvm::Argument* parameter = grid_constant_of(*call)) {
      indices.push_back(
          llvm::ConstantAsMetadata::get(llvm::ConstantInt::get(i32, parameter->getArgNo() + 1)));
      done.push_back(call);
    }
  }
  for (llvm::Instruction* annotation : done) annotation->eraseFromParent();
  if (!indices.empty()) annotate_grid_constants(function, indices);
}

}  // namespace

bool is_per_lane(llvm::StringRef ptx) {
  static const llvm::StringSet<> opcodes = {
      "abs",  "add", "and", "atom", "bfe",  "bfi",  "brev", "clz", "cp",    "createpolicy", "cvt",
      "cvta", "div", "ex2", "fma",  "ld",   "lg2",  "lop3", "mad", "max",   "min",          "mov",
      "mul",  "neg", "not", "or",   "popc", "prmt", "rcp",  "red", "rsqrt", "selp",         "setp",
      "shf",  "shl", "shr", "sqrt", "st",   "sub",  "tanh", "xor"};
  ptx = ptx.trim();
  const llvm::StringRef opcode = ptx.take_until([](char c) { return c == ' ' || c == '\t'; });
  const bool single = ptx.count(';') == 1 && ptx.ends_with(";");
  return single && opcodes.contains(opcode.split('.').first) && !opcode.contains(".sync");
}

llvm::PreservedAnalyses PreparePass::run(llvm::Module& module, llvm::ModuleAnalysisManager&) {
  for (llvm::Function& function : module) prepare(function);
  return llvm::PreservedAnalyses::none();
}

}  // namespace lacuna::runtime::llvm_plugin
