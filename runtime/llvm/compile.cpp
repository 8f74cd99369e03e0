#include "runtime/llvm/compile.h"

#include "runtime/llvm/diagnostics.h"
#include "runtime/llvm/prepare.h"

#include <clang/Basic/Version.h>
#include <clang/CodeGen/CodeGenAction.h>
#include <clang/Frontend/CompilerInstance.h>
#include <clang/Frontend/CompilerInvocation.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/ErrorHandling.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/VirtualFileSystem.h>
#include <llvm/Support/raw_ostream.h>

#include <memory>
#include <mutex>
#include <stdexcept>

namespace lacuna::runtime::llvm_plugin {
namespace {

thread_local bool compiling = false;

/// report_fatal_error must not return, and exits where its handler does. LLVM's frames have unwind
/// tables but no clean-ups, so an exception passes and leaks what they own: better than ending the
/// process of a framework.
void on_fatal_error(void*, const char* reason, bool) {
  if (compiling) throw std::runtime_error(reason);
  llvm::errs() << "LLVM ERROR: " << reason
               << "\n";  // another user of the same LLVM: what it does by itself
}

void initialize_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    llvm::install_fatal_error_handler(on_fatal_error, nullptr);
  });
}

llvm::StringRef ref(lacuna_llvm_text text) {
  return {text.data, text.size};
}

/// Main file and headers under /src, and nothing else: "#include </etc/hostname>" finds no file.
llvm::IntrusiveRefCntPtr<llvm::vfs::FileSystem> file_system(const lacuna_llvm_request& request) {
  auto files = llvm::makeIntrusiveRefCnt<llvm::vfs::InMemoryFileSystem>();
  files->setCurrentWorkingDirectory("/src");
  const auto add = [&files](const lacuna_llvm_file& file) {
    files->addFile("/src/" + ref(file.name), 0,
                   llvm::MemoryBuffer::getMemBufferCopy(ref(file.text)));
  };
  add(request.main);
  for (const lacuna_llvm_file& header : llvm::ArrayRef(request.headers, request.header_count)) {
    add(header);
  }
  return files;
}

/// One compile and all that it owns, apart from the stack: after a fatal error it is leaked whole,
/// because destructors must not walk structures that LLVM left half-made.
class Compilation {
 public:
  explicit Compilation(const lacuna_llvm_request& request) : request_(request) {}

  Compiled run() {
    Compiled out;
    out.ok = configure() && emit();
    out.log = log_.text();
    if (out.ok) out.ptx = assembly_.str().str();
    out.inspection = std::move(inspection_);
    return out;
  }
  std::string log() const { return log_.text(); }

 private:
  bool configure();
  bool emit();
  void add_passes(llvm::PassBuilder& builder);

  const lacuna_llvm_request& request_;
  DiagnosticLog log_;
  Inspection inspection_;
  llvm::SmallString<0> assembly_;
  llvm::raw_null_ostream nowhere_;
  clang::CompilerInstance clang_;
  clang::EmitAssemblyAction action_;
};

void Compilation::add_passes(llvm::PassBuilder& builder) {
  using Level = llvm::OptimizationLevel;
  builder.registerPipelineStartEPCallback(
      [](llvm::ModulePassManager& passes, Level) { passes.addPass(PreparePass()); });
  if (!request_.keep_ir) return;
  builder.registerOptimizerLastEPCallback([this](llvm::ModulePassManager& passes, Level) {
    passes.addPass(InspectPass(ref(request_.entry).str(), inspection_));
  });
}

bool Compilation::configure() {
  std::vector<std::string> strings;
  for (lacuna_llvm_text argument : llvm::ArrayRef(request_.arguments, request_.argument_count)) {
    strings.push_back(ref(argument).str());
  }
  const std::string main = ref(request_.main.name).str();
  strings.insert(strings.end(), {"-main-file-name", main, "/src/" + main});
  std::vector<const char*> arguments;
  for (const std::string& string : strings) arguments.push_back(string.c_str());

  clang::DiagnosticsEngine diagnostics(llvm::makeIntrusiveRefCnt<clang::DiagnosticIDs>(),
                                       llvm::makeIntrusiveRefCnt<clang::DiagnosticOptions>(), &log_,
                                       /*ShouldOwnClient=*/false);
  auto invocation = std::make_shared<clang::CompilerInvocation>();
  if (!clang::CompilerInvocation::CreateFromArgs(*invocation, arguments, diagnostics)) return false;
  // cc1 expects its process to end, and leaks on purpose.
  invocation->getFrontendOpts().DisableFree = false;
  invocation->getCodeGenOpts().DisableFree = false;
  invocation->getDiagnosticOpts().ShowCarets = 0;  // else "1 error generated." goes to stderr
  invocation->getCodeGenOpts().PassBuilderCallbacks.push_back(
      [this](llvm::PassBuilder& builder) { add_passes(builder); });
  clang_.setInvocation(std::move(invocation));
  clang_.createDiagnostics(&log_, /*ShouldOwnClient=*/false);
  clang_.setVerboseOutputStream(nowhere_);
  clang_.createFileManager(file_system(request_));
  return true;
}

bool Compilation::emit() {
  clang_.setOutputStream(std::make_unique<llvm::raw_svector_ostream>(assembly_));
  return clang_.ExecuteAction(action_) && log_.getNumErrors() == 0;
}

}  // namespace

Compiled compile(const lacuna_llvm_request& request) {
  initialize_once();
  auto compilation = std::make_unique<Compilation>(request);
  compiling = true;
  try {
    Compiled out = compilation->run();
    compiling = false;
    return out;
  } catch (const std::exception& error) {
    compiling = false;
    Compiled out;
    out.log = compilation.release()->log() + "error: clang gave up: " + error.what() + "\n";
    return out;
  }
}

std::string clang_identity() {
  return LLVM_VERSION_STRING " (" + clang::getClangFullVersion() + ")";
}

std::string known_archs() {
  initialize_once();
  std::string problem, names;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget("nvptx64-nvidia-cuda", problem);
  if (!target) return names;
  const std::unique_ptr<llvm::MCSubtargetInfo> subtarget(
      target->createMCSubtargetInfo("nvptx64-nvidia-cuda", "", ""));
  for (const llvm::SubtargetSubTypeKV& processor : subtarget->getAllProcessorDescriptions()) {
    int sm = 0;
    llvm::StringRef rest = processor.Key;
    if (!rest.consume_front("sm_") || rest.consumeInteger(10, sm) || sm < 80) continue;
    if (!names.empty()) names += ' ';
    names += processor.Key;
  }
  return names;
}

}  // namespace lacuna::runtime::llvm_plugin
