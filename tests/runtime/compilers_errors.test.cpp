#include "lacuna/error.hpp"

#include "runtime/compiler_description.h"
#include "tests/catch.h"
#include "tests/runtime/compilers_fixture.h"

#include <fmt/format.h>

using namespace lacuna;
using namespace lacuna::runtime;
using namespace lacuna::test;

namespace {

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

template <class Body>
Error error_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing was thrown");
  throw;
}

/// The text is refused, and the next compile is none the worse.
void check_survival(const std::string& text) {
  const auto llvm = llvm_or_warn();
  if (!llvm) return;
  INFO(text);
  const std::string expected = compile_ptx(*llvm, kernel(prelude_body())).payload;
  const Error error = error_of([&] { compile_ptx(*llvm, program(text)); });
  CHECK(error.kind() == ErrorKind::compilation);
  CHECK(has(error.log(), "error: "));
  CHECK(compile_ptx(*llvm, kernel(prelude_body())).payload == expected);
}

}  // namespace

TEST_CASE("a compile error names place and cause, and shows options and numbered source") {
  const codegen::Source source =
      kernel("#line 12 \"local.lac\"\n  store_global(p.out, no_such_name);");
  for (const auto& compiler : compilers()) {
    const Error error = error_of([&] { compile_ptx(*compiler, source); });
    CHECK(error.kind() == ErrorKind::compilation);
    const std::string what = error.what();
    INFO(what);
    CHECK(has(what, fmt::format("{} cannot compile check.cu: local.lac", compiler->name())));
    CHECK(has(what, "no_such_name"));
    CHECK(!has(what, "\n"));
    CHECK(has(
        error.log(),
        "   1| #include \"memory.cuh\"\n   2| #include \"ops.cuh\"\n   3| namespace lacuna {\n"));
    CHECK(has(error.log(), compiler->options(source, {.arch = {80, 0}})));
    // The compiler is as good as new.
    CHECK(compile_ptx(*compiler, kernel("")).log == "");
  }
}

TEST_CASE("an include that is no template is an error, also where a file of that name exists") {
  for (const auto& compiler : compilers()) {
    const Error quoted =
        error_of([&] { compile_ptx(*compiler, program("\n#include \"machine/none.cuh\"\n")); });
    CHECK(quoted.kind() == ErrorKind::compilation);
    CHECK(has(quoted.what(), "source:2: 'machine/none.cuh' is not a file of templates/"));
    for (const char* name : {"<cuda_fp16.h>", "</etc/hostname>", "<math.h>"}) {
      INFO(name);
      const Error bracketed =
          error_of([&] { compile_ptx(*compiler, program(fmt::format("#include {}\n", name))); });
      CHECK(bracketed.kind() == ErrorKind::compilation);
    }
  }
}

TEST_CASE("llvm: a loop that was to be unrolled and is not is an error with its place") {
  const auto llvm = llvm_or_warn();
  if (!llvm) return;
  const Error error = error_of([&] {
    compile_ptx(*llvm, kernel(R"(
  float sum = 0;
#line 30 "rolled.lac"
  LACUNA_UNROLL
  for (s32 i = 0; i < p.a; ++i) {
    sum += p.x;
    if (sum > 3.0f) cta_sync();
  }
  store_global(p.out, sum);)"));
  });
  CHECK(error.kind() == ErrorKind::compilation);
  INFO(error.what());
  CHECK(has(error.what(), "rolled.lac:31:"));
  CHECK(has(error.what(), "loop not unrolled"));
}

TEST_CASE("an architecture that a compiler does not know is named beside those that it does") {
  for (const auto& compiler : compilers()) {
    for (const plan::Arch arch : {plan::Arch{70, 0}, plan::Arch{999, 0}, plan::Arch{80, 'a'}}) {
      const Error error = error_of([&] { compiler->compile(kernel(""), {.arch = arch}); });
      INFO(error.what());
      CHECK(error.kind() == ErrorKind::unsupported);
      CHECK(has(error.what(), arch.name()));
      CHECK(has(error.what(), "sm_90"));
    }
  }
}

TEST_CASE("llvm makes no cubin and says who does") {
  const auto llvm = llvm_or_warn();
  if (!llvm) return;
  const Error error = error_of([&] {
    llvm->compile(kernel(""), {.arch = {80, 0}, .format = Format::cubin});
  });
  CHECK(error.kind() == ErrorKind::unsupported);
  CHECK(has(error.what(), "a cubin comes from nvrtc"));
}

TEST_CASE("llvm survives what its code generator cannot do") {
  check_survival("__attribute__((global)) void check(float* o) { *o = __builtin_exp2f(*o); }");
  check_survival("__attribute__((global)) void check(float* o) { asm(\"\" :: \"Z\"(*o)); }");
  check_survival("__attribute__((global)) void check(int* o) { *o = " + std::string(5000, '('));
}

// What LLVM had allocated when it gave up stays allocated, which LeakSanitizer would report.
#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("llvm survives what LLVM itself calls fatal") {
  check_survival(R"(
extern __attribute__((device)) void* b;
__attribute__((device)) void* a = &b;
__attribute__((device)) void* b = &a;
__attribute__((global)) void check(void** o) { o[0] = a; o[1] = b; })");
}
#endif

TEST_CASE("a library that is missing or foreign is named with the reason") {
  const auto check = [](const Error& error, std::string_view path, std::string_view reason) {
    INFO(error.what());
    CHECK(error.kind() == ErrorKind::unavailable);
    CHECK(has(error.what(), path));
    CHECK(has(error.what(), reason));
  };
  check(error_of([] { open_nvrtc("/nonexistent/libnvrtc.so.13"); }), "/nonexistent/libnvrtc.so.13",
        "No such file");
  check(error_of([] { open_llvm("/nonexistent/liblacuna_llvm.so"); }),
        "/nonexistent/liblacuna_llvm.so", "No such file");
  check(error_of([] { open_nvrtc("libm.so.6"); }), "libm.so.6", "no function nvrtcGetErrorString");
  check(error_of([] { open_llvm("libm.so.6"); }), "libm.so.6", "no function lacuna_llvm_entry");
}

TEST_CASE("what doctor says of a compiler") {
  const CompilerDescription missing = describe_llvm("/nonexistent/x.so");
  CHECK(missing.path == "");
  CHECK(missing.problem != "");
  CHECK(has(missing.trace, "/nonexistent/x.so: "));
  for (const auto& compiler : compilers()) {
    const CompilerDescription found =
        compiler->name() == "nvrtc" ? describe_nvrtc() : describe_llvm();
    CHECK(found.problem == "");
    CHECK(found.identity == compiler->identity());
    CHECK(has(found.path, compiler->name() == "nvrtc" ? "libnvrtc" : "liblacuna_llvm.so"));
    CHECK(std::find(found.archs.begin(), found.archs.end(), "sm_90") != found.archs.end());
  }
}
