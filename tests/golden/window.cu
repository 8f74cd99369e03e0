// lacuna 0.1.0: attention local, flash_forward on machine/sm80
#include "flash_forward.cuh"
#include "weights/softmax.cuh"
#include "machine/sm80.cuh"
#include "ops.cuh"
namespace lacuna {
struct Params {
  CallArg call;
  u32 param[2];
};
// param[0]: reach
struct Pattern {
  static constexpr bool only_bands = false, from_first_key = true;
  struct RowValues { };
  template <bool full>
  LACUNA_MEMBER static RowValues row_values(const Params& p, const Place& at, s32 q) { return {}; }
  struct KeyValues { };
  template <bool full>
  LACUNA_MEMBER static KeyValues key_values(const Params& p, const Place& at, s32 k) { return {}; }
  static constexpr bool rolled_mask = false;
  // k <= q
#line 3 "golden.lac"
  LACUNA_MEMBER static bool conjunct_0(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return (k <= q); }
#line 25 "local.cu"
  // q - k < reach or k < 4
#line 4 "golden.lac"
  LACUNA_MEMBER static bool conjunct_1(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return ((wrap_sub(q, k) < (s32)(p.param[0])) || (k < 4)); }
#line 29 "local.cu"
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
  static constexpr bool statistic = false;
  static constexpr Lengths lengths = Lengths::uniform;
};
static_assert(sizeof(Params) == 320, "host and device disagree about the parameters");
static_assert(sizeof(FlashForward<Config, Params>::Shared) == 49152, "host and device disagree about shared memory");
}  // namespace lacuna
LACUNA_KERNEL void LACUNA_BOUNDS(128, 1) lacuna_d39592ff6a7590f5_aligned(LACUNA_GRID_CONST lacuna::Params p) {
  lacuna::flash_forward<lacuna::Config>(p);
}
