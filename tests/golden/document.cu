// lacuna 0.1.0: attention docs, flash_forward on machine/sm80
#include "flash_forward.cuh"
#include "weights/softmax.cuh"
#include "machine/sm80.cuh"
#include "ops.cuh"
namespace lacuna {
struct Params {
  CallArg call;
  TensorArg tensor[1];
};
// tensor[0]: id
struct Pattern {
  static constexpr bool only_bands = false, from_first_key = true;
  // id[b, q]
  LACUNA_MEMBER static s32 row_value_0(const Params& p, const Place& at, s32 q) { return read<Integer<s32>>(p.tensor[0], at.b, packed_key(clamp_index(q, at.k_len), at, p.call)); }
  struct RowValues { s32 v0; };
  template <bool full>
  LACUNA_MEMBER static RowValues row_values(const Params& p, const Place& at, s32 q) { return {full ? s32() : row_value_0(p, at, q)}; }
  // id[b, k]
  LACUNA_MEMBER static s32 key_value_0(const Params& p, const Place& at, s32 k) { return read<Integer<s32>>(p.tensor[0], at.b, packed_key(k, at, p.call)); }
  struct KeyValues { s32 v0; };
  template <bool full>
  LACUNA_MEMBER static KeyValues key_values(const Params& p, const Place& at, s32 k) { return {full ? s32() : key_value_0(p, at, k)}; }
  static constexpr bool rolled_mask = true;
  // k <= q
#line 3 "golden.lac"
  LACUNA_MEMBER static bool conjunct_0(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return (k <= q); }
#line 29 "docs.cu"
  // id[b, q] == id[b, k]
#line 3 "golden.lac"
  LACUNA_MEMBER static bool conjunct_1(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return (row.v0 == key.v0); }
#line 33 "docs.cu"
  LACUNA_MEMBER static bool attends(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return conjunct_0(p, at, q, k, row, key) && conjunct_1(p, at, q, k, row, key); }
  LACUNA_MEMBER static bool keeps_key(const Params& p, const Place& at, s32 k) { return true; }
  LACUNA_MEMBER static void narrow(const Params& p, const Place& at, Tile& tile) {
    lacuna::narrow(tile, Affine{0, 1, 0}, Affine{1, 0, 0}, false);
  }
  static constexpr bool plain_score = true, scores_any_pair = false;
  LACUNA_MEMBER static float score(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key, float score) { return score; }
  LACUNA_MEMBER static float sink(const Params& p, const Place& at, s32 q) { return -infinity(); }
};
struct Config {
  using Pattern = lacuna::Pattern;
  using Machine = Sm80<Config>;
  using Weights = SoftmaxRows<Config>;
  using In = F16;
  static constexpr int head_dim = 64, value_dim = 64;
  static constexpr int tile_q = 128, tile_k = 64, warps = 4, stages = 4;
  static constexpr bool aligned = true, split = false, packed_heads = false, lists = false;
  static constexpr bool escort = false, one_walk = false;
  static constexpr bool walks_again = false, by_alpha = false;
  using Out = F32;
  static constexpr bool statistic = true;
  static constexpr Lengths lengths = Lengths::packed;
};
static_assert(sizeof(Params) == 392, "host and device disagree about the parameters");
static_assert(sizeof(FlashForward<Config, Params>::Shared) == 49152, "host and device disagree about shared memory");
}  // namespace lacuna
LACUNA_KERNEL void LACUNA_BOUNDS(128, 1) lacuna_b4654320938e9885_aligned(LACUNA_GRID_CONST lacuna::Params p) {
  lacuna::flash_forward<lacuna::Config>(p);
}
