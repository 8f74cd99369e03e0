// Products and sums that a GPU's assembler may fuse, fused or not as one asks, and those that it
// may not.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/host/model.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <cmath>

namespace lacuna::runtime::host::test {
namespace {

using lacuna::test::fresh_seed;
using Fused = Contract::Mode;

/// Runs a body with a, b, c of each lane in %f1-%f3 (and %d1-%d3 as doubles); its result is %f10
/// (%d10).
template <class T>
std::vector<T> run_with(const std::vector<T>& in, std::string_view body, Contract contract,
                        Isa isa) {
  std::vector<T> inputs = in, out(32);
  const bool wide = sizeof(T) == 8;
  const char* r = wide ? "%d" : "%f";
  const std::string ptx = module_of(
      2,
      fmt::format(
          R"(mov.u32 %r0, %tid.x; mul.wide.u32 %d20, %r0, {0}; ld.param.u64 %d21, [p0]; add.s64 %d21, %d21, %d20;
                        ld.global.{1} {2}1, [%d21]; ld.global.{1} {2}2, [%d21+{3}]; ld.global.{1} {2}3, [%d21+{4}];
                        {5}
                        mul.wide.u32 %d20, %r0, {3}; ld.param.u64 %d21, [p1]; add.s64 %d21, %d21, %d20;
                        st.global.{1} [%d21], {2}10; ret;)",
          3 * sizeof(T), wide ? "f64" : "f32", r, sizeof(T), 2 * sizeof(T), body));
  Artifact artifact;
  artifact.payload = ptx;
  artifact.entry = std::string("k");
  artifact.threads = 32;
  artifact.param_bytes = 16;
  const auto kernel =
      open_host(HostOptions{.threads = 1, .isa = isa, .contract = contract})->load(artifact);
  const DType dtype = wide ? DType::i64 : DType::f32;  // only sizes count
  run(*kernel, {input("in", inputs, dtype), output("out", out, dtype)});
  return out;
}

template <class T>
std::vector<T> random_values(std::mt19937& random) {
  std::vector<T> in(96);
  for (int l = 0; l < 32; ++l) {
    in[3 * l] = 1 + static_cast<T>(std::ldexp(random() % 4096, -12));
    in[3 * l + 1] = 1 + static_cast<T>(std::ldexp(random() % 4096, sizeof(T) == 8 ? -40 : -12));
    in[3 * l + 2] = -in[3 * l] * in[3 * l + 1];  // so that the sum is what the product lost
  }
  return in;
}

/// Rounded at each step, or once.
struct Sum {
  const char* body;
  float (*twice)(float, float, float);
  float (*once)(float, float, float);
};
constexpr Sum forms[] = {
    {"mul.f32 %f4, %f1, %f2; add.f32 %f10, %f4, %f3;",
     [](float a, float b, float c) { return a * b + c; },
     [](float a, float b, float c) { return std::fma(a, b, c); }},
    {"mul.f32 %f4, %f1, %f2; add.f32 %f10, %f3, %f4;",
     [](float a, float b, float c) { return c + a * b; },
     [](float a, float b, float c) { return std::fma(a, b, c); }},
    {"neg.f32 %f3, %f3; mul.f32 %f4, %f1, %f2; sub.f32 %f10, %f4, %f3;",
     [](float a, float b, float c) { return a * b - -c; },
     [](float a, float b, float c) { return std::fma(a, b, c); }},
    {"neg.f32 %f3, %f3; mul.f32 %f4, %f1, %f2; sub.f32 %f10, %f3, %f4;",
     [](float a, float b, float c) { return -c - a * b; },
     [](float a, float b, float c) { return std::fma(-a, b, -c); }},
    {"mul.f32 %f4, %f1, 0f3FAAAAAB; mul.f32 %f5, %f1, 0fBFAAAAAB; add.f32 %f10, %f4, %f5;",
     [](float a, float, float) { return a * 0x1.555556p0f + a * -0x1.555556p0f; },
     [](float a, float, float) { return std::fma(a, 0x1.555556p0f, a * -0x1.555556p0f); }},
    // The product has another reader, and is read by a sum that some lanes skip.
    {"mul.ftz.f32 %f4, %f1, %f2; mov.f32 %f10, %f4; setp.gt.f32 %p1, %f1, 0f3FC00000; @%p1 "
     "add.ftz.f32 %f10, %f4, %f3;",
     [](float a, float b, float c) { return a > 1.5f ? a * b + c : a * b; },
     [](float a, float b, float c) { return a > 1.5f ? std::fma(a, b, c) : a * b; }},
};
/// Bodies of the first form's meaning that must stay as they are.
constexpr const char* kept[] = {
    "mul.rn.f32 %f4, %f1, %f2; add.f32 %f10, %f4, %f3;",
    "mul.f32 %f4, %f1, %f2; add.rn.f32 %f10, %f4, %f3;",
    "mul.ftz.f32 %f4, %f1, %f2; add.f32 %f10, %f4, %f3;",
    "mul.f32 %f4, %f1, %f2; bra $NEXT; $NEXT: add.f32 %f10, %f4, %f3;",
    "mul.f32 %f4, %f1, %f2; mov.f32 %f1, 0f40000000; add.f32 %f10, %f4, %f3;",
    "mul.f32 %f1, %f1, %f2; add.f32 %f10, %f1, %f3;",
    "mul.f32 %f4, %f1, %f2; mov.b32 %f5, %f4; add.f32 %f10, %f5, %f3;",
    "mul.f32 %f4, %f1, %f2; mov.b64 {%f2, %f6}, 0; add.f32 %f10, %f4, %f3;",
};

}  // namespace

TEST_CASE("unmarked products and sums are fused where the contract says so") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (Isa isa : present_isas())
    for (const Sum& form : forms) {
      INFO(form.body);
      const std::vector<float> in = random_values<float>(random);
      const std::vector<float> none = run_with(in, form.body, {}, isa),
                               all = run_with(in, form.body, {Fused::all}, isa);
      bool differs = false;
      for (int l = 0; l < 32; ++l) {
        REQUIRE(none[l] == form.twice(in[3 * l], in[3 * l + 1], in[3 * l + 2]));
        REQUIRE(all[l] == form.once(in[3 * l], in[3 * l + 1], in[3 * l + 2]));
        differs |= none[l] != all[l];
      }
      CHECK(differs);
    }
  const std::vector<double> in = random_values<double>(random);
  const std::vector<double> all = run_with(
      in, "mul.f64 %d4, %d1, %d2; sub.f64 %d5, %d4, 0d0000000000000000; add.f64 %d10, %d4, %d3;",
      {Fused::all}, best_isa());
  for (int l = 0; l < 32; ++l) REQUIRE(all[l] == std::fma(in[3 * l], in[3 * l + 1], in[3 * l + 2]));
}

TEST_CASE("halves and pairs of them are fused as f32 is") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto rounded = [](double x, Type type) {
    return static_cast<double>(real_value(
        round_to(exact_of(__builtin_bit_cast(std::uint64_t, x), {'f', 64}), type, Mode::nearest),
        type));
  };
  for (const char* name : {"f16", "bf16"}) {
    const Type type = *type_of(name);
    for (const char* operation : {"add", "sub"})
      for (bool pairs : {false, true}) {
        std::vector<float> in = random_values<float>(random);
        for (int l = 0; l < 32 && operation[0] == 's'; ++l) in[3 * l + 2] = -in[3 * l + 2];
        std::string body;
        for (int k = 1; k <= 3; ++k) {
          body += fmt::format("cvt.rn.{0}.f32 %h{1}, %f{1};\n", name, k);
          if (pairs) body += fmt::format("mov.b32 %r{0}, {{%h{0}, %h{0}}};\n", k);
        }
        const char* r = pairs ? "%r" : "%h";
        body += fmt::format("mul.{0} {1}4, {1}1, {1}2; {2}.{0} {1}5, {1}3, {1}4;\n",
                            std::string(name) + (pairs ? "x2" : ""), r, operation);
        if (pairs) body += "mov.b32 {_, %h5}, %r5;\n";
        body += fmt::format("cvt.f32.{} %f10, %h5;", name);
        INFO(body);
        const double sign = operation[0] == 's' ? -1 : 1;
        const std::vector<float> none = run_with(in, body, {}, best_isa()),
                                 all = run_with(in, body, {Fused::all}, best_isa());
        for (int l = 0; l < 32; ++l) {
          const double a = rounded(in[3 * l], type), b = rounded(in[3 * l + 1], type),
                       c = rounded(in[3 * l + 2], type);
          REQUIRE(none[l] == rounded(c + sign * rounded(a * b, type), type));
          REQUIRE(all[l] == rounded(c + sign * a * b, type));
        }
        CHECK(none != all);
      }
  }
}

TEST_CASE("what is marked, of two types or in two blocks is never fused") {
  const unsigned seed = fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (const char* body : kept) {
    INFO(body);
    const std::vector<float> in = random_values<float>(random);
    const std::vector<float> all = run_with(in, body, {Fused::all}, best_isa());
    for (int l = 0; l < 32; ++l) REQUIRE(all[l] == in[3 * l] * in[3 * l + 1] + in[3 * l + 2]);
  }
}

TEST_CASE("a random contract decides for each sum, the same for one seed") {
  std::mt19937 random(fresh_seed());
  const std::vector<float> in = random_values<float>(random);
  std::string body = "mov.f32 %f10, 0f00000000; mov.f32 %f30, 0f3F800000;\n";
  for (int k = 0; k < 8; ++k)  // a digit of base 4 for each sum that is fused
    body += fmt::format(
        "mul.f32 %f4, %f1, %f2; add.f32 %f5, %f4, %f3; setp.ne.f32 %p1, %f5, 0f00000000;\n"
        "@%p1 add.rn.f32 %f10, %f10, %f30; mul.rn.f32 %f30, %f30, 0f40800000;\n");
  std::vector<float> seen;
  int fused = 0;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    const std::vector<float> out = run_with(in, body, {Fused::random, seed}, best_isa());
    CHECK(run_with(in, body, {Fused::random, seed}, best_isa()) == out);
    const float most = *std::max_element(out.begin(), out.end());
    for (int digits = static_cast<int>(most); digits != 0; digits /= 4) fused += digits % 4;
    seen.push_back(most);
  }
  std::sort(seen.begin(), seen.end());
  CHECK(std::unique(seen.begin(), seen.end()) - seen.begin() > 8);
  CHECK(fused > 32);
  CHECK(fused < 96);  // of 128
}

}  // namespace lacuna::runtime::host::test
