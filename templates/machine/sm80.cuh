// Products of tiles on tensor cores: mma.sync m16n8k16 of f16 or bf16 with f32 sums, which every
// GPU since sm_80 has. Tiles come by cp.async into swizzled shared memory and from there by
// ldmatrix; a warp owns tile_q / warps rows, 16 of them to an mma, and the weights stay in the
// registers where the scores were: the accumulators of two 8-key products are the left operand of
// one 16-key product.
#pragma once
#include "tensor.cuh"

namespace lacuna {

// ---- Copies to shared memory that finish later, in groups. Volatile and clobbering memory: their
// order with barriers is what makes them right. ----
LACUNA_DEVICE void copy_async(u32 to, u64 from, bool present) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(present ? 16 : 0)  // what is not read is filled with zeros
               : "memory");
}
LACUNA_DEVICE void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits for this thread's groups except the newest `pending`.
template <int pending>
LACUNA_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}
LACUNA_DEVICE void store_shared(u32 to, U4 value) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(value.x), "r"(value.y),
               "r"(value.z), "r"(value.w)
               : "memory");
}

// ---- Four 8x8 matrices; lane l gives the address of row l % 8 of matrix l / 8. ----
LACUNA_DEVICE U4 load_matrices(u32 from) {
  U4 r;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w)
               : "r"(from)
               : "memory");
  return r;
}

// What a storage type brings to the tensor cores: products with a 16x16 block of shared memory at
// `from`, c[..][4j .. 4j+3] += a b, for each of the 16-row operands a. The block is loaded in the
// statement that multiplies with it: compile time goes by statements. A row of the block is a
// column of b, or with `transposed` a row; `half`: only 8 columns.
template <class Storage>
struct Operand;

#define LACUNA_MMA(type, c, a, b)                                                              \
  "mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {" c "}, {" a "}, {" b "}, {" c \
  "}"                                                                                          \
  ";"                                                                                          \
  " "
#define LACUNA_LOAD_4(trans, from)                                                               \
  "{ .reg .b32 b<4>; ldmatrix.sync.aligned.m8n8.x4" trans ".shared.b16 {b0, b1, b2, b3}, [" from \
  "]; "
#define LACUNA_LOAD_2(trans, from) \
  "{ .reg .b32 b<2>; ldmatrix.sync.aligned.m8n8.x2" trans ".shared.b16 {b0, b1}, [" from "]; "
#define LACUNA_SUMS(i, k) "+f"(c[i][k]), "+f"(c[i][k + 1]), "+f"(c[i + 1][k]), "+f"(c[i + 1][k + 1])
#define LACUNA_ROWS(a) "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w)
#define LACUNA_PRODUCTS(type, trans)                                                               \
  if constexpr (half && m_tiles == 1)                                                              \
    asm volatile(LACUNA_LOAD_2(trans, "%8")                                                        \
                     LACUNA_MMA(type, "%0, %1, %2, %3", "%4, %5, %6, %7", "b0, b1") "}"            \
                 : LACUNA_SUMS(0, k)                                                               \
                 : LACUNA_ROWS(a[0]), "r"(from)                                                    \
                 : "memory");                                                                      \
  else if constexpr (half)                                                                         \
    asm volatile(LACUNA_LOAD_2(trans, "%16")                                                       \
                     LACUNA_MMA(type, "%0, %1, %2, %3", "%8, %9, %10, %11", "b0, b1")              \
                         LACUNA_MMA(type, "%4, %5, %6, %7", "%12, %13, %14, %15", "b0, b1") "}"    \
                 : LACUNA_SUMS(0, k), LACUNA_SUMS(2, k)                                            \
                 : LACUNA_ROWS(a[0]), LACUNA_ROWS(a[1]), "r"(from)                                 \
                 : "memory");                                                                      \
  else if constexpr (m_tiles == 1)                                                                 \
    asm volatile(LACUNA_LOAD_4(trans, "%12")                                                       \
                     LACUNA_MMA(type, "%0, %1, %2, %3", "%8, %9, %10, %11", "b0, b1")              \
                         LACUNA_MMA(type, "%4, %5, %6, %7", "%8, %9, %10, %11", "b2, b3") "}"      \
                 : LACUNA_SUMS(0, k), LACUNA_SUMS(0, k + 2)                                        \
                 : LACUNA_ROWS(a[0]), "r"(from)                                                    \
                 : "memory");                                                                      \
  else                                                                                             \
    asm volatile(                                                                                  \
        LACUNA_LOAD_4(trans, "%24")                                                                \
            LACUNA_MMA(type, "%0, %1, %2, %3", "%16, %17, %18, %19", "b0, b1")                     \
                LACUNA_MMA(type, "%4, %5, %6, %7", "%16, %17, %18, %19", "b2, b3")                 \
                    LACUNA_MMA(type, "%8, %9, %10, %11", "%20, %21, %22, %23", "b0, b1")           \
                        LACUNA_MMA(type, "%12, %13, %14, %15", "%20, %21, %22, %23", "b2, b3") "}" \
        : LACUNA_SUMS(0, k), LACUNA_SUMS(0, k + 2), LACUNA_SUMS(2, k), LACUNA_SUMS(2, k + 2)       \
        : LACUNA_ROWS(a[0]), LACUNA_ROWS(a[1]), "r"(from)                                          \
        : "memory")
// The same where sums begin at a value of their row, in registers that stay as they are.
#define LACUNA_MMA_FROM(type, c, a, b, start)                                                      \
  "mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {" c "}, {" a "}, {" b "}, {" start \
  "}; "
#define LACUNA_NEW_SUMS(i, k) \
  "=&f"(c[i][k]), "=&f"(c[i][k + 1]), "=&f"(c[i + 1][k]), "=&f"(c[i + 1][k + 1])
#define LACUNA_FIRST_PRODUCTS(type)                                                                \
  if constexpr (m_tiles == 1)                                                                      \
    asm volatile(LACUNA_LOAD_4("", "%14") LACUNA_MMA_FROM(                                         \
                     type, "%0, %1, %2, %3", "%8, %9, %10, %11", "b0, b1", "%12, %12, %13, %13")   \
                     LACUNA_MMA_FROM(type, "%4, %5, %6, %7", "%8, %9, %10, %11", "b2, b3",         \
                                     "%12, %12, %13, %13") "}"                                     \
                 : LACUNA_NEW_SUMS(0, k), LACUNA_NEW_SUMS(0, k + 2)                                \
                 : LACUNA_ROWS(a[0]), "f"(start[0]), "f"(start[1]), "r"(from)                      \
                 : "memory");                                                                      \
  else                                                                                             \
    asm volatile(LACUNA_LOAD_4("", "%28") LACUNA_MMA_FROM(                                         \
                     type, "%0, %1, %2, %3", "%16, %17, %18, %19", "b0, b1", "%24, %24, %25, %25") \
                     LACUNA_MMA_FROM(type, "%4, %5, %6, %7", "%16, %17, %18, %19", "b2, b3",       \
                                     "%24, %24, %25, %25")                                         \
                         LACUNA_MMA_FROM(type, "%8, %9, %10, %11", "%20, %21, %22, %23", "b0, b1", \
                                         "%26, %26, %27, %27")                                     \
                             LACUNA_MMA_FROM(type, "%12, %13, %14, %15", "%20, %21, %22, %23",     \
                                             "b2, b3", "%26, %26, %27, %27") "}"                   \
                 : LACUNA_NEW_SUMS(0, k), LACUNA_NEW_SUMS(0, k + 2), LACUNA_NEW_SUMS(2, k),        \
                   LACUNA_NEW_SUMS(2, k + 2)                                                       \
                 : LACUNA_ROWS(a[0]), LACUNA_ROWS(a[1]), "f"(start[0]), "f"(start[1]),             \
                   "f"(start[m_tiles == 1 ? 0 : 2]), "f"(start[m_tiles == 1 ? 1 : 3]), "r"(from)   \
                 : "memory")
#define LACUNA_OPERAND(Storage, type)                                                             \
  template <>                                                                                     \
  struct Operand<Storage> {                                                                       \
    template <bool transposed, bool half, int m_tiles, int rows, int n>                           \
    LACUNA_MEMBER static void multiply(float (&c)[rows][n], int j, const U4 (&a)[m_tiles],        \
                                       u32 from) {                                                \
      const int k = 4 * j;                                                                        \
      if constexpr (transposed) {                                                                 \
        LACUNA_PRODUCTS(type, ".trans");                                                          \
      } else {                                                                                    \
        LACUNA_PRODUCTS(type, "");                                                                \
      }                                                                                           \
    }                                                                                             \
    template <int m_tiles, int rows, int n>                                                       \
    LACUNA_MEMBER static void begin(float (&c)[rows][n], int j, const U4 (&a)[m_tiles], u32 from, \
                                    const float (&start)[rows]) {                                 \
      const int k = 4 * j;                                                                        \
      LACUNA_FIRST_PRODUCTS(type);                                                                \
    }                                                                                             \
  }
LACUNA_OPERAND(F16, "f16");
LACUNA_OPERAND(BF16, "bf16");

// A tile of 16-bit elements in shared memory: slabs of 64, 32 or 16 columns, rows of a slab behind
// one another, and the 16-byte chunks of a row permuted by the row, so that the 8 rows that
// ldmatrix reads together, and those that 8 lanes copy, lie in different banks. It is what TMA
// calls the 128-, 64- and 32-byte swizzle. The tile begins on 128 bytes.
template <int wanted, int count>
struct TileLayout {
  static constexpr int columns = (wanted + 15) / 16 * 16;
  static constexpr int slab = columns % 64 == 0 ? 64 : columns % 32 == 0 ? 32 : 16;
  static constexpr int pitch = slab * 2, slab_bytes = count * pitch, bytes = count * columns * 2;
  static constexpr int chunks = columns / 8, slab_chunks = slab / 8;

  // Chunk `chunk` < slab_chunks of a row.
  LACUNA_MEMBER static u32 offset(int row, int chunk) {
    const int turn = slab == 64 ? row & 7 : slab == 32 ? row >> 1 & 3 : row >> 2 & 1;
    return (u32)(row * pitch + ((chunk ^ turn) << 4));
  }
  // From the address of chunk 0 or 1 of a row to that 2 k chunks further: the permutation is an
  // exclusive or of address bits.
  LACUNA_MEMBER static u32 advance(u32 address, int k) {
    constexpr int pairs = slab_chunks / 2;
    return (address ^ (u32)(k % pairs << 5)) + (u32)(k / pairs * slab_bytes);
  }
};

// `key_warps` warps share rows: each takes a tile of its own of a stage, which has as many.
template <class Config, int key_warps = 1>
struct Sm80 {
  using In = typename Config::In;
  using Product = Operand<In>;
  static constexpr int warp_rows = Config::tile_q * key_warps / Config::warps;
  static constexpr int stage_keys = Config::tile_k * key_warps;
  static constexpr int m_tiles = warp_rows / 16;
  static constexpr int rows = 2 * m_tiles;              // of a lane
  static constexpr int keys = Config::tile_k / 4;       // of a lane
  static constexpr int values = Config::value_dim / 4;  // columns of O of a lane
  static constexpr int run = 2;                         // of which so many stand side by side
  static constexpr int row_lanes = 4;                   // lanes that share a row
  static constexpr int stages = Config::stages;
  static constexpr int threads = Config::warps * 32;
  using Q = TileLayout<Config::head_dim, Config::tile_q>;
  using K = TileLayout<Config::head_dim, stage_keys>;
  using V = TileLayout<Config::value_dim, stage_keys>;
  static constexpr int slot_bytes = K::bytes > V::bytes ? K::bytes : V::bytes;
  static_assert(warp_rows % 16 == 0 && Config::tile_k % 16 == 0, "tiles consist of whole products");
  static_assert(m_tiles <= 2, "a statement has products for two operands of 16 rows at most");

  struct LACUNA_ALIGN(128) Shared {
    u8 q[Q::bytes];
    u8 ring[stages][slot_bytes];
  };
  LACUNA_MEMBER static u32 queries(const Shared& shared) { return shared_address(shared.q); }
  LACUNA_MEMBER static u32 slot(const Shared& shared, int index) {
    return shared_address(shared.ring) + (u32)(index * slot_bytes);
  }

  LACUNA_MEMBER static int first_row() { return (int)warp_index() / key_warps * warp_rows; }
  // Which tile of a stage is this warp's.
  LACUNA_MEMBER static int part() { return (int)warp_index() % key_warps; }
  LACUNA_MEMBER static int row(int i) {
    return first_row() + i / 2 * 16 + i % 2 * 8 + (int)lane_index() / 4;
  }
  LACUNA_MEMBER static int key(int j) { return j / 2 * 8 + (int)lane_index() % 4 * 2 + j % 2; }
  static constexpr int key_step = 1;  // from key(2 j) to key(2 j + 1)
  // How many of a lane's keys lie below `limit`, counted from the first of the tile.
  LACUNA_MEMBER static int keys_below(s32 limit) {
    const s32 x = max_of(0, min_of(limit, Config::tile_k) - (s32)lane_index() % 4 * 2);
    return x / 8 * 2 + min_of(x % 8, 2);
  }
  LACUNA_MEMBER static int column(int c) { return key(c); }
  // Columns from a lane's first to its c-th.
  LACUNA_MEMBER static constexpr int after(int c) { return c / 2 * 8 + c % 2; }

  LACUNA_MEMBER static void commit() { commit_copies(); }
  template <int pending>
  LACUNA_MEMBER static void wait() {
    wait_copies<pending>();
  }

  // Rows [0, count) of a matrix, `depth` columns wide, as a tile at `to`; rows that `present`
  // denies become 0 and are never read, whatever they hold. Every thread keeps its chunk of a row
  // and goes down by whole multiples of rows. Unrolled where it is in the main loop; compile time
  // goes by copies.
  template <int depth, int count, bool unrolled, class Present>
  LACUNA_MEMBER static void load(u32 to, u64 from, s64 row_stride, const Present& present) {
    using Layout = TileLayout<depth, count>;
    constexpr int lanes = round_to_power(Layout::chunks);  // that share a row
    constexpr int step = threads / lanes, passes = (count + step - 1) / step;
    static_assert(threads % lanes == 0, "a row's chunks are spread over threads");
    const int first = (int)thread_index() / lanes, chunk = (int)thread_index() % lanes;
    const bool inside = chunk * 8 < depth;
    if (lanes != Layout::chunks && chunk >= Layout::chunks) return;
    from += (u64)((first * row_stride + chunk * 8) * 2);
    to += (u32)(chunk / Layout::slab_chunks * Layout::slab_bytes);
    const u64 down = (u64)(row_stride * (step * 2));
    if (Config::aligned && unrolled) {
      u32 at = to + Layout::offset(first, chunk % Layout::slab_chunks);
      LACUNA_UNROLL
      for (int i = 0; i < passes; ++i, from += down, at += step * Layout::pitch) {
        const int r = first + i * step;
        if (step * passes != count && r >= count) break;
        // Eight rows further chunks are permuted as here.
        if (step % 8 != 0) at = to + Layout::offset(r, chunk % Layout::slab_chunks);
        copy_async(at, from, inside && present(r));
      }
    } else if (Config::aligned) {
      LACUNA_NOUNROLL
      for (int r = first; r < count; r += step, from += down)
        copy_async(to + Layout::offset(r, chunk % Layout::slab_chunks), from, inside && present(r));
    } else {
      LACUNA_NOUNROLL
      for (int r = first; r < count; r += step, from += down) {
        U4 x = {0, 0, 0, 0};
        if (inside && present(r)) x = load_unaligned(from);
        store_shared(to + Layout::offset(r, chunk % Layout::slab_chunks), x);
      }
    }
  }
  // The same for rows that lie anywhere: row r at address(r).
  template <int depth, int count, class Address, class Present>
  LACUNA_MEMBER static void gather(u32 to, const Address& address, const Present& present) {
    using Layout = TileLayout<depth, count>;
    LACUNA_NOUNROLL
    for (int i = (int)thread_index(); i < count * Layout::chunks; i += threads) {
      const int r = i / Layout::chunks, chunk = i % Layout::chunks;
      const bool here = chunk * 8 < depth && present(r);
      const u32 at = to + (u32)(chunk / Layout::slab_chunks * Layout::slab_bytes) +
                     Layout::offset(r, chunk % Layout::slab_chunks);
      const u64 from = here ? address(r) + (u64)(chunk * 16) : address(0);
      if (Config::aligned)
        copy_async(at, from, here);
      else
        store_shared(at, here ? load_unaligned(from) : U4{0, 0, 0, 0});
    }
  }
  LACUNA_MEMBER static constexpr int round_to_power(int n) {
    int power = 1;
    while (power < n) power *= 2;
    return power;
  }
  LACUNA_MEMBER static U4 load_unaligned(u64 from) {
    u32 word[4];
    LACUNA_UNROLL
    for (int i = 0; i < 4; ++i)
      word[i] = (u32)load_global<u16>(from + i * 4) | (u32)load_global<u16>(from + i * 4 + 2) << 16;
    return {word[0], word[1], word[2], word[3]};
  }

  // dot[i][j] = q_row(i) . k_key(j)
  LACUNA_MEMBER static void scores(float (&dot)[rows][keys], const Shared& shared, int at) {
    const float nothing[rows] = {};
    scores_from(dot, nothing, shared, at);
  }
  // dot[i][j] = start[i] + q_row(i) . k_key(j)
  LACUNA_MEMBER static void scores_from(float (&dot)[rows][keys], const float (&start)[rows],
                                        const Shared& shared, int at) {
    const int lane = (int)lane_index();
    u32 q = queries(shared) + Q::offset(first_row() + lane % 16, lane / 16);
    u32 k = slot(shared, at) + K::offset(lane % 8 + lane / 16 * 8, lane / 8 % 2) +
            (u32)(part() * (Config::tile_k * K::pitch));
    LACUNA_UNROLL
    for (int s = 0; s < K::columns / K::slab; ++s, q += Q::slab_bytes, k += K::slab_bytes) {
      LACUNA_UNROLL
      for (int d = 0; d < K::slab / 16; ++d) {
        U4 a[m_tiles];
        LACUNA_UNROLL
        for (int i = 0; i < m_tiles; ++i)
          a[i] = load_matrices((q ^ (u32)(d << 5)) + i * 16 * Q::pitch);
        LACUNA_UNROLL
        for (int j = 0; j < Config::tile_k / 16; ++j) {
          const u32 from = (k ^ (u32)(d << 5)) + j * 16 * K::pitch;
          if (s == 0 && d == 0)
            Product::begin(dot, j, a, from, start);
          else
            Product::template multiply<false, false>(dot, j, a, from);
        }
      }
    }
  }

  // o[i][c] += Σ_k p[i][k] v[k][column(c)], p rounded to the type of V. Rows are a lane's, or those
  // and, of 16 rows a warp, once more as many sums of them.
  template <int all>
  LACUNA_MEMBER static void accumulate(float (&o)[all][values], const float (&p)[all][keys],
                                       Shared& shared, int at) {
    constexpr int m_tiles = all / 2;
    static_assert(m_tiles <= 2, "a statement has products for two operands of 16 rows at most");
    const int lane = (int)lane_index();
    const u32 v = slot(shared, at) + V::offset(lane % 16, lane / 16) +
                  (u32)(part() * (Config::tile_k * V::pitch));
    LACUNA_UNROLL
    for (int k = 0; k < Config::tile_k / 16; ++k) {
      U4 a[m_tiles];
      LACUNA_UNROLL
      for (int i = 0; i < m_tiles; ++i) {
        const float(&upper)[keys] = p[2 * i], (&lower)[keys] = p[2 * i + 1];
        a[i] = {In::pair(upper[4 * k], upper[4 * k + 1]), In::pair(lower[4 * k], lower[4 * k + 1]),
                In::pair(upper[4 * k + 2], upper[4 * k + 3]),
                In::pair(lower[4 * k + 2], lower[4 * k + 3])};
      }
      LACUNA_UNROLL
      for (int j = 0; j < Config::value_dim / 16; ++j)
        Product::template multiply<true, false>(o, j, a, V::advance(v, j) + k * 16 * V::pitch);
      if (Config::value_dim % 16 != 0) {
        constexpr int last = Config::value_dim / 16;
        Product::template multiply<true, true>(o, last, a, V::advance(v, last) + k * 16 * V::pitch);
      }
    }
  }

  // Reductions over the lanes that share a row.
  LACUNA_MEMBER static float row_max(float x) {
    x = max_f32(x, shuffle_xor(x, 1));
    return max_f32(x, shuffle_xor(x, 2));
  }
  LACUNA_MEMBER static float row_sum(float x) {
    x += shuffle_xor(x, 1);
    return x + shuffle_xor(x, 2);
  }
};

}  // namespace lacuna
