#include "runtime/llvm/mix.h"

#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/DebugLoc.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Module.h>
#include <llvm/Support/raw_ostream.h>

#include <map>
#include <string_view>

namespace lacuna::runtime::llvm_plugin {
namespace {

std::string type_name(const llvm::Type& type) {
  if (type.isFloatTy()) return "f32";
  if (type.isDoubleTy()) return "f64";
  if (type.isPointerTy()) return "ptr";
  std::string name;
  llvm::raw_string_ostream(name) << type;
  return name;
}

const char* space_name(unsigned space) {
  switch (space) {
    case 1:
      return "global";
    case 3:
      return "shared";
    case 4:
      return "const";
    case 5:
      return "local";
    case 101:
      return "param";
    default:
      return "generic";
  }
}

/// The state space that an access ends in: pointers are generic until the code generator infers
/// what is found here.
const char* space_of(const llvm::Value& pointer) {
  llvm::SmallVector<const llvm::Value*, 4> objects;
  llvm::getUnderlyingObjects(&pointer, objects, nullptr, /*MaxLookup=*/0);
  const char* common = nullptr;
  for (const llvm::Value* object : objects) {
    const auto* argument = llvm::dyn_cast<llvm::Argument>(object);
    const char* space = argument && argument->hasByValAttr() ? "param"
                        : llvm::isa<llvm::AllocaInst>(object)
                            ? "local"
                            : space_name(object->getType()->getPointerAddressSpace());
    if (common && common != std::string_view(space)) return "generic";
    common = space;
  }
  return common ? common : "generic";
}

/// Of inline asm the PTX opcode with its modifiers, which the prelude writes one an asm.
std::string asm_name(const llvm::InlineAsm& assembly) {
  const llvm::StringRef text = llvm::StringRef(assembly.getAsmString()).ltrim(" \t\n{");
  return text.take_until([](char c) { return c == ' ' || c == ';' || c == '\n'; }).str();
}

/// "" for what costs nothing on the machine.
std::string name_of(const llvm::Instruction& instruction) {
  if (llvm::isa<llvm::PHINode>(instruction) || instruction.isDebugOrPseudoInst() ||
      instruction.isLifetimeStartOrEnd() || llvm::isa<llvm::AssumeInst>(instruction)) {
    return {};
  }
  if (const auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction)) {
    return std::string("load.") + space_of(*load->getPointerOperand());
  }
  if (const auto* store = llvm::dyn_cast<llvm::StoreInst>(&instruction)) {
    return std::string("store.") + space_of(*store->getPointerOperand());
  }
  if (const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction)) {
    if (const auto* assembly = llvm::dyn_cast<llvm::InlineAsm>(call->getCalledOperand())) {
      return asm_name(*assembly);
    }
    return call->getCalledFunction() ? call->getCalledFunction()->getName().str() : "call";
  }
  const std::string opcode = instruction.getOpcodeName();
  if (instruction.getType()->isVoidTy()) return opcode;
  return opcode + "." + type_name(*instruction.getType());
}

std::vector<std::pair<std::string, int>> count(const llvm::Function& function,
                                               const llvm::LoopInfo& loops,
                                               const llvm::Loop* level) {
  std::map<std::string, int> counts;
  for (const llvm::BasicBlock& block : function) {
    if (loops.getLoopFor(&block) != level) continue;
    for (const llvm::Instruction& instruction : block) {
      if (std::string name = name_of(instruction); !name.empty()) ++counts[std::move(name)];
    }
  }
  return {counts.begin(), counts.end()};
}

std::string trip_count(const llvm::Loop& loop, llvm::ScalarEvolution& evolution) {
  const llvm::SCEV* again = evolution.getBackedgeTakenCount(&loop);
  if (llvm::isa<llvm::SCEVCouldNotCompute>(again)) return "unknown";
  std::string text;
  llvm::raw_string_ostream(text) << *evolution.getTripCountFromExitCount(again);
  return text;
}

std::string place_of(const llvm::Loop& loop) {
  const llvm::DebugLoc where = loop.getStartLoc();
  if (!where) return {};
  return where->getFilename().str() + ":" + std::to_string(where.getLine());
}

}  // namespace

llvm::PreservedAnalyses InspectPass::run(llvm::Module& module,
                                         llvm::ModuleAnalysisManager& analyses) {
  llvm::raw_string_ostream(into_->ir) << module;
  llvm::Function* function = module.getFunction(entry_);
  if (!function || function->isDeclaration()) return llvm::PreservedAnalyses::all();
  llvm::FunctionAnalysisManager& per_function =
      analyses.getResult<llvm::FunctionAnalysisManagerModuleProxy>(module).getManager();
  const llvm::LoopInfo& loops = per_function.getResult<llvm::LoopAnalysis>(*function);
  llvm::ScalarEvolution& evolution =
      per_function.getResult<llvm::ScalarEvolutionAnalysis>(*function);
  into_->loops.push_back({0, {}, "1", count(*function, loops, nullptr)});
  for (const llvm::Loop* loop : loops.getLoopsInPreorder()) {
    into_->loops.push_back({static_cast<int>(loop->getLoopDepth()), place_of(*loop),
                            trip_count(*loop, evolution), count(*function, loops, loop)});
  }
  return llvm::PreservedAnalyses::all();
}

}  // namespace lacuna::runtime::llvm_plugin
