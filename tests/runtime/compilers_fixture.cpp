#include "tests/runtime/compilers_fixture.h"

#include "lacuna/error.hpp"

#include "tests/catch.h"

#include <fmt/format.h>

namespace lacuna::test {
namespace {

std::shared_ptr<const runtime::Compiler> or_warn(
    std::shared_ptr<const runtime::Compiler> (*open)()) {
  try {
    return open();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    WARN(error.what());
    return nullptr;
  }
}

struct Row {
  std::string_view result, a, b, c, emit;
};
constexpr Row rows[] = {
#define LACUNA_OP(name, spelling, result, a, b, c, evaluate, emit, interval) {#result, #a, #b, #c, emit},
#include "compiler/ir/ops.def"
#undef LACUNA_OP
};

/// An operand of that type that no compiler can fold.
std::string operand(std::string_view type, int which) {
  if (type == "i32") return which ? "(p.b)" : "(p.a)";
  if (type == "f32") return which ? "(x1)" : "(p.x)";
  return which ? "(p.a < 9)" : "(p.a < p.b)";
}

}  // namespace

std::shared_ptr<const runtime::Compiler> nvrtc_or_warn() {
  return or_warn([] { return runtime::open_nvrtc(); });
}
std::shared_ptr<const runtime::Compiler> llvm_or_warn() {
  return or_warn([] { return runtime::open_llvm(); });
}
std::vector<std::shared_ptr<const runtime::Compiler>> compilers() {
  std::vector<std::shared_ptr<const runtime::Compiler>> found;
  for (auto& compiler : {nvrtc_or_warn(), llvm_or_warn()}) {
    if (compiler) found.push_back(compiler);
  }
  return found;
}

codegen::Source program(const std::string& text) {
  return {.name = "check.cu",
          .entry = "check",
          .text = text,
          .threads = 64,
          .shared_bytes = 256,
          .param_bytes = 32};
}

codegen::Source kernel(const std::string& body) {
  return program(R"(#include "memory.cuh"
#include "ops.cuh"
namespace lacuna {
struct Params {
  u64 in, out;
  s32 a, b;
  float x;
};
LACUNA_KERNEL void LACUNA_BOUNDS(64, 1) check(LACUNA_GRID_CONST Params p) {
)" + body + "\n}\n}\n");
}

runtime::Artifact compile_ptx(const runtime::Compiler& compiler, const codegen::Source& source) {
  return compiler.compile(source, {.arch = {80, 0}, .format = runtime::Format::ptx});
}

std::string prelude_body() {
  return R"(
  LACUNA_DYNAMIC_SHARED(bytes);
  float* tile = reinterpret_cast<float*>(bytes);
  const u32 t = thread_index();
  const u64 in = p.in + 16 * t;
  u64 out = p.out + 512 * (u64)(t + 64 * block_index());
  tile[t] = load_global<float>(in);
  cta_sync();
  const float v = tile[t ^ 1];
  warp_sync();
  const float w = abs_f32(p.x);
  const float floats[] = {exp2_approx(v), log2_approx(w), rcp_approx(v), fma_rn(v, v, w), max_f32(v, w),
                          min_f32(v, w), abs_f32(v), floor_f32(v), square_root(w), divide(v, w),
                          min_f32(infinity(), v), shuffle_xor(v, 3), shuffle_idx(v, 5),
                          max_of(v, w), min_of(v, w), float_of_bits(bits_of(v) ^ 0x80000000u),
                          float_of_f16(f16_of(v)), float_of_bf16(bf16_of(v))};
  LACUNA_UNROLL
  for (int i = 0; i < 18; ++i) store_global(out + 4 * i, floats[i]);
  out += 80;
  const u32 words[] = {popcount(t), count_leading_zeros(t), ballot(v > 0), any_lane(v > 1), all_lanes(v > 2),
                       shuffle_xor(t, 1), shuffle_idx(t, 2), lane_index(), warp_index(), block_index(),
                       shared_address(tile + t), f16x2_of(v, w), bf16x2_of(v, w), ceil_div(t, 7u)};
  LACUNA_UNROLL
  for (int i = 0; i < 14; ++i) store_global(out + 4 * i, words[i]);
  out += 64;
  store_global(out, truncate_f32(v * 1e9f));
  store_global(out + 4, f16_of(v));
  store_global(out + 6, bf16_of(v));
  store_global(out + 8, load_global<U2>(in));
  store_global(out + 16, load_global<F2>(in));
  store_global(out + 32, load_global<U4>(in));
  store_global(out + 48, load_global<F4>(in));
  store_global(out + 64, (s32)load_global<u8>(in) + load_global<s8>(in + 1));
  store_global(out + 68, (s32)load_global<u16>(in) + load_global<s16>(in + 2));
  store_global(out + 72, (s32)load_global<u32>(in) ^ load_global<s32>(in + 4));
  store_global(out + 76, (s32)(load_global<u64>(in) >> 17) ^ (s32)load_global<s64>(in + 8));
  float sum = 0;
  LACUNA_NOUNROLL
  for (s32 i = 0; i < p.a; ++i) sum += tile[i & 63];
  store_global(out + 80, sum);
)";
}

std::string every_operator() {
  std::string body =
      "  if (thread_index() != 0) return;\n  const float x1 = load_global<float>(p.in);\n";
  int slot = 0;
  for (const Row& row : rows) {
    const std::string value = fmt::format(fmt::runtime(row.emit), operand(row.a, 0),
                                          operand(row.b, 1), operand(row.c, 0));
    const std::string stored = row.result == "boolean" ? fmt::format("int_of({})", value) : value;
    body += fmt::format("  store_global(p.out + {}, {});\n", 4 * slot++, stored);
  }
  return body;
}

}  // namespace lacuna::test
