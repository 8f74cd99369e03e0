// One tensor-core product from both compilers, run on the host device: asynchronous copies with
// zero fill into swizzled tiles, both kinds of ldmatrix, and asm blocks with registers, predicates
// and labels of their own, nested and repeated.
#include "lacuna/error.hpp"

#include "runtime/device.h"
#include "tests/catch.h"
#include "tests/runtime/compilers_fixture.h"
#include "tests/runtime/random.h"

#include <random>

namespace {

using namespace lacuna;
using namespace lacuna::test;
using namespace lacuna::runtime;

/// S = A B' + A V: A, B [32][pitch], V [rows of A's columns][32]; depth columns count. Two warps,
/// 16 rows each; 64 columns in a stage.
constexpr const char* text = R"(#include "memory.cuh"
namespace lacuna {
struct Params {
  u64 a, b, v, s;
  s32 depth, pitch;
};
struct Tile {
  float d[4][4];
};
LACUNA_DYNAMIC_SHARED(memory);
constexpr u32 bytes_a = 32 * 128, bytes_v = 64 * 64, stage = 2 * bytes_a + bytes_v;

LACUNA_DEVICE u32 wide(u32 row, u32 chunk) { return row * 128 + ((chunk ^ (row & 7)) << 4); }
LACUNA_DEVICE u32 narrow(u32 row, u32 chunk) { return row * 64 + ((chunk ^ (row >> 1 & 3)) << 4); }
LACUNA_DEVICE void copy(u32 to, u64 from, s32 bytes) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(bytes < 0 ? 0 : bytes > 16 ? 16 : bytes) : "memory");
}
LACUNA_DEVICE void load(const Params& p, u32 to, s32 k) {
  for (u32 e = thread_index(); e < 32 * 8; e += 64) {
    const u32 row = e / 8, chunk = e % 8;
    const s32 column = k + 8 * (s32)chunk, bytes = 2 * (p.depth - column);
    const u64 at = 2 * (u64)((s64)row * p.pitch + column);
    copy(to + wide(row, chunk), p.a + at, bytes);
    copy(to + bytes_a + wide(row, chunk), p.b + at, bytes);
  }
  for (u32 e = thread_index(); e < 64 * 4; e += 64) {
    const u32 row = e / 4, chunk = e % 4;
    copy(to + 2 * bytes_a + narrow(row, chunk), p.v + 2 * (u64)((k + (s64)row) * 32 + 8 * chunk),
         k + (s32)row < p.depth ? 16 : 0);
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}
LACUNA_DEVICE void multiply(float (&x)[4], float (&y)[4], u32 a, u32 b, u32 v, u32 first) {
  // Two turns: A times B, then A times V. Inner names hide outer ones, which stay as they are.
  asm volatile(R"x({
    .reg .b32 a<4>, b<2>;
    .reg .pred p;
    ldmatrix.sync.aligned.m8n8.x4.shared.b16 {a0, a1, a2, a3}, [%9];
    mov.b32 b0, 0;
    mov.b32 b1, %12;
  again: {
      .reg .b32 b<4>;
      .reg .pred p;
      setp.ne.u32 p, %8, 0;
      @!p bra later;
      ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b0, b1, b2, b3}, [%10];
      bra again;
    later:
      ldmatrix.sync.aligned.m8n8.x4.trans.shared::cta.b16 {b0, b1, b2, b3}, [%11];
    again:
      mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {a0,a1,a2,a3}, {b0,b1}, {%0,%1,%2,%3};
      mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%4,%5,%6,%7}, {a0,a1,a2,a3}, {b2,b3}, {%4,%5,%6,%7};
    }
    sub.u32 %8, %8, 1;
    add.u32 b0, b0, 1;
    setp.lt.u32 p, b0, b1;
    @p bra again;
  })x"
               : "+f"(x[0]), "+f"(x[1]), "+f"(x[2]), "+f"(x[3]), "+f"(y[0]), "+f"(y[1]), "+f"(y[2]), "+f"(y[3]),
                 "+r"(first)
               : "r"(a), "r"(b), "r"(v), "r"(2)
               : "memory");
}
LACUNA_KERNEL void LACUNA_BOUNDS(64, 1) check(LACUNA_GRID_CONST Params p) {
  const u32 lane = lane_index(), warp = thread_index() / 32, base = shared_address(memory);
  Tile t;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) t.d[i][j] = 0.0f;
  load(p, base, 0);
  u32 now = 0;
  for (s32 k = 0; k < p.depth; k += 64, now ^= 1) {
    if (k + 64 < p.depth) {
      load(p, base + (now ^ 1) * stage, k + 64);
      asm volatile("cp.async.wait_group 1;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_all;" ::: "memory");
    }
    cta_sync();
    const u32 from = base + now * stage;
    LACUNA_UNROLL
    for (u32 step = 0; step < 4; ++step)
      LACUNA_UNROLL
      for (u32 n = 0; n < 2; ++n)
        multiply(t.d[2 * n], t.d[2 * n + 1],
                 from + wide(16 * warp + (lane & 15), 2 * step + (lane >> 4)),
                 from + bytes_a + wide(16 * n + (lane & 7) + (lane >> 4 << 3), 2 * step + (lane >> 3 & 1)),
                 from + 2 * bytes_a + narrow(16 * step + (lane & 15), 2 * n + (lane >> 4)), 1);
    cta_sync();
  }
  float* s = reinterpret_cast<float*>(p.s);
  for (u32 j = 0; j < 4; ++j)
    for (u32 e = 0; e < 4; ++e)
      s[(16 * warp + lane / 4 + e / 2 * 8) * 32 + 8 * j + lane % 4 * 2 + e % 2] = t.d[j][e];
}
}  // namespace lacuna
)";

struct Params {
  std::uint64_t a, b, v, s;
  std::int32_t depth, pitch;
};

/// Small integers: every sum is exact, in whatever order.
struct Matrix {
  std::vector<int> values;
  std::vector<std::uint16_t> halves;
  int columns;
  Matrix(int rows, int columns, std::mt19937& random) : columns(columns) {
    static constexpr std::uint16_t bits[] = {0xc200, 0xc000, 0xbc00, 0, 0x3c00, 0x4000, 0x4200};
    for (int k = 0; k < rows * columns; ++k) {
      values.push_back(static_cast<int>(random() % 7) - 3);
      halves.push_back(bits[values.back() + 3]);
    }
  }
  int at(int row, int column) const { return values[row * columns + column]; }
  TensorView view() {
    return TensorView::contiguous(halves.data(), DType::f16,
                                  {static_cast<std::int64_t>(halves.size())});
  }
};

}  // namespace

TEST_CASE("a tensor-core product from both compilers is exact on the host device") {
  const unsigned seed = fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  codegen::Source source = program(text);
  source.shared_bytes = 2 * (2 * 32 * 128 + 64 * 64);
  source.param_bytes = sizeof(Params);
  const auto device = open_host(1);
  for (const auto& compiler : compilers()) {
    const auto kernel = device->load(compile_ptx(*compiler, source));
    for (int depth : {1, 64, 93, static_cast<int>(1 + random() % 300)}) {
      const int pitch = (depth + 7) / 8 * 8;
      Matrix a(32, pitch, random), b(32, pitch, random), v(depth, 32, random);
      std::vector<float> s(32 * 32, -1.0f);
      const Params params{1, 1, 1, 1, depth, pitch};
      const Region regions[] = {
          {"a", a.view()},
          {"b", b.view()},
          {"v", v.view()},
          {"s", TensorView::contiguous(s.data(), DType::f32, {32, 32}), true}};
      const AddressSlot slots[] = {{0, 0}, {8, 1}, {16, 2}, {24, 3}};
      kernel->launch({.blocks = 1,
                      .params = std::as_bytes(std::span(&params, 1)),
                      .slots = slots,
                      .regions = regions});
      for (int m = 0; m < 32; ++m)
        for (int n = 0; n < 32; ++n) {
          int sum = 0;
          for (int k = 0; k < depth; ++k) sum += a.at(m, k) * (b.at(n, k) + v.at(k, n));
          INFO(compiler->name() << " depth " << depth << " element " << m << ", " << n);
          REQUIRE(s[m * 32 + n] == static_cast<float>(sum));
        }
    }
  }
}
