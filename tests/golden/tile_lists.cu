// lacuna 0.1.0: attention docs, tile_lists on machine/sm80
#include "tiles/lists.cuh"
#include "box_read.cuh"
#include "ops.cuh"
namespace lacuna {
struct Params {
  CallArg call;
  TensorArg tensor[1];
  TileBuildArg tiles;
};
// tensor[0]: id
struct Pattern {
  // k <= q
#line 3 "golden.lac"
  LACUNA_MEMBER static bool conjunct_0(const Params& p, const Place& at, s32 q, s32 k) { return (k <= q); }
#line 17 "docs.cu"
  // id[b, q] == id[b, k]
#line 3 "golden.lac"
  LACUNA_MEMBER static bool conjunct_1(const Params& p, const Place& at, s32 q, s32 k) { return (read<Integer<s32>>(p.tensor[0], at.b, packed_key(clamp_index(q, at.k_len), at, p.call)) == read<Integer<s32>>(p.tensor[0], at.b, packed_key(k, at, p.call))); }
#line 21 "docs.cu"
  LACUNA_MEMBER static bool attends(const Params& p, const Place& at, s32 q, s32 k) { return conjunct_0(p, at, q, k) && conjunct_1(p, at, q, k); }
  LACUNA_MEMBER static void narrow(const Params& p, const Place& at, Tile& tile) {
    lacuna::narrow(tile, Affine{0, 1, 0}, Affine{1, 0, 0}, false);
  }
  static constexpr int query_values = 1, key_values = 1;
  static constexpr bool needs_elements = true;
  // id[b, q]
  LACUNA_MEMBER static s32 query_value_0(const Params& p, const Place& at, s32 q) { return read<Integer<s32>>(p.tensor[0], at.b, packed_key(clamp_index(q, at.k_len), at, p.call)); }
  LACUNA_MEMBER static void query_at(const Params& p, const Place& at, s32 q, U2 (&out)[1]) { out[0] = spans::pack(spans::point(query_value_0(p, at, q))); }
  LACUNA_MEMBER static void query_hull(U2 (&into)[1], const U2 (&with)[1]) { into[0] = spans::hull<spans::Int>(into[0], with[0]); }
  // id[b, k]
  LACUNA_MEMBER static s32 key_value_0(const Params& p, const Place& at, s32 k) { return read<Integer<s32>>(p.tensor[0], at.b, packed_key(k, at, p.call)); }
  LACUNA_MEMBER static void key_at(const Params& p, const Place& at, s32 k, U2 (&out)[1]) { out[0] = spans::pack(spans::point(key_value_0(p, at, k))); }
  LACUNA_MEMBER static void key_hull(U2 (&into)[1], const U2 (&with)[1]) { into[0] = spans::hull<spans::Int>(into[0], with[0]); }
  LACUNA_MEMBER static Truth classify(const Params& p, const Place& at, const Box& box, const U2 (&q)[1], const U2 (&k)[1]) {
    const spans::Bool x6 = spans::both(spans::less_equal(spans::Int{box.k0, box.k1}, spans::Int{box.q0, box.q1}), spans::equal(spans::unpacked<spans::Int>(q[0]), spans::unpacked<spans::Int>(k[0])));
    return spans::truth_of(x6);
  }
};
struct Config {
  using Pattern = lacuna::Pattern;
  static constexpr int tile_q = 128, tile_k = 64;
  static constexpr bool packed_heads = false, classifies = true;
  static constexpr Lengths lengths = Lengths::packed;
};
static_assert(sizeof(Params) == 504, "host and device disagree about the parameters");
}  // namespace lacuna
LACUNA_KERNEL void LACUNA_BOUNDS(512, 1) lacuna_b4654320938e9885_tile_lists(LACUNA_GRID_CONST lacuna::Params p) {
  lacuna::tile_lists<lacuna::Config>(p);
}
