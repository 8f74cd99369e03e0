// lacuna 0.1.0: attention guarded, flash_forward on machine/sm80
#include "flash_forward.cuh"
#include "weights/softmax.cuh"
#include "machine/sm80.cuh"
#include "ops.cuh"
namespace lacuna {
struct Params {
  CallArg call;
  u32 param[2];
  TensorArg tensor[1];
};
// param[0]: n
// tensor[0]: t
struct Pattern {
  static constexpr bool only_bands = false, from_first_key = true;
  struct RowValues { };
  template <bool full>
  LACUNA_MEMBER static RowValues row_values(const Params& p, const Place& at, s32 q) { return {}; }
  struct KeyValues { };
  template <bool full>
  LACUNA_MEMBER static KeyValues key_values(const Params& p, const Place& at, s32 k) { return {}; }
  static constexpr bool rolled_mask = true;
  // k < n
#line 4 "golden.lac"
  LACUNA_MEMBER static bool conjunct_0(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return (k < (s32)(p.param[0])); }
#line 27 "guarded.cu"
  // 0 < t[k + 1]
#line 4 "golden.lac"
  LACUNA_MEMBER static bool conjunct_1(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) {
#line 4 "golden.lac"
    const s32 v0 = read<Integer<s32>>(p.tensor[0], checked_index(p.call, at, q, k, 0, 0, wrap_add(k, 1), p.call.keys));
#line 4 "golden.lac"
    const bool v1 = (0 < v0);
#line 4 "golden.lac"
    return v1;
#line 4 "golden.lac"
  }
#line 39 "guarded.cu"
  LACUNA_MEMBER static bool attends(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return conjunct_0(p, at, q, k, row, key) && conjunct_1(p, at, q, k, row, key); }
#line 4 "golden.lac"
  LACUNA_MEMBER static bool key_0(const Params& p, const Place& at, s32 k) { return (k < (s32)(p.param[0])); }
#line 43 "guarded.cu"
#line 4 "golden.lac"
  LACUNA_MEMBER static bool key_1(const Params& p, const Place& at, s32 k) { return (0 < read<Integer<s32>>(p.tensor[0], clamp_index(wrap_add(k, 1), p.call.keys))); }
#line 46 "guarded.cu"
  LACUNA_MEMBER static bool keeps_key(const Params& p, const Place& at, s32 k) { return key_0(p, at, k) && key_1(p, at, k); }
#line 4 "golden.lac"
  LACUNA_MEMBER static s32 atom_1(const Params& p, const Place& at) { return (s32)(p.param[0]); }
#line 50 "guarded.cu"
  LACUNA_MEMBER static void narrow(const Params& p, const Place& at, Tile& tile) {
    lacuna::narrow(tile, Affine{0, 1, 0}, Affine{0, 0, 0 + 1 * (s64)atom_1(p, at)}, true);
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
static_assert(sizeof(Params) == 400, "host and device disagree about the parameters");
static_assert(sizeof(FlashForward<Config, Params>::Shared) == 49152, "host and device disagree about shared memory");
}  // namespace lacuna
LACUNA_KERNEL void LACUNA_BOUNDS(128, 1) lacuna_3e22c189c84b3327_aligned(LACUNA_GRID_CONST lacuna::Params p) {
  lacuna::flash_forward<lacuna::Config>(p);
}
