#include "tests/catch.h"
#include "tests/runtime/compilers_fixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <thread>

using namespace lacuna;
using namespace lacuna::runtime;
using namespace lacuna::test;

namespace {

/// How often each opcode with its modifiers stands in a PTX text, of those that `kept` accepts.
using Counts = std::map<std::string, int>;
std::string text_of(const Counts& counts) {
  std::string text;
  for (const auto& [opcode, count] : counts) text += fmt::format("{} {}\n", count, opcode);
  return text;
}
Counts opcodes(const std::string& ptx, const std::regex& kept) {
  static const std::regex instruction(R"((?:^|\n)[ \t]*(?:@!?%\w+[ \t]+)?([a-z][a-z0-9_.]*)[ \t])");
  Counts counts;
  for (std::sregex_iterator it(ptx.begin(), ptx.end(), instruction), end; it != end; ++it) {
    const std::string opcode = (*it)[1];
    if (std::regex_match(opcode, kept)) ++counts[opcode];
  }
  return counts;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

}  // namespace

TEST_CASE("both compilers accept every function of the prelude, without a warning") {
  for (const auto& compiler : compilers()) {
    INFO(compiler->identity());
    for (int sm : {80, 90}) {
      const Artifact made = compiler->compile(kernel(prelude_body()), {.arch = {sm, 0}});
      CHECK(made.log == "");
      CHECK(made.arch.sm == sm);
      CHECK(has(made.payload, fmt::format(".target sm_{}", sm)));
      CHECK(has(made.payload, ".entry check("));
      CHECK(made.compiler == compiler->identity());
    }
  }
}

TEST_CASE("both compilers make the same f32 arithmetic and memory accesses of the prelude") {
  const auto nvrtc = nvrtc_or_warn(), llvm = llvm_or_warn();
  if (!nvrtc || !llvm) return;
  const std::string of_nvrtc = compile_ptx(*nvrtc, kernel(prelude_body())).payload;
  const std::string of_llvm = compile_ptx(*llvm, kernel(prelude_body())).payload;
  const std::regex counted(
      R"((add|sub|mul|fma|div|sqrt|rcp|ex2|lg2|max|min|abs)\..*f32|(ld|st)\.global.*|)"
      R"(shfl.*|vote.*|bar.*|cvt\.r..*32\.f32)");
  CHECK(text_of(opcodes(of_nvrtc, counted)) == text_of(opcodes(of_llvm, counted)));
  CHECK(opcodes(of_nvrtc, counted).size() > 30);
  // How often equal conversions are merged differs; which there are does not.
  const std::regex conversion(R"(cvt\..*f16.*)");
  CHECK(opcodes(of_nvrtc, conversion).size() == 5);
  CHECK(opcodes(of_llvm, conversion).size() == 5);
}

TEST_CASE("both compilers accept what the operator table emits") {
  for (const auto& compiler : compilers()) {
    INFO(compiler->identity());
    const Artifact made = compile_ptx(*compiler, kernel(every_operator()));
    CHECK(made.log == "");
    // Sums of products are not contracted, and nothing rounds but to nearest or as its name says.
    const auto found = opcodes(made.payload, std::regex(R"((add|mul|sub|div|sqrt)\..*f32)"));
    for (const auto& [opcode, count] : found) CHECK(has(opcode, ".rn"));
  }
}

TEST_CASE("both compilers accept the generator's sources, and ptxas the file names in them") {
  int sources = 0;
  for (const auto& entry : std::filesystem::directory_iterator("tests/golden")) {
    if (entry.path().extension() != ".cu") continue;
    ++sources;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    for (const auto& compiler : compilers()) {
      INFO(entry.path() << " by " << compiler->identity());
      const std::string ptx = compile_ptx(*compiler, program(text)).payload;
      const std::string_view included = has(text, "tiles/lists.cuh") ? "tiles/lists.cuh"
                                        : has(text, "threshold.cuh") ? "gates.cuh"
                                                                     : "weights/softmax.cuh";
      CHECK(has(ptx, fmt::format("\"{}\"", included)));
      // A folder and a file apart is what clang writes by itself, and ptxas refuses.
      CHECK(!std::regex_search(ptx, std::regex(R"re(\.file[ \t]+\d+[ \t]+"[^"]*"[ \t]+")re")));
    }
  }
  CHECK(sources > 0);
}

TEST_CASE("products and sums are not contracted, and fma_rn is") {
  for (const auto& compiler : compilers()) {
    const std::string ptx =
        compile_ptx(*compiler, kernel("store_global(p.out, p.x * p.x + p.x);")).payload;
    CHECK(has(ptx, "mul.rn.f32"));
    CHECK(!has(ptx, "fma."));
    CHECK(has(compile_ptx(*compiler, kernel("store_global(p.out, fma_rn(p.x, p.x, p.x));")).payload,
              "fma.rn.f32"));
  }
}

TEST_CASE("a parameter whose address is taken is read in place") {
  const std::string body = R"(
  const s32* chosen = p.x > 0 ? &p.a : &p.b;
  store_global(p.out, chosen[thread_index() & 1]);)";
  for (const auto& compiler : compilers()) {
    INFO(compiler->identity());
    CHECK(!has(compile_ptx(*compiler, kernel(body)).payload, ".local"));
  }
}

TEST_CASE("llvm unrolls a loop whose asm means the same for each lane") {
  const auto llvm = llvm_or_warn();
  if (!llvm) return;
  const std::string body = R"(
  float sum = 0;
  for (s32 i = 0; i < p.a; ++i) sum += load_global<float>(p.in + 4 * i);
  store_global(p.out, sum);)";
  const auto loads =
      opcodes(compile_ptx(*llvm, kernel(body)).payload, std::regex("ld.global.nc.f32"));
  CHECK(loads.at("ld.global.nc.f32") >= 4);
}

TEST_CASE("#line leads through .loc to the pattern's file") {
  const std::string body = R"(
#line 41 "local.lac"
  store_global(p.out, p.x * 3.0f);)";
  for (const auto& compiler : compilers()) {
    INFO(compiler->identity());
    const std::string ptx = compile_ptx(*compiler, kernel(body)).payload;
    std::smatch file;
    REQUIRE(std::regex_search(ptx, file, std::regex(R"re(\.file[ \t]+(\d+)[ \t]+"local\.lac")re")));
    CHECK(std::regex_search(ptx, std::regex("\\.loc[ \t]+" + file[1].str() + " 41 ")));
    const Artifact without = compiler->compile(kernel(body), {.arch = {80, 0}, .line_info = false});
    CHECK(!has(without.payload, ".loc"));
  }
}

TEST_CASE("a cubin comes with its registers and spills") {
  const auto nvrtc = nvrtc_or_warn();
  if (!nvrtc) return;
  const CompileOptions options{.arch = {90, 'a'}, .format = Format::cubin};
  const Artifact made = nvrtc->compile(kernel(prelude_body()), options);
  CHECK(made.payload.substr(0, 4) == "\177ELF");
  CHECK(made.registers > 8);
  CHECK(made.registers <= 255);
  CHECK(made.spill_stores == 0);
  CHECK(made.spill_loads == 0);
  CHECK(has(nvrtc->options(kernel(""), options), "--gpu-architecture=sm_90a\n"));
  CHECK(made == nvrtc->compile(kernel(prelude_body()), options));
}

TEST_CASE("llvm counts the instructions of each loop and keeps its IR on request") {
  const auto llvm = llvm_or_warn();
  if (!llvm) return;
  const std::string body = R"(
  float sum = 0;
#line 7 "counted.lac"
  LACUNA_NOUNROLL
  for (s32 i = 0; i < p.a; ++i) sum = fma_rn(sum, p.x, load_global<float>(p.in + 4 * i));
  store_global(p.out, exp2_approx(sum));)";
  const Artifact plain = compile_ptx(*llvm, kernel(body));
  CHECK(plain.ir == "");
  CHECK(plain.loops.empty());
  const Artifact made = llvm->compile(kernel(body), {.arch = {80, 0}, .keep_ir = true});
  CHECK(made.payload == plain.payload);
  CHECK(has(made.ir, "define"));
  REQUIRE(made.loops.size() == 2);
  const auto count = [](const LoopMix& loop, std::string_view name) {
    for (const auto& [key, number] : loop.counts) {
      if (key == name) return number;
    }
    return 0;
  };
  CHECK(made.loops[0].depth == 0);
  CHECK(count(made.loops[0], "ex2.approx.ftz.f32") == 1);
  CHECK(count(made.loops[0], "st.global.f32") == 1);
  CHECK(made.loops[1].depth == 1);
  CHECK(made.loops[1].place == "counted.lac:8");
  CHECK(made.loops[1].trip_count != "unknown");
  CHECK(count(made.loops[1], "ld.global.nc.f32") == 1);
  CHECK(count(made.loops[1], "llvm.fma.f32") == 1);
}

TEST_CASE("threads compile at the same time and get the same text") {
  for (const auto& compiler : compilers()) {
    INFO(compiler->identity());
    const codegen::Source source = kernel(prelude_body());
    const std::string expected = compile_ptx(*compiler, source).payload;
    std::vector<int> wrong(8);
    std::vector<std::thread> threads;
    for (int& mine : wrong) {
      threads.emplace_back([&] {
        for (int i = 0; i < 3; ++i) mine += compile_ptx(*compiler, source).payload != expected;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(std::count(wrong.begin(), wrong.end(), 0) == 8);
  }
}

TEST_CASE("included_templates follows includes and keeps their order") {
  const auto names = [](std::string_view text) {
    std::vector<std::string_view> list;
    for (const codegen::TemplateFile& file : codegen::included_templates(text))
      list.push_back(file.name);
    return list;
  };
  CHECK(names("int x; // #include \"ops.cuh\"\n").empty());
  CHECK(names("#include \"prelude.cuh\"") == std::vector<std::string_view>{"prelude.cuh"});
  std::vector<std::string_view> all = names("  #  include \"ops.cuh\"\r\n");
  CHECK(std::is_sorted(all.begin(), all.end()));
  CHECK(all == std::vector<std::string_view>{"math.cuh", "ops.cuh", "prelude.cuh"});
}
