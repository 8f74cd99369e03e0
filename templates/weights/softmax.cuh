// p = exp(z - lse), online (Milakov and Gimelshein 2018): a row keeps m = max z and l = Σ exp(z -
// m); a new maximum rescales what was summed. lse = m + log l.
#pragma once
#include "lengths.cuh"

namespace lacuna {

// exp(x), for differences of scores.
LACUNA_DEVICE float exp_of(float x) {
  return exp2_approx(x * 1.4426950408889634f);
}

// What scores count: without a score statement a scale in the usual range becomes part of the
// exponential, and z stays the plain product; others multiply every score.
struct ScoreUnit {
  bool raw;       // z is the plain product
  float orders;   // binary orders of a score that differs by 1
  float natural;  // and natural logits
};
LACUNA_DEVICE ScoreUnit score_unit(bool plain_score, float scale) {
  const bool raw = plain_score && scale > 0x1p-60f && scale < 0x1p60f;
  const float natural = raw ? scale : 1.0f;
  return {raw, 1.4426950408889634f * natural, natural};
}

// Scores come in any unit that is `unit` binary orders wide: scale log2 e for plain products, log2
// e for natural scores. The weight of z is 2^(z step - top): one multiply-add and one exponential.
struct Softmax {
  float max, sum;   // max in the unit of the scores; sum is this lane's share
  float step, top;  // of max

  LACUNA_MEMBER void start(float unit) {
    max = -infinity();
    sum = 0;
    step = unit;
    top = 0;  // without a live score every weight is 0, never NaN
  }
  // Takes a new maximum; returns the factor for what was accumulated before.
  LACUNA_MEMBER float raise(float tile_max, float unit) {
    const float max_before = max, step_before = step, top_before = top;
    max = max_f32(max, tile_max);
    // The rounding of max * unit may put every weight off by 2^4 below this bound, which f16 bears.
    // Above, a step that is a power of 2 makes the product exact; scores there are rounded to more
    // than 8 binary orders, and what lies below the maximum has no weight with either step.
    const bool huge = abs_f32(max * unit) > 0x1p27f;
    const float next = float_of_bits((bits_of(unit) + 0x007fffffu) & 0xff800000u);
    const float power = abs_f32(max) < 0x1p64f ? next : 1.0f;
    step = huge ? power : unit;
    top = max == -infinity() ? 0.0f : max * step;
    const float old = step == step_before ? top_before : max_before * step;
    const float factor = max_before == -infinity() ? 0.0f : exp2_approx(old - top);
    sum *= factor;
    return factor;
  }
  // Takes what was summed under a maximum of its own, which is not above this one; returns the
  // factor for what was accumulated with it.
  LACUNA_MEMBER float add(float part_max, float part_sum, float unit) {
    Softmax part;
    part.start(unit);
    part.raise(part_max, unit);
    const float factor = part.raise(max, unit);
    sum = fma_rn(factor, part_sum, sum);
    return factor;
  }
  LACUNA_MEMBER float weight(float z) {
    const float p = exp2_approx(fma_rn(z, step, -top));
    sum += p;
    return p;
  }
};

// The end of a row: `total` is the sum over lanes.
struct SoftmaxEnd {
  float factor, lse;  // O = factor * accumulated
};

// Whether some key answers the row. A row of NaN scores has no maximum, but a sum.
LACUNA_DEVICE bool is_answered(float max, float total) {
  return max != -infinity() || total != 0.0f;
}
// A sink (natural logits, -inf: none) joins maximum and sum.
LACUNA_DEVICE SoftmaxEnd finish(float max, float total, float sink) {
  const float top = max_f32(max, sink), shrink = exp_of(max - top);
  const float sum = fma_rn(total, shrink, exp_of(sink - top));
  return {shrink * rcp_approx(sum), fma_rn(log2_approx(sum), 0.6931471805599453f, top)};
}

// The rows of a lane.
template <class Config>
struct SoftmaxRows {
  using Machine = typename Config::Machine;
  static constexpr int rows = Machine::rows, keys = Machine::keys, values = Machine::values;
  float unit;     // binary orders of a score that differs by 1
  float natural;  // and natural logits
  Softmax state[rows];

  // Of the heads of a pattern whose α differs from call to call.
  LACUNA_MEMBER static bool takes(float alpha) { return alpha == 1.0f; }

  // Returns whether scores are to be the plain products.
  template <class Params>
  LACUNA_MEMBER bool start(const Params& p, const Place&, s32) {
    const ScoreUnit score = score_unit(Config::Pattern::plain_score, p.call.scale);
    unit = score.orders;
    natural = score.natural;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) state[i].start(unit);
    return score.raw;
  }

  // Whether the walk is to be done again.
  LACUNA_MEMBER static bool again() { return false; }

  template <class Shared>
  LACUNA_MEMBER static void scores(float (&z)[rows][keys], Shared& shared, int slot) {
    Machine::scores(z, shared, slot);
  }
  // z becomes the weights.
  LACUNA_MEMBER void weigh(float (&z)[rows][keys], float (&o)[rows][values]) {
    float top[rows];
    bool higher = false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      top[i] = z[i][0];
      LACUNA_UNROLL
      for (int j = 1; j < keys; ++j) top[i] = max_f32(top[i], z[i][j]);
      top[i] = Machine::row_max(top[i]);
      higher |= top[i] > state[i].max;
    }
    if (any_lane(higher)) {  // ever more rarely
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) {
        const float factor = state[i].raise(top[i], unit);
        LACUNA_UNROLL
        for (int c = 0; c < values; ++c) o[i][c] *= factor;
      }
    }
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) z[i][j] = state[i].weight(z[i][j]);
    }
  }

  // Σ of the first row, over its lanes.
  LACUNA_MEMBER float total() const { return Machine::row_sum(state[0].sum); }
  // Rows take their turn in the first place.
  LACUNA_MEMBER void turn() { rotate(state); }
  template <class Params>
  LACUNA_MEMBER SoftmaxEnd end(const Params& p, const Place& at, s32 r, bool exists,
                               float total) const {
    if (!exists || !is_answered(state[0].max, total)) return {0.0f, -infinity()};
    const float sink = Config::Pattern::sink(p, at, wrap_add(r, at.offset));
    return finish(state[0].max * natural, total, sink);
  }
  template <class Params>
  LACUNA_MEMBER static void store(const SoftmaxEnd& end, const Params& p, const Place& at, s32 r) {
    store_global(row_address<F32, Config::lengths>(p.call.lse, at, at.h, at.q_start + r), end.lse);
  }
};

}  // namespace lacuna
