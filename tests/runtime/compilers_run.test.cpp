#include "lacuna/error.hpp"

#include "runtime/device.h"
#include "runtime/host/exec/contract.h"
#include "runtime/host/ptx/parser.h"
#include "tests/catch.h"
#include "tests/runtime/compilers_fixture.h"
#include "tests/runtime/compilers_host_ops.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <random>

namespace {

/// The parameters of test::kernel.
struct Params {
  std::uint64_t in, out;
  std::int32_t a, b;
  float x;
};

// The words that the `evaluate` column of ops.def takes from ir/scalar.h, with the device's own
// exp, log and tanh, so that equality can be asked of every bit.
namespace law {
using namespace lacuna::ir::scalar;
float exponential(float x) {
  return lacuna::exponential(x);
}
float logarithm(float x) {
  return lacuna::logarithm(x);
}
float hyperbolic_tangent(float x) {
  return lacuna::hyperbolic_tangent(x);
}

template <class T>
T operand(std::int32_t i, float x, bool condition) {
  if constexpr (std::is_same_v<T, bool>)
    return condition;
  else if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return i;
}
using boolean = bool;
using f32 = float;
using Real = float;
struct none {
  none(int) {}
};

struct Expected {
  std::string name;
  std::uint32_t bits;
  bool is_float;
};

std::uint32_t bits_of_result(bool value) {
  return value;
}
std::uint32_t bits_of_result(std::int32_t value) {
  return static_cast<std::uint32_t>(value);
}
std::uint32_t bits_of_result(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

std::vector<Expected> evaluate(const Params& p, float x1) {
  std::vector<Expected> list;
  const bool first = p.a < p.b, second = p.a < 9;
  // clang-format off
#define LACUNA_OP(name, spelling, result, ta, tb, tc, value, emit, interval)           \
  {                                                                                    \
    [[maybe_unused]] const auto a = operand<ta>(p.a, p.x, first);                      \
    [[maybe_unused]] const auto b = operand<tb>(p.b, x1, second);                      \
    [[maybe_unused]] const auto c = operand<tc>(p.a, p.x, first);                      \
    list.push_back({#name, bits_of_result(static_cast<result>(value)),                 \
                    std::is_same_v<result, f32>});                                     \
  }
#include "compiler/ir/ops.def"
#undef LACUNA_OP
  // clang-format on
  return list;
}
}  // namespace law

}  // namespace

using namespace lacuna;
using namespace lacuna::runtime;
using namespace lacuna::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// What `kernel` makes of `out` when it runs on the host device.
Bytes run(const Kernel& kernel, Params params, Bytes& in, Bytes out, std::uint64_t blocks) {
  params.in = reinterpret_cast<std::uint64_t>(in.data());
  params.out = reinterpret_cast<std::uint64_t>(out.data());
  const auto view = [](Bytes& bytes) {
    return TensorView::contiguous(bytes.data(), DType::u8,
                                  {static_cast<std::int64_t>(bytes.size())});
  };
  const Region regions[] = {{"in", view(in), false}, {"out", view(out), true}};
  const AddressSlot slots[] = {{offsetof(Params, in), 0}, {offsetof(Params, out), 1}};
  kernel.launch({.blocks = blocks,
                 .params = std::as_bytes(std::span(&params, 1)),
                 .slots = slots,
                 .regions = regions});
  return out;
}

std::vector<std::shared_ptr<const Kernel>> kernels_of(const Device& device,
                                                      const codegen::Source& source) {
  std::vector<std::shared_ptr<const Kernel>> kernels;
  for (const auto& compiler : compilers())
    kernels.push_back(device.load(compile_ptx(*compiler, source)));
  return kernels;
}

bool same(const law::Expected& expected, std::uint32_t got) {
  if (expected.bits == got) return true;
  // A NaN is a NaN: its bits are nobody's promise.
  return expected.is_float && std::isnan(std::bit_cast<float>(expected.bits)) &&
         std::isnan(std::bit_cast<float>(got));
}

float random_float(std::mt19937& random) {
  static const float special[] = {0.0f,   -0.0f,   INFINITY, -INFINITY, NAN,
                                  1e-40f, -1e-40f, 3e38f,    -3e9f};
  if (random() % 4 == 0) return special[random() % std::size(special)];
  if (random() % 4 == 0) return std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  return std::uniform_real_distribution<float>(-20.0f, 20.0f)(random);
}

}  // namespace

TEST_CASE("every operator gives on the device what the evaluator gives, bit for bit") {
  const auto device = open_host(1);
  const auto kernels = kernels_of(*device, kernel(every_operator()));
  const unsigned seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    Params params{0, 0, static_cast<std::int32_t>(random()) >> (random() % 32),
                  static_cast<std::int32_t>(random()) >> (random() % 32), random_float(random)};
    const float x1 = random_float(random);
    Bytes in(16);
    std::memcpy(in.data(), &x1, 4);
    const std::vector<law::Expected> expected = law::evaluate(params, x1);
    for (const auto& kernel : kernels) {
      const Bytes out = run(*kernel, params, in, Bytes(4 * expected.size(), 0xee), 1);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        std::uint32_t got;
        std::memcpy(&got, out.data() + 4 * i, 4);
        INFO(expected[i].name << " of a=" << params.a << " b=" << params.b << " x=" << params.x
                              << " x1=" << x1 << ": "
                              << fmt::format("{:#x}, expected {:#x}", got, expected[i].bits));
        REQUIRE(same(expected[i], got));
      }
    }
  }
}

TEST_CASE("the prelude gives the same bits from both compilers") {
  const auto device = open_host();
  const auto kernels = kernels_of(*device, kernel(prelude_body()));
  const unsigned seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 4; ++round) {
    const Params params{0, 0, static_cast<std::int32_t>(random() % 100), 7, random_float(random)};
    Bytes in(64 * 16);
    for (std::size_t i = 0; i < in.size(); i += 4) {
      const float x = random_float(random);
      std::memcpy(&in[i], &x, 4);
    }
    std::vector<Bytes> results;
    for (const auto& kernel : kernels)
      results.push_back(run(*kernel, params, in, Bytes(2 * 64 * 512, 0xee), 2));
    for (const Bytes& result : results) {
      CHECK(result == results.front());
      CHECK(result != Bytes(2 * 64 * 512, 0xee));
    }
  }
}

TEST_CASE("neither compiler leaves a product and its sum for an assembler to fuse") {
  const std::string body = R"(
    const float* in = reinterpret_cast<const float*>(p.in);
    float* out = reinterpret_cast<float*>(p.out);
    out[0] = in[0] * p.x + in[1];
    out[1] = in[2] - in[3] * p.x;
    out[2] = in[4] * in[5] - in[6] * in[7];)";
  for (const auto& compiler : compilers())
    for (const std::string& text : {body, every_operator(), prelude_body()}) {
      const std::string ptx = compile_ptx(*compiler, kernel(text)).payload;
      INFO(compiler->name() << ":\n" << ptx);
      std::mt19937_64 random;
      for (const host::ptx::Function& function : host::ptx::parse(ptx).functions)
        CHECK(host::find_fusions(function, {host::Contract::Mode::all}, random).empty());
    }
}
