// lacuna 0.1.0: attention capped, threshold on machine/sm80
#include "threshold.cuh"
#include "machine/sm80.cuh"
#include "ops.cuh"
#include "inverse.cuh"
namespace lacuna {
struct Params {
  CallArg call;
  u32 param[2];
  TensorArg tensor[1];
  ThresholdArg threshold;
};
// param[0]: cap
// tensor[0]: gain
struct Pattern {
  static constexpr bool only_bands = true, from_first_key = true;
  // gain[h]
  LACUNA_MEMBER static float row_value_0(const Params& p, const Place& at, s32 q) { return read<F32>(p.tensor[0], at.h); }
  struct RowValues { float v0; };
  template <bool full>
  LACUNA_MEMBER static RowValues row_values(const Params& p, const Place& at, s32 q) { return {row_value_0(p, at, q)}; }
  struct KeyValues { };
  template <bool full>
  LACUNA_MEMBER static KeyValues key_values(const Params& p, const Place& at, s32 k) { return {}; }
  static constexpr bool rolled_mask = false;
  // k <= q
#line 4 "golden.lac"
  LACUNA_MEMBER static bool conjunct_0(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return (k <= q); }
#line 30 "capped.cu"
  LACUNA_MEMBER static bool attends(const Params& p, const Place& at, s32 q, s32 k, const RowValues& row, const KeyValues& key) { return conjunct_0(p, at, q, k, row, key); }
  LACUNA_MEMBER static bool keeps_key(const Params& p, const Place& at, s32 k) { return true; }
  LACUNA_MEMBER static void narrow(const Params& p, const Place& at, Tile& tile) {
    lacuna::narrow(tile, Affine{0, 1, 0}, Affine{1, 0, 0}, false);
  }
  static constexpr bool plain_score = false, scores_any_pair = true;
#line 5 "golden.lac"
  LACUNA_OUTLINED static float score(const Params& p, Place at, s32 q, s32 k, const RowValues& row, const KeyValues& key, float score) { return ((row.v0 * (float_of_bits(p.param[0]) * hyperbolic_tangent(divide(score, float_of_bits(p.param[0]))))) + (float_of(q) * 0.25f)); }
#line 39 "capped.cu"
  static constexpr bool inverts = true;
#line 5 "golden.lac"
  LACUNA_MEMBER static float score_operand_0(const Params& p, const Place& at, s32 q) { return (float_of(q) * 0.25f); }
#line 43 "capped.cu"
#line 5 "golden.lac"
  LACUNA_MEMBER static float score_operand_1(const Params& p, const Place& at, s32 q) { return read<F32>(p.tensor[0], at.h); }
#line 46 "capped.cu"
#line 5 "golden.lac"
  LACUNA_MEMBER static float score_operand_2(const Params& p, const Place& at, s32 q) { return float_of_bits(p.param[0]); }
#line 49 "capped.cu"
#line 5 "golden.lac"
  LACUNA_MEMBER static float score_operand_3(const Params& p, const Place& at, s32 q) { return float_of_bits(p.param[0]); }
#line 52 "capped.cu"
  LACUNA_MEMBER static Unscored unscore(const Params& p, const Place& at, s32 q, float score) { return Unscored{score, 1.0f}.plus(score_operand_0(p, at, q)).times(score_operand_1(p, at, q)).times(score_operand_2(p, at, q)).tanh().over(score_operand_3(p, at, q)); }
#line 6 "golden.lac"
  LACUNA_MEMBER static float alpha(const Params& p, const Place& at) { return 1.5f; }
#line 56 "capped.cu"
};
struct Config {
  using Pattern = lacuna::Pattern;
  using Machine = Sm80<Config>;
  using In = F16;
  static constexpr int head_dim = 64, value_dim = 64;
  static constexpr int tile_q = 128, tile_k = 64, warps = 4, stages = 3;
  static constexpr bool aligned = true, split = false, packed_heads = false, lists = false;
  static constexpr int granule_k = 64;
  static constexpr int power = 2;
  static constexpr bool precise = false, sparsity = false;
  static constexpr Lengths lengths = Lengths::uniform;
};
static_assert(sizeof(Params) == 536, "host and device disagree about the parameters");
static_assert(sizeof(Threshold<Config, Params>::Shared) == 41088, "host and device disagree about shared memory");
}  // namespace lacuna
LACUNA_KERNEL void LACUNA_BOUNDS(128, 1) lacuna_7c8db09b3b24b33b_threshold_aligned(LACUNA_GRID_CONST lacuna::Params p) {
  lacuna::threshold<lacuna::Config>(p);
}
