#include "compiler/codegen/generate.h"
#include "templates/abi.h"
#include "tests/catch.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace {

using namespace lacuna;

codegen::Source source_of(const std::string& text, Spec spec, bool checked, std::size_t pass) {
  spec.pattern = Pattern::parse(text, "golden.lac");
  const plan::Plan plan = plan::plan(spec, {.arch = {80}, .checked = checked});
  return codegen::generate(plan, plan.passes.at(pass), plan.variants[0]);
}

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("generated source of a few patterns, and of each route, is as recorded") {
  struct Golden {
    std::string name, text;
    Spec spec;
    bool checked;
    std::size_t pass = 0;
  };
  const Spec spec{
      .pattern = Pattern::parse("attention x { }"), .dtype = DType::f16, .output = DType::f32};
  Spec packed = spec;
  packed.lengths = Lengths::packed;
  packed.statistic = true;
  const Golden goldens[] = {
      {"causal", "attention causal_attention {\n  mask causal\n}\n", spec, false},
      {"window",
       "attention local {\n  param reach: i32 = 128\n  mask causal\n  mask window(reach) or k < "
       "4\n}\n",
       spec, false},
      {"document",
       "attention docs {\n  tensor id: i32[batch, key]\n  mask causal and document(id)\n}\n",
       packed, false},
      {"scores",
       "attention scored {\n  tensor slope: f32[head]\n  mask causal\n  score softcap(score, 30.0) "
       "- slope[h] * (q - k)\n"
       "  weights softmax(sink = 0.5)\n}\n",
       spec, false},
      {"guarded",
       "attention guarded {\n  param n: i32\n  tensor t: i32[key]\n  mask k < n and t[k + 1] > "
       "0\n}\n",
       spec, true},
      {"decode_split",
       "attention decode {\n  tensor slope: f32[head]\n  mask causal\n  score score - "
       "slope[h]\n}\n",
       spec, false, 1},
      {"decode_combine",
       "attention decode {\n  param s: f32\n  mask causal\n  weights softmax(sink = s)\n}\n",
       packed, false, 2},
      {"tile_lists",
       "attention docs {\n  tensor id: i32[batch, key]\n  mask causal and document(id)\n}\n",
       packed, false, 3},
      {"listed",
       "attention blocks {\n  tensor t: bool[head, _, _]\n  mask t[h, q // 64, k // 64]\n}\n", spec,
       false, 4},
      {"listed_score",
       "attention kept {\n  tensor id: i32[batch, key]\n  tensor gain: f32[batch, key]\n"
       "  mask document(id)\n  score score * gain[b, k] + f32(id[b, q])\n}\n",
       spec, false, 4},
      {"unscored",
       "attention capped {\n  param cap: f32\n  tensor gain: f32[head]\n  mask causal\n"
       "  score softcap(score, cap) * gain[h] + 0.25 * f32(q)\n  weights entmax(1.5)\n}\n",
       spec, false},
  };
  const std::filesystem::path folder = "tests/golden";
  for (const Golden& g : goldens) {
    INFO(g.name);
    const codegen::Source source = source_of(g.text, g.spec, g.checked, g.pass);
    const std::filesystem::path file = folder / (g.name + ".cu");
    if (std::getenv("LACUNA_UPDATE_GOLDEN")) std::ofstream(file) << source.text;
    CHECK(source.text == read_file(file));
    CHECK(std::count(source.text.begin(), source.text.end(), '\n') < 80);
  }
}

TEST_CASE("FULL tiles read what the score needs, and nothing else") {
  const auto source = [](const std::string& body) {
    return source_of("attention a {\n  tensor id: i32[batch, key]\n" + body + "}\n",
                     {.pattern = Pattern::parse("attention x { }"), .dtype = DType::f16}, false, 4)
        .text;
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  const std::string apart = source("  mask document(id)\n  score score - f32(id[b, k + 1])\n");
  CHECK(has(apart, "return {full ? s32() : row_value_0(p, at, q)};"));
  CHECK(has(apart, "return {full ? s32() : key_value_0(p, at, k), key_value_1(p, at, k)};"));
  // A value that both need, below what they make of it: of the mask an equality, of the score a
  // sum.
  const std::string both = source("  mask document(id)\n  score score - f32(id[b, k] + q)\n");
  CHECK(has(both, "return {full ? s32() : row_value_0(p, at, q)};"));
  CHECK(has(both, "return {key_value_0(p, at, k)};"));
}

TEST_CASE("the parameter block: call, params on 8 bytes, tensors") {
  const Pattern none = Pattern::parse("attention x { }");
  CHECK(codegen::param_layout(none.tree()).bytes == sizeof(CallArg));
  const Pattern some = Pattern::parse(
      "attention x { param x: i32\n param y: f32\n param z: bool\n tensor t: f32[key]\n }");
  const codegen::ParamLayout layout = codegen::param_layout(some.tree());
  CHECK(layout.params_at == sizeof(CallArg));
  CHECK(layout.tensors_at == sizeof(CallArg) + 16);
  CHECK(layout.bytes == sizeof(CallArg) + 16 + sizeof(TensorArg));
}

TEST_CASE("equal plans give equal text, and the entry names plan and variant") {
  const Spec spec{.pattern = Pattern::parse("attention x { mask causal }")};
  const plan::Plan plan = plan::plan(spec, {.arch = {90}});
  const codegen::Source a = codegen::generate(plan, plan.passes[0], {true});
  const codegen::Source b = codegen::generate(plan, plan.passes[0], {false});
  CHECK(a == codegen::generate(plan, plan.passes[0], {true}));
  CHECK(a.entry != b.entry);
  CHECK(a.text.find(a.entry) != std::string::npos);
  CHECK(a.text.find(plan.digest.substr(0, 16)) != std::string::npos);
}
