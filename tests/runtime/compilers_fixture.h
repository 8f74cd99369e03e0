#pragma once
#include "runtime/compiler.h"

#include <memory>
#include <string>
#include <vector>

namespace lacuna::test {

/// The compilers of this machine; one that is missing is warned about, and its part of a test does
/// not run.
std::vector<std::shared_ptr<const runtime::Compiler>> compilers();
std::shared_ptr<const runtime::Compiler> nvrtc_or_warn();
std::shared_ptr<const runtime::Compiler> llvm_or_warn();

/// A program around the body of a kernel `check(Params p)` of 64 threads with the fields u64 in,
/// out; s32 a, b; float x.
codegen::Source kernel(const std::string& body);
/// A whole text with an entry `check`.
codegen::Source program(const std::string& text);

runtime::Artifact compile_ptx(const runtime::Compiler& compiler, const codegen::Source& source);

/// Touches every function of templates/prelude.cuh once; each thread writes to its own 512 bytes.
std::string prelude_body();
/// Every row of ops.def once, in its order, each stored to its own 4 bytes of `out` by thread 0.
/// The first operand of a row is a, p.x or a < b; the second b, the float at `in`, or a < 9; the
/// third as the first.
std::string every_operator();

}  // namespace lacuna::test
