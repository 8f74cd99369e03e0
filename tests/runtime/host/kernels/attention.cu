// O = softmax(scale Q K^T) V in f32, causal, one CTA for 64 queries of a head; run by both compilers' PTX.
#include "device.h"
struct Params { u64 q, k, v, o; int queries, keys; float scale; int tiles; };
constexpr int rows = 64, D = 64, threads = 256, pitch = rows + 4;
extern __shared__ ALIGN(1024) unsigned char shared[];
KERNEL BOUNDS(threads) attention(const Params p) {
  float* ks = (float*)shared;        // [D][pitch]
  float* vs = ks + D * pitch;        // [rows][D]
  float* qs = vs + rows * D;         // [D][pitch]
  float* ps = qs + D * pitch;        // [rows][pitch]
  const int t = thread(), tx = t % 16, ty = t / 16;
  const int head = block() / p.tiles, q0 = block() % p.tiles * rows;
  const float* q = (const float*)p.q + (u64)head * p.queries * D;
  const float* k = (const float*)p.k + (u64)head * p.keys * D;
  const float* v = (const float*)p.v + (u64)head * p.keys * D;
  float* o = (float*)p.o + (u64)head * p.queries * D;
  for (int e = t; e < rows * D; e += threads) {
    const int r = e / D, c = e % D;
    qs[c * pitch + r] = q0 + r < p.queries ? q[(u64)(q0 + r) * D + c] : 0.f;
  }
  const float infinity = bits_to_float(0x7f800000u), c2 = p.scale * 1.4426950408889634f;
  float acc[4][4] = {}, m[4], l[4];
  for (int i = 0; i < 4; ++i) { m[i] = -infinity; l[i] = 0; }
  const int shift = p.keys - p.queries, last = q0 + rows + shift, end = last < p.keys ? last : p.keys;
  for (int k0 = 0; k0 < end; k0 += rows) {
    sync();
    for (int e = t; e < rows * D; e += threads) {
      const int r = e / D, c = e % D;
      const bool in = k0 + r < p.keys;
      ks[c * pitch + r] = in ? k[(u64)(k0 + r) * D + c] : 0.f;
      vs[r * D + c] = in ? v[(u64)(k0 + r) * D + c] : 0.f;
    }
    sync();
    float s[4][4] = {};
    for (int c = 0; c < D; ++c) {
      float a[4], b[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) { a[i] = qs[c * pitch + ty * 4 + i]; b[i] = ks[c * pitch + tx * 4 + i]; }
#pragma unroll
      for (int i = 0; i < 16; ++i) s[i / 4][i % 4] = fma_(a[i / 4], b[i % 4], s[i / 4][i % 4]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float top = m[i];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int key = k0 + tx * 4 + j;
        if (key > q0 + ty * 4 + i + shift || key >= p.keys) s[i][j] = -infinity;
        top = max(top, s[i][j]);
      }
#pragma unroll
      for (int x = 1; x < 16; x *= 2) top = max(top, shuffle_xor(top, x));
      const float base = top == -infinity ? 0.f : top * c2, decay = exp2(fma_(m[i], c2, -base));
      float sum = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        s[i][j] = exp2(fma_(s[i][j], c2, -base));
        sum += s[i][j];
        ps[(tx * 4 + j) * pitch + ty * 4 + i] = s[i][j];
      }
#pragma unroll
      for (int x = 1; x < 16; x *= 2) sum += shuffle_xor(sum, x);
      l[i] = l[i] * decay + sum;
      m[i] = top;
#pragma unroll
      for (int j = 0; j < 4; ++j) acc[i][j] *= decay;
    }
    sync();
    for (int c = 0; c < rows; ++c) {
      float a[4], b[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) { a[i] = ps[c * pitch + ty * 4 + i]; b[i] = vs[c * D + tx * 4 + i]; }
#pragma unroll
      for (int i = 0; i < 16; ++i) acc[i / 4][i % 4] = fma_(a[i / 4], b[i % 4], acc[i / 4][i % 4]);
    }
  }
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const int r = q0 + ty * 4 + i / 4;
    if (r < p.queries) o[(u64)r * D + tx * 4 + i % 4] = l[i / 4] > 0 ? acc[i / 4][i % 4] / l[i / 4] : 0.f;
  }
}
