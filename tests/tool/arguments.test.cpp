#include "tests/catch.h"
#include "tests/tool/command.h"
#include "tests/tool/tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <sstream>

using namespace lacuna::test;
using lacuna::DType;

namespace {

/// The words of a line; @/ stands for the folder.
std::vector<std::string> words_of(const std::string& line, const Folder& folder) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) {
    for (auto at = word.find("@/"); at != word.npos; at = word.find("@/")) {
      word.replace(at, 2, folder.path().string() + "/");
    }
    words.push_back(word);
  }
  return words;
}

/// A folder with patterns and tensors that rows below are wrong about.
void furnish(const Folder& folder) {
  folder.write("causal.lac", "attention a {\n  mask causal\n}\n");
  folder.write("two.lac", "attention a { mask causal }\nattention b { mask window(4) }\n");
  folder.write(
      "reach.lac",
      "attention near {\n  param reach: i32\n  param bias: f32 = 0.5\n  param on: bool = true\n"
      "  const first = 4\n  tensor doc: i32[batch, key]\n  mask window(reach) and on or k < first\n"
      "  mask document(doc)\n  score score + bias\n}\n");
  folder.write("wrong.lac", "attention a {\n  mask causal\n  mask windw(4)\n}\n");
  folder.write("entmax.lac", "attention a { weights entmax(1.5) }\n");
  folder.write("bias.lac", "attention a { tensor bias: f32[_, _] score score + bias[q, k] }\n");
  folder.write("empty", "");
  random_file(folder, "q.npy", {1, 2, 5, 16}, 1);
  random_file(folder, "k.npy", {1, 2, 7, 16}, 2);
  random_file(folder, "v.npy", {1, 2, 7, 8}, 3);
  random_file(folder, "k16.npy", {1, 2, 7, 16}, 2, DType::f16);
  random_file(folder, "k3.npy", {1, 3, 7, 16}, 2);
  random_file(folder, "kd.npy", {1, 2, 7, 24}, 2);
  random_file(folder, "v6.npy", {1, 2, 6, 8}, 2);
  random_file(folder, "flat.npy", {2, 5, 16}, 2);
  random_file(folder, "odd.npy", {1, 2, 5, 17}, 2);
  integer_file(folder, "ids.npy", DType::i32, {1, 7}, {0, 0, 0, 1, 1, 1, 1});
  integer_file(folder, "short.npy", DType::i32, {1, 6}, {0, 0, 0, 1, 1, 1});
  integer_file(folder, "lens.npy", DType::i64, {1}, {9});
  integer_file(folder, "long.npy", DType::i64, {1}, {std::int64_t{1} << 40});
}

struct Mistake {
  const char* line;
  int code;
  const char* said;
};

const Mistake mistakes[] = {
    {"", 2, "a command is needed"},
    {"rnu", 2, "'rnu' is not a command; did you mean 'run'?"},
    {"frobnicate", 2, "'frobnicate' is not a command"},
    {"cache", 2, "cache needs one of list, clear, verify, path"},
    {"cache lst", 2, "did you mean 'list'?"},
    {"version now", 2, "'now' is one argument too many"},
    {"show", 2, "FILE.lac is required"},
    {"show @/causal.lac", 2, "--shape needs Nq"},
    {"show @/causal.lac --shap N=3", 2, "'--shap' is not a flag; did you mean '--shape'?"},
    {"show @/causal.lac --shape", 2, "--shape needs a value"},
    {"show @/causal.lac --shape N=3 --shape N=4", 2, "--shape is given twice"},
    {"show @/causal.lac --shape D=8", 2, "--shape needs Nq"},
    {"show @/causal.lac --shape Nq=-1", 2, "'Nq=-1' is not a count"},
    {"show @/causal.lac --shape N=3,N=4", 2, "N is given twice"},
    {"show @/causal.lac --shape M=3", 2, "'M=3' is not one of B=N, H=N"},
    {"show @/causal.lac --shape N=99999999999", 2, "is not a count from 0 to 2147483647"},
    {"show @/causal.lac --shape N=100000", 2, "are too many to draw; at most 268435456"},
    {"show @/causal.lac --shape N=3,H=2 --head 2", 2, "--head 2 is not one of 0 to 1"},
    {"show @/causal.lac --shape N=3,H=4,G=3", 2, "heads"},
    {"show @/causal.lac --shape N=3 --color blue", 2,
     "--color 'blue' is not one of auto, always, never"},
    {"show @/causal.lac --shape N=3 --arch sm_70", 1, "sm_70"},
    {"show @/causal.lac --shape N=3 --arch fermi", 2, "fermi"},
    {"show @/missing.lac --shape N=3", 2, "missing.lac' cannot be read: No such file or directory"},
    {"show @/. --shape N=3", 2, "it is a directory"},
    {"show @/two.lac --shape N=3", 2, "two.lac"},
    {"show @/two.lac --attention c --shape N=3", 2, "'c'"},
    {"show @/wrong.lac --shape N=3", 2,
     "wrong.lac:3:8: 'windw' is not defined; did you mean 'window'?"},
    {"show @/empty --shape N=3", 2, "empty"},
    {"show @/reach.lac --shape N=3", 2,
     "param 'reach' of near has no default: pass --param reach=<i32>"},
    {"show @/reach.lac --shape N=3 --param reech=3", 2,
     "near has no param 'reech'; did you mean 'reach'?"},
    {"show @/reach.lac --shape N=3 --param first=3", 2, "'first' is a const of near"},
    {"show @/reach.lac --shape N=3 --param reach=3.5", 2,
     "param 'reach' is i32, and '3.5' is not an integer"},
    {"show @/reach.lac --shape N=3 --param reach=3000000000", 2,
     "is i32, and 3000000000 does not fit"},
    {"show @/reach.lac --shape N=3 --param reach=3 --param on=yes", 2,
     "is bool, and 'yes' is neither true nor false"},
    {"show @/reach.lac --shape N=3 --param reach=3 --param bias=x", 2,
     "is f32, and 'x' is not a number"},
    {"show @/reach.lac --shape N=3 --param reach", 2, "'reach' is not NAME=VALUE"},
    {"show @/reach.lac --shape N=3 --param reach=3 --param reach=4", 2,
     "--param reach is given twice"},
    {"show @/reach.lac --shape N=3 --const fist=3", 2,
     "near has no const 'fist'; did you mean 'first'?"},
    {"show @/reach.lac --shape N=3 --const first=x", 2, "const 'first' is i32"},
    {"show @/reach.lac --shape N=3 --param reach=3 --tensor dok=x", 2,
     "has no tensor 'dok'; did you mean 'doc'?"},
    {"show @/reach.lac --shape N=3 --param reach=3 --axis dok=4", 2, "has no tensor 'dok'"},
    {"show @/reach.lac --shape N=3 --param reach=3 --axis doc=4", 2,
     "the tensor has 0 axes written _"},
    {"show @/reach.lac --shape N=7 --param reach=3 --tensor doc=@/short.npy", 2, "doc"},
    {"check @/causal.lac --shape N=3 --dtype f64", 2, "--dtype 'f64' is not one of f16, bf16, f32"},
    {"check @/causal.lac --shape N=3 --seed x", 2, "--seed 'x' is not a number"},
    {"check @/causal.lac --shape N=3 --device gpu", 2,
     "--device 'gpu' is not one of auto, host, cuda"},
    {"check @/causal.lac --shape N=3 --compiler gcc", 2,
     "--compiler 'gcc' is not one of auto, nvrtc, llvm"},
    {"check @/causal.lac --shape N=3 --scale big", 2, "--scale 'big' is not a number"},
    {"check @/causal.lac --shape N=3 --scale inf", 2, "--scale 'inf' is not a finite f32"},
    {"check @/causal.lac --shape N=3 --scale nan", 2, "--scale 'nan' is not a finite f32"},
    {"check @/causal.lac --shape N=3 --scale 1e60", 2, "--scale '1e60' is not a finite f32"},
    {"check @/causal.lac --shape N=3,D=12 --device host", 2, "12"},
    {"check @/causal.lac --shape N=40000000,D=64", 2,
     "q: one head spans 2^31 elements or more (40000000 rows, 64 apart)"},
    {"check @/causal.lac --shape B=1000000,N=1000000,D=64", 2, "q needs 238418.6 GiB and all"},
    {"check @/bias.lac --shape N=2000000,D=8", 2, "bias needs 14901.2 GiB and all tensors"},
    {"check @/causal.lac --shape N=3,D=264 --device host", 2, "264"},
    {"check @/causal.lac --shape N=3 --device host --compiler nvrtc", 1, "licence"},
    {"check @/causal.lac --shape N=3 --device cuda --check-memory", 2,
     "memory is checked on the host device alone, not on cuda"},
    {"run @/entmax.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --lse", 2,
     "--lse: a weighs by entmax, which has zmax and gap: pass --statistic"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --sparsity", 2,
     "sparsity is asked of attention"},
    {"run @/entmax.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --sparsity --dump @/d", 2,
     "--sparsity and --dump: a dump does not hold it"},
    {"show @/entmax.lac --live --q @/q.npy", 2, "--live needs the tensors of a call"},
    {"show @/entmax.lac --shape N=8 --q @/q.npy", 2, "--q and --k are for --live"},
    {"show @/entmax.lac --live --shape N=8 --q @/q.npy --k @/k.npy", 2,
     "the shape is that of --q and --k"},
    {"compile @/entmax.lac --lse", 2, "--lse: a weighs by entmax"},
    {"entmax --x @/q.npy --out @/p.npy --schedule 64x64w4s2", 2, "'--schedule' is not a flag"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --escort", 2,
     "the spec asks for escort, but a weighs by softmax: there it is O"},
    {"compile @/causal.lac --emit asm", 2,
     "--emit 'asm' is not one of pattern, plan, source, ir, ptx, cubin"},
    {"compile @/causal.lac --emit cubin", 2, "--emit cubin is binary: name a file with --out"},
    {"compile @/causal.lac --emit cubin --compiler llvm --out @/x", 2,
     "--emit cubin needs --compiler nvrtc"},
    {"compile @/causal.lac --emit ir --compiler nvrtc", 2, "--emit ir needs --compiler llvm"},
    {"compile @/causal.lac --arch sm_13", 1, "sm_13"},
    {"compile @/causal.lac --storage doc=i32", 2, "doc"},
    {"compile @/causal.lac --lengths ragged", 2,
     "--lengths 'ragged' is not one of uniform, padded, packed"},
    {"explain @/wrong.lac", 2, "did you mean 'window'?"},
    {"replay @/nothing", 2, "call.json' cannot be read"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy", 2, "--out is required"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --do @/q.npy", 2,
     "--do asks for gradients"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --grad q", 2,
     "--grad asks for gradients"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/empty", 2,
     "is a file, and a directory is needed"},
    {"run @/causal.lac --q @/x.npy --k @/k.npy --v @/v.npy --out @/o", 2, "--q"},
    {"run @/causal.lac --q @/causal.lac --k @/k.npy --v @/v.npy --out @/o", 2,
     "causal.lac' is not a .npy file"},
    {"run @/causal.lac --q @/ids.npy --k @/k.npy --v @/v.npy --out @/o", 2, "--q '"},
    {"run @/causal.lac --q @/flat.npy --k @/k.npy --v @/v.npy --out @/o", 2,
     "has 3 axes, and 4 are needed"},
    {"run @/causal.lac --q @/q.npy --k @/k16.npy --v @/v.npy --out @/o", 2,
     "--dtype chooses one for all"},
    {"run @/causal.lac --q @/q.npy --k @/k3.npy --v @/v.npy --out @/o --device host", 2, "head"},
    {"run @/causal.lac --q @/q.npy --k @/kd.npy --v @/v.npy --out @/o --device host", 2, "24"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v6.npy --out @/o --device host", 2, "6"},
    {"run @/causal.lac --q @/odd.npy --k @/k.npy --v @/v.npy --out @/o --device host", 2, "17"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --offset @/q.npy", 2,
     "integers with one axis"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --offset 1.5", 2,
     "--offset '1.5' is neither an integer nor a .npy file"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --offset x1", 2,
     "--offset 'x1' is neither an integer nor a .npy file"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --offset 3000000000", 2,
     "does not fit i32"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --k-lens @/lens.npy --device "
     "host",
     2, "9"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --k-lens @/long.npy", 2,
     "does not fit i32"},
    {"run @/causal.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --dump @/.", 2,
     "holds something else"},
    {"run @/reach.lac --q @/q.npy --k @/k.npy --v @/v.npy --out @/o --param reach=3", 2,
     "tensor 'doc' of near is missing: pass --tensor doc=F.npy"},
};

}  // namespace

TEST_CASE("tool: every mistake gets one sentence, its exit code, and no output") {
  Folder folder;
  furnish(folder);
  auto before = folder.files();
  for (const Mistake& mistake : mistakes) {
    Ran ran = lacuna::test::lacuna(words_of(mistake.line, folder), {{"LACUNA_CACHE_DIR", ""}});
    INFO("lacuna " << mistake.line << "\n" << ran.err);
    CHECK(ran.code == mistake.code);
    CHECK(ran.err.find(mistake.said) != std::string::npos);
    CHECK(ran.err.rfind("lacuna: ", 0) == 0);
    CHECK(ran.out == "");
  }
  CHECK(folder.files() == before);
}

TEST_CASE("tool: a wrong pattern is shown with its line and a caret") {
  Folder folder;
  furnish(folder);
  Ran ran = lacuna::test::lacuna({"explain", folder / "wrong.lac"});
  CHECK(ran.code == 2);
  CHECK(ran.err.find("\n    mask windw(4)\n         ^") != std::string::npos);
}

TEST_CASE("tool: with --json a failure is an object too") {
  Folder folder;
  furnish(folder);
  Ran ran = lacuna::test::lacuna({"explain", folder / "wrong.lac", "--json"});
  CHECK(ran.code == 2);
  auto json = nlohmann::json::parse(ran.out);
  CHECK(json["ok"] == false);
  CHECK(json["error"]["kind"] == "pattern");
  CHECK(json["error"]["line"] == 3);
  CHECK(json["error"]["column"] == 8);
  CHECK(json["error"]["message"].get<std::string>().find("'windw' is not defined") !=
        std::string::npos);
}

TEST_CASE("tool: --help of every command has an example and what comes next") {
  Ran top = lacuna::test::lacuna({"--help"});
  CHECK(top.code == 0);
  CHECK(top.err == "");
  for (const char* command :
       {"run", "check", "explain", "show", "compile", "replay", "cache", "doctor", "version"}) {
    INFO(command);
    CHECK(top.out.find(std::string("\n  ") + command + " ") != std::string::npos);
    Ran ran = lacuna::test::lacuna({command, "--help"});
    CHECK(ran.code == 0);
    CHECK(ran.out.find("Examples:\n") != std::string::npos);
    CHECK(ran.out.find(std::string("lacuna ") + command) != std::string::npos);
    CHECK(ran.out.find("Next:\n") != std::string::npos);
  }
}

TEST_CASE("tool: every flag of run that the contract names is there") {
  Ran ran = lacuna::test::lacuna({"run", "--help"});
  for (const char* flag :
       {"--attention", "--q ",           "--k ",           "--v ",        "--tensor",
        "--param",     "--dtype",        "--device",       "--compiler",  "--scale",
        "--offset",    "--cu-seqlens-q", "--cu-seqlens-k", "--q-lens",    "--k-lens",
        "--do ",       "--grad",         "--out",          "--statistic", "--lse",
        "--escort",    "--dump",         "--check",        "--json",      "--check-memory"}) {
    INFO(flag);
    CHECK(ran.out.find(flag) != std::string::npos);
  }
}

TEST_CASE("tool: --version says what version says, and --shape may have blanks") {
  Ran flag = lacuna::test::lacuna({"--version"});
  CHECK(flag.code == 0);
  CHECK(flag.out == lacuna::test::lacuna({"version"}).out);
  Folder folder;
  furnish(folder);
  Ran spaced = lacuna::test::lacuna({"show", folder / "causal.lac", "--shape", " N=4, D = 8 "});
  INFO(spaced.err);
  CHECK(spaced.code == 0);
  CHECK(spaced.out ==
        lacuna::test::lacuna({"show", folder / "causal.lac", "--shape", "N=4,D=8"}).out);
}

TEST_CASE("tool: doctor, version and cache speak JSON") {
  Folder folder;
  const std::map<std::string, std::string> variables = {{"LACUNA_CACHE_DIR", folder / "cache"}};
  auto json = nlohmann::json::parse(lacuna::test::lacuna({"doctor", "--json"}, variables).out);
  CHECK(json["compilers"].contains("nvrtc"));
  CHECK(json["compilers"].contains("llvm"));
  CHECK(json["cuda"].contains("gpus"));
  CHECK(json["cache"]["dir"] == folder / "cache");
  CHECK(json["cache"]["writable"] == true);
  CHECK(nlohmann::json::parse(lacuna::test::lacuna({"version", "--json"}).out)["version"]
            .is_string());
  auto list =
      nlohmann::json::parse(lacuna::test::lacuna({"cache", "list", "--json"}, variables).out);
  CHECK(list["entries"].empty());
  CHECK(lacuna::test::lacuna({"cache", "path"}, variables).out == folder / "cache\n");
}

TEST_CASE("tool: a compiler that is missing is named with the places searched") {
  Ran ran = lacuna::test::lacuna({"doctor"}, {{"LACUNA_NVRTC", "/nowhere/libnvrtc.so"}});
  CHECK(ran.out.find("/nowhere/libnvrtc.so: cannot open") != std::string::npos);
  CHECK(ran.out.find("unset LACUNA_NVRTC") != std::string::npos);
  Folder folder;
  furnish(folder);
  Ran failed = lacuna::test::lacuna(
      {"compile", folder / "causal.lac", "--emit", "ptx", "--compiler", "llvm"},
      {{"LACUNA_LLVM", "/nowhere/liblacuna_llvm.so"}});
  CHECK(failed.code == 1);
  CHECK(failed.err.find("/nowhere/liblacuna_llvm.so") != std::string::npos);
  CHECK(failed.out == "");
}
