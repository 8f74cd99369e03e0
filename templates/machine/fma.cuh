// Products of tiles with f32 multiply-adds: works for every storage type on every GPU. A warp owns
// tile_q / warps rows; its lanes stand 4 x 8: lane / 8 picks rows, lane % 8 picks columns, so that
// a row's reductions stay inside 8 lanes.
#pragma once
#include "tensor.cuh"

namespace lacuna {

template <class Config>
struct Fma {
  static constexpr int width =
      Config::head_dim > Config::value_dim ? Config::head_dim : Config::value_dim;
  static constexpr int warp_rows = Config::tile_q / Config::warps, stage_keys = Config::tile_k;
  static constexpr int rows = warp_rows / 4;                       // of a lane
  static constexpr int keys = Config::tile_k / 8;                  // of a lane
  static constexpr int values = Config::value_dim / 8;             // columns of O of a lane
  static constexpr int chunk = Config::value_dim % 32 == 0   ? 4
                               : Config::value_dim % 16 == 0 ? 2
                                                             : 1;
  // 4 floats of padding: rows that lanes read together fall into different banks.
  static constexpr int stride = width + 4, weight_stride = Config::tile_k + 4;
  static constexpr int run = chunk, row_lanes = 8, stages = 1;
  static constexpr int threads = Config::warps * 32;
  static_assert(Config::tile_q % (Config::warps * 4) == 0 && Config::tile_k % 8 == 0,
                "tiles fill the lanes");

  struct Shared {
    float q[Config::tile_q * stride];
    float kv[Config::tile_k * stride];  // K, then V, of one tile
    float weights[Config::tile_q * weight_stride];
  };

  LACUNA_MEMBER static float* queries(Shared& shared) { return shared.q; }
  LACUNA_MEMBER static float* slot(Shared& shared, int) { return shared.kv; }

  // Copies are made where they are asked for: there is nothing to wait for.
  LACUNA_MEMBER static void commit() {}
  template <int pending>
  LACUNA_MEMBER static void wait() {}

  LACUNA_MEMBER static int first_row() { return (int)warp_index() * warp_rows; }
  LACUNA_MEMBER static int part() { return 0; }
  LACUNA_MEMBER static int row(int i) { return first_row() + i * 4 + (int)lane_index() / 8; }
  LACUNA_MEMBER static int key(int j) { return j * 8 + (int)lane_index() % 8; }
  static constexpr int key_step = 8;  // from key(2 j) to key(2 j + 1)
  // How many of a lane's keys lie below `limit`, counted from the first of the tile.
  LACUNA_MEMBER static int keys_below(s32 limit) {
    return max_of(0, min_of(limit, Config::tile_k) - (s32)lane_index() % 8 + 7) / 8;
  }
  LACUNA_MEMBER static int column(int c) {
    return (c / chunk * 8 + (int)lane_index() % 8) * chunk + c % chunk;
  }
  // Columns from a lane's first to its c-th.
  LACUNA_MEMBER static constexpr int after(int c) { return c / chunk * 8 * chunk + c % chunk; }

  // Rows [0, count) of a matrix into shared memory as f32, `depth` columns wide; rows that
  // `present` denies become 0 and are never read, whatever they hold.
  template <int depth, int count, bool unrolled, class Present>
  LACUNA_MEMBER static void load(float* to, u64 head, s64 row_stride, const Present& present) {
    gather<depth, count>(
        to,
        [&](int r) { return head + (u64)(r * row_stride * (s64)sizeof(typename Config::In::Raw)); },
        present);
  }
  // The same for rows that lie anywhere: row r at address(r).
  template <int depth, int count, class Address, class Present>
  LACUNA_MEMBER static void gather(float* to, const Address& address, const Present& present) {
    using In = typename Config::In;
    constexpr int pieces = depth / 8, total = count * pieces;
    LACUNA_NOUNROLL
    for (int i = (int)thread_index(); i < total; i += threads) {
      const int r = i / pieces, d = i % pieces * 8;
      float x[8] = {0, 0, 0, 0, 0, 0, 0, 0};
      if (present(r))
        load_columns<In, Config::aligned>(x, address(r) + (u64)(d * (int)sizeof(typename In::Raw)));
      F4* out = (F4*)(to + r * stride + d);
      out[0] = {x[0], x[1], x[2], x[3]};
      out[1] = {x[4], x[5], x[6], x[7]};
    }
  }

  // dot[i][j] = q_row(i) . k_key(j)
  LACUNA_MEMBER static void scores(float (&dot)[rows][keys], const Shared& shared, int at) {
    const float nothing[rows] = {};
    scores_from(dot, nothing, shared, at);
  }
  // dot[i][j] = start[i] + q_row(i) . k_key(j)
  LACUNA_MEMBER static void scores_from(float (&dot)[rows][keys], const float (&start)[rows],
                                        const Shared& shared, int) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) dot[i][j] = start[i];
    }
    const float* q = shared.q + row(0) * stride;
    const float* k = shared.kv + key(0) * stride;
    LACUNA_NOUNROLL
    for (int d = 0; d < Config::head_dim; d += 4) {
      F4 a[rows], b[keys];
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) a[i] = *(const F4*)(q + i * 4 * stride + d);
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) b[j] = *(const F4*)(k + j * 8 * stride + d);
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) {
        LACUNA_UNROLL
        for (int j = 0; j < keys; ++j) {
          float s = fma_rn(a[i].x, b[j].x, dot[i][j]);
          s = fma_rn(a[i].y, b[j].y, s);
          s = fma_rn(a[i].z, b[j].z, s);
          dot[i][j] = fma_rn(a[i].w, b[j].w, s);
        }
      }
    }
  }

  // o[i][c] += Σ_k p[i][k] v[k][column(c)]. The weights of a row are needed by lanes of its warp
  // only.
  LACUNA_MEMBER static void accumulate(float (&o)[rows][values], const float (&weight)[rows][keys],
                                       Shared& shared, int) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) shared.weights[row(i) * weight_stride + key(j)] = weight[i][j];
    }
    warp_sync();
    const float* p = shared.weights + row(0) * weight_stride;
    const float* v = shared.kv + (int)lane_index() % 8 * chunk;
    LACUNA_NOUNROLL
    for (int k = 0; k < Config::tile_k; k += 4) {
      F4 a[rows];
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) a[i] = *(const F4*)(p + i * 4 * weight_stride + k);
      LACUNA_UNROLL
      for (int kk = 0; kk < 4; ++kk) {
        LACUNA_UNROLL
        for (int c = 0; c < values; c += chunk) {
          float b[4];
          load_chunk(b, v + (k + kk) * stride + c * 8);
          LACUNA_UNROLL
          for (int i = 0; i < rows; ++i) {
            const float w = kk == 0 ? a[i].x : kk == 1 ? a[i].y : kk == 2 ? a[i].z : a[i].w;
            LACUNA_UNROLL
            for (int e = 0; e < chunk; ++e) o[i][c + e] = fma_rn(w, b[e], o[i][c + e]);
          }
        }
      }
    }
  }
  LACUNA_MEMBER static void load_chunk(float (&b)[4], const float* from) {
    if (chunk == 4) {
      const F4 x = *(const F4*)from;
      b[0] = x.x, b[1] = x.y, b[2] = x.z, b[3] = x.w;
    } else if (chunk == 2) {
      const F2 x = *(const F2*)from;
      b[0] = x.x, b[1] = x.y;
    } else {
      b[0] = *from;
    }
  }

  // Reductions over the 8 lanes that share a row.
  LACUNA_MEMBER static float row_max(float x) {
    x = max_f32(x, shuffle_xor(x, 1));
    x = max_f32(x, shuffle_xor(x, 2));
    return max_f32(x, shuffle_xor(x, 4));
  }
  LACUNA_MEMBER static float row_sum(float x) {
    x += shuffle_xor(x, 1);
    x += shuffle_xor(x, 2);
    return x + shuffle_xor(x, 4);
  }
};

}  // namespace lacuna
