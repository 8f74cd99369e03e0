// lacuna 0.1.0: attention decode, flash_forward on machine/sm80
#include "flash_forward.cuh"
#include "weights/softmax.cuh"
#include "machine/sm80.cuh"
#include "ops.cuh"
namespace lacuna {
struct Params {
  CallArg call;
  TensorArg tensor[1];
};
// tensor[0]: slope
struct Pattern {
  static constexpr bool only_bands = true, from_first_key = true;
  // slope[h]
  LACUNA_MEMBER static float row_value_0(const Params& p, const Place& at, s32 q) { return read<F32>(p.tensor[0], at.h); }
  struct RowValues { float v0; };
  template <bool full>
  LACUNA_MEMBER static RowValues row_values(const Params& p, const Place& at, s32 q) { return {row_value_0(p, at, q)}; }
  struct KeyValues { };
  template <bool full>
  LACUNA_MEMBER static KeyValues key_values(const Params& p, const Place& at, s32 k) { return {}; }
  static constexpr bool rolled_mask = false;
  // k <= q
#line 3 "golden.lac"
  LACUNA_MEMBER static bool conjunct_0(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return (k <= q); }
#line 27 "decode.cu"
  LACUNA_MEMBER static bool attends(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return conjunct_0(p, at, q, k, row, key); }
  LACUNA_MEMBER static bool keeps_key(const Params& p, const Place& at, s32 k) { return true; }
  LACUNA_MEMBER static void narrow(const Params& p, const Place& at, Tile& tile) {
    lacuna::narrow(tile, Affine{0, 1, 0}, Affine{1, 0, 0}, false);
  }
  static constexpr bool plain_score = false, scores_any_pair = true;
#line 4 "golden.lac"
  LACUNA_MEMBER static float score(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key, float score) { return (score - row.v0); }
#line 36 "decode.cu"
  LACUNA_MEMBER static float sink(const Params& p, const Place& at, s32 q) { return -infinity(); }
};
struct Config {
  using Pattern = lacuna::Pattern;
  using Machine = Sm80<Config>;
  using Weights = SoftmaxRows<Config>;
  using In = F16;
  static constexpr int head_dim = 64, value_dim = 64;
  static constexpr int tile_q = 16, tile_k = 128, warps = 1, stages = 2;
  static constexpr bool aligned = true, split = true, packed_heads = true, lists = false;
  static constexpr bool escort = false, one_walk = false;
  static constexpr bool walks_again = false, by_alpha = false;
  using Out = F32;
  static constexpr bool statistic = false;
  static constexpr Lengths lengths = Lengths::uniform;
};
static_assert(sizeof(Params) == 392, "host and device disagree about the parameters");
static_assert(sizeof(FlashForward<Config, Params>::Shared) == 34816, "host and device disagree about shared memory");
}  // namespace lacuna
LACUNA_KERNEL void LACUNA_BOUNDS(32, 1) lacuna_9a216ad0e9c46349_split_aligned(LACUNA_GRID_CONST lacuna::Params p) {
  lacuna::flash_forward<lacuna::Config>(p);
}
