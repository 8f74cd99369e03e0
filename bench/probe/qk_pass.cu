// A dense pass over Q K^T that does next to nothing with a score, to learn what the threshold pass
// of entmax can cost:
//   row_max    top[i]  = max_j q_i . k_j
//   gate_hits  hits[i] = |{ j : q_i . k_j >= gate[i] }|
// Two passes that a solver of the threshold may be made of: the first is what AdaSplash starts
// with; the second is the common path of a pass that knows a lower bound of the threshold and wants
// to see only what lies above it. There the first product of a score takes -gate as its addend, so
// that "above" is a clear sign bit, one three-input AND tests two scores, and a warp votes once for
// its tile and, where someone was above, once for each 16x8 fragment.
//
// bf16, [heads][rows][HEAD_DIM] contiguous, queries and keys equally many: a multiple of WARPS *
// M_TILES * 16 and of 64. A block computes that many queries against tiles of 64 keys in three
// stages of shared memory, and is alone in its query tile: a score of a later key is masked where
// `causal`. The block's number is head * tiles + (tiles - 1 - tile). Includes nothing; what stands
// in front of it #defines HEAD_DIM (64, 128), M_TILES (products of 16 rows to a warp) and WARPS.
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;
#define INLINE static __device__ __forceinline__

constexpr int head_dim = HEAD_DIM, m_tiles = M_TILES, warps = WARPS;
constexpr int threads = warps * 32, tile_q = warps * m_tiles * 16, tile_k = 64, stages = 3;
constexpr int steps = head_dim / 16;                            // products of 16 columns to a score
constexpr int fragments = tile_k / 8;                           // of 8 keys to a tile
constexpr int row_bytes = head_dim * 2, chunks = head_dim / 8;  // a chunk is 16 bytes
constexpr u32 stage_bytes = tile_k * row_bytes;
constexpr float masked =
    -1e30f;  // below every gate, and finite: it is added to nothing that could make a NaN of it
static_assert(head_dim % 64 == 0 && tile_q % tile_k == 0 && tile_k * chunks % threads == 0,
              "whole copies");

struct Params {
  const u16 *q, *k;
  const float* gate;  // gate_hits
  float* top;         // row_max
  u32* hits;          // gate_hits
  u32* seen;          // gate_hits: of each warp of the grid, the tiles and the fragments with a hit
  int rows, causal;
};

INLINE void copy_async(u32 to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
INLINE void commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int pending>
INLINE void wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}
INLINE void load_matrices(u32 (&r)[4], u32 from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from)
               : "memory");
}
// c = a b + (above, above, below, below): the addend of both rows that a lane has of a product.
INLINE void multiply_first(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1, float above,
                           float below) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %10, %11, %11};"
      : "=f"(c[0]), "=f"(c[1]), "=f"(c[2]), "=f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(above), "f"(below));
}
INLINE void multiply_add(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
INLINE u32 and3(u32 a, u32 b, u32 c) {
  u32 r;
  asm("lop3.b32 %0, %1, %2, %3, 0x80;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
}
// Byte of a chunk in a tile: the chunks of eight rows that are read or written together lie in
// different banks.
INLINE u32 place(int row, int chunk) {
  return (u32)(row * row_bytes + ((chunk ^ (row & 7)) << 4));
}

// Where a block and a thread stand. `addend` is -gate of the rows that the lane has.
struct Place {
  int lane, warp, head, first_query,
      first_row;  // first_query of the block, first_row of the warp, in the head
  u64 first;      // row of the lane in all of the tensor
  float addend[m_tiles][2];
};
INLINE Place find_place(const Params& p) {
  Place at;
  const int q_tiles = p.rows / tile_q, block = (int)blockIdx.x;
  at.lane = (int)threadIdx.x % 32, at.warp = (int)threadIdx.x / 32;
  at.head = block / q_tiles;
  at.first_query = (q_tiles - 1 - block % q_tiles) * tile_q;
  at.first_row = at.first_query + at.warp * m_tiles * 16;
  at.first = (u64)at.head * p.rows + at.first_row + at.lane / 4;
#pragma unroll
  for (int m = 0; m < m_tiles; ++m) at.addend[m][0] = at.addend[m][1] = 0.0f;
  return at;
}

INLINE void load_queries(const Params& p, const Place& at, u32 shared,
                         u32 (&a)[m_tiles][steps][4]) {
  const u16* q = p.q + ((u64)at.head * p.rows + at.first_query) * head_dim;
#pragma unroll
  for (int i = 0; i < tile_q * chunks / threads; ++i) {
    const int t = i * threads + (int)threadIdx.x, row = t / chunks, chunk = t % chunks;
    copy_async(shared + place(row, chunk), q + row * head_dim + chunk * 8);
  }
  commit();
  wait<0>();
  __syncthreads();
#pragma unroll
  for (int m = 0; m < m_tiles; ++m)
#pragma unroll
    for (int s = 0; s < steps; ++s)
      load_matrices(a[m][s], shared + place((at.warp * m_tiles + m) * 16 + at.lane % 16,
                                            s * 2 + at.lane / 16));
  __syncthreads();
}

INLINE void mask_later_keys(const Place& at, int first_key, float (&c)[m_tiles][fragments][4]) {
  if (first_key + tile_k - 1 <= at.first_row) return;
#pragma unroll
  for (int m = 0; m < m_tiles; ++m)
#pragma unroll
    for (int f = 0; f < fragments; ++f)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = at.first_row + m * 16 + e / 2 * 8 + at.lane / 4;
        if (first_key + f * 8 + at.lane % 4 * 2 + e % 2 > row) c[m][f][e] = masked;
      }
}

// Calls consume(c) for every tile of keys that the block's queries may see: c[m][f] are scores plus
// addends.
template <class Consume>
INLINE void for_each_tile(const Params& p, const Place& at, Consume consume) {
  extern __shared__ __align__(128) unsigned char memory[];
  const u32 shared = (u32)__cvta_generic_to_shared(memory);
  u32 a[m_tiles][steps][4];
  load_queries(p, at, shared, a);  // where the keys will be

  constexpr int step_rows =
      threads / chunks;  // a thread copies the same chunk of every step_rows-th row
  const int row = (int)threadIdx.x / chunks, chunk = (int)threadIdx.x % chunks;
  const u32 to = shared + place(row, chunk);
  const u16* from = p.k + ((u64)at.head * p.rows + row) * head_dim + chunk * 8;
  static_assert(step_rows % 8 == 0, "the rows of a thread are permuted alike");
  const auto load = [&](int tile, u32 stage) {
#pragma unroll
    for (int i = 0; i < tile_k / step_rows; ++i)
      copy_async(to + stage + i * step_rows * row_bytes,
                 from + ((u64)tile * tile_k + i * step_rows) * head_dim);
  };
  u32 matrices[steps];  // of the first 16 keys of a stage
#pragma unroll
  for (int s = 0; s < steps; ++s) {
    matrices[s] = shared + place(at.lane % 8 + at.lane / 16 * 8, s * 2 + at.lane / 8 % 2);
    asm volatile("" : "+r"(matrices[s]));  // kept, not worked out again for every tile
  }

  const int tiles = (p.causal ? at.first_query + tile_q : p.rows) / tile_k;
  u32 reading = 0, writing = 2 * stage_bytes;
  load(0, 0);
  commit();
  if (tiles > 1) load(1, stage_bytes);
  commit();
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    wait<1>();
    __syncthreads();
    if (tile + 2 < tiles) load(tile + 2, writing);
    commit();
    float c[m_tiles][fragments][4];
#pragma unroll
    for (int s = 0; s < steps; ++s)
#pragma unroll
      for (int f = 0; f < fragments; f += 2) {
        u32 b[4];
        load_matrices(b, matrices[s] + reading + f * 8 * row_bytes);
#pragma unroll
        for (int m = 0; m < m_tiles; ++m)
#pragma unroll
          for (int n = 0; n < 2; ++n) {
            if (s == 0)
              multiply_first(c[m][f + n], a[m][s], b[2 * n], b[2 * n + 1], at.addend[m][0],
                             at.addend[m][1]);
            else
              multiply_add(c[m][f + n], a[m][s], b[2 * n], b[2 * n + 1]);
          }
      }
    reading = reading == 2 * stage_bytes ? 0 : reading + stage_bytes;
    writing = writing == 2 * stage_bytes ? 0 : writing + stage_bytes;
    if (p.causal) mask_later_keys(at, tile * tile_k, c);
    consume(c);
  }
}

extern "C" __global__ void __launch_bounds__(threads) row_max(const __grid_constant__ Params p) {
  const Place at = find_place(p);
  float top[m_tiles][2];
#pragma unroll
  for (int m = 0; m < m_tiles; ++m) top[m][0] = top[m][1] = masked;
  for_each_tile(p, at, [&](const float(&c)[m_tiles][fragments][4]) {
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
      for (int f = 0; f < fragments; ++f)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          top[m][h] = fmaxf(top[m][h], fmaxf(c[m][f][2 * h], c[m][f][2 * h + 1]));
  });
#pragma unroll
  for (int m = 0; m < m_tiles; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float x = top[m][h];
      x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
      x = fmaxf(x, __shfl_xor_sync(~0u, x, 2));
      if (at.lane % 4 == 0) p.top[at.first + m * 16 + h * 8] = x;
    }
}

extern "C" __global__ void __launch_bounds__(threads) gate_hits(const __grid_constant__ Params p) {
  Place at = find_place(p);
  u32 hits[m_tiles][2], seen_tiles = 0, seen_fragments = 0;
#pragma unroll
  for (int m = 0; m < m_tiles; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h)
      at.addend[m][h] = -p.gate[at.first + m * 16 + h * 8], hits[m][h] = 0;
  for_each_tile(p, at, [&](const float(&c)[m_tiles][fragments][4]) {
    u32 below[m_tiles][fragments],
        all = ~0u;  // the sign bit is set where all scores are below their gates
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
      for (int f = 0; f < fragments; ++f) {
        const auto bits = [&](int e) { return __float_as_uint(c[m][f][e]); };
        below[m][f] = and3(bits(0), bits(1), bits(2)) & bits(3);
        if (f % 2) all = and3(all, below[m][f - 1], below[m][f]);
      }
    if (!__any_sync(~0u, (int)all >= 0)) return;
    ++seen_tiles;
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
      for (int f = 0; f < fragments; ++f) {
        if (!__any_sync(~0u, (int)below[m][f] >= 0)) continue;
        ++seen_fragments;
#pragma unroll
        for (int e = 0; e < 4; ++e) hits[m][e / 2] += ~__float_as_uint(c[m][f][e]) >> 31;
      }
  });
#pragma unroll
  for (int m = 0; m < m_tiles; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      u32 x = hits[m][h];
      x += __shfl_xor_sync(~0u, x, 1);
      x += __shfl_xor_sync(~0u, x, 2);
      if (at.lane % 4 == 0) p.hits[at.first + m * 16 + h * 8] = x;
    }
  if (at.lane == 0) {
    u32* seen = p.seen + (blockIdx.x * warps + at.warp) * 2;
    seen[0] = seen_tiles, seen[1] = seen_fragments;
  }
}
