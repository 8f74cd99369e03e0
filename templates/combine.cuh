// O_i = Σ_s f_s A_s / Σ_s f_s l_s,  f_s = 2^(top_s - top): the parts that the splits of a row left,
// each brought to the maximum of all. The sink joins here, once. A warp to a row; the parts are
// added in their order.
#pragma once
#include "parts.cuh"
#include "weights/softmax.cuh"

namespace lacuna {

template <class Config, class Params>
LACUNA_DEVICE void combine(const Params& p) {
  using Pattern = typename Config::Pattern;
  constexpr int values = (Config::value_dim + 31) / 32;  // columns of a lane
  Place at;
  s32 row0;
  if (!locate<Config::lengths, Config::tile_q>(p.call, block_index(), at, row0)) return;
  const s32 query = row0 + (s32)warp_index();
  if (query >= rows_of<Config::lengths>(p.call, at)) return;
  const s32 lane = (s32)lane_index();
  const bool exists = query < at.q_len;
  bool answered = false;
  SoftmaxEnd end = {0.0f, -infinity()};
  float o[values] = {};
  if (exists) {
    const ScoreUnit unit = score_unit(Pattern::plain_score, p.call.scale);
    const Parts<Config::lengths, Config::value_dim> parts(p.call);
    const s64 row = parts.row(at, at.h, at.q_start + query);
    float top = -infinity();
    LACUNA_NOUNROLL
    for (s32 s = 0; s < p.call.splits; ++s)
      top = max_f32(top, load_global<F2>(parts.state(s, row)).x);
    Softmax whole;
    whole.start(unit.orders);
    whole.raise(top, unit.orders);
    LACUNA_NOUNROLL
    for (s32 s = 0; s < p.call.splits; ++s) {
      const F2 part = load_global<F2>(parts.state(s, row));
      const float factor = whole.add(part.x, part.y, unit.orders);
      const u64 sums = parts.sums(s, row);
      LACUNA_UNROLL
      for (int c = 0; c < values; ++c) {
        const s32 column = c * 32 + lane;
        if (column < Config::value_dim)
          o[c] = fma_rn(factor, load_global<float>(sums + (u64)column * 4), o[c]);
      }
    }
    answered = is_answered(whole.max, whole.sum);
    if (answered)
      end = finish(whole.max * unit.natural, whole.sum,
                   Pattern::sink(p, at, wrap_add(query, at.offset)));
  }
  const s64 row = at.q_start + query;
  const u64 to = row_address<typename Config::Out, Config::lengths>(p.call.o, at, at.h, row);
  LACUNA_UNROLL
  for (int c = 0; c < values; ++c) {
    const s32 column = c * 32 + lane;
    if (column < Config::value_dim)
      store_global(to + (u64)column * sizeof(typename Config::Out::Raw),
                   Config::Out::raw(answered ? o[c] * end.factor : 0.0f));
  }
  if (Config::statistic && lane == 0)
    store_global(row_address<F32, Config::lengths>(p.call.lse, at, at.h, row), end.lse);
}

}  // namespace lacuna
