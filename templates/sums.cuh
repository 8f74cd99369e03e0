// Thresholds of rows whose candidates find no room, from sums over all their scores above a gate:
//   F(g) = Σ [x - g]₊^β,  G(g) = Σ [x - g]₊^(β-1),  F(τ) = 1.
// While keys are still being seen the gate follows an estimate of τ, and the sums move with it by a
// model. Sums of all keys at one gate are exact. They say what τ certainly is not left of, by a
// step of Newton on F^(1/β), which is convex; and what it is, by the model, with an error that goes
// by a power of the distance. The model is
//   F(g + d) = F(g) (1 - bend d / fall)^(1/bend),  fall = F / (β G),
// right in value and slope. Exact sums make it right in curvature where [x - g]₊^(β-2) is a
// product; else it is right in where F ends, at zmax, as it is for rows whose scores are all alike.
#pragma once
#include "gates.cuh"

namespace lacuna {

template <class Gates>
struct Sums {
  using Machine = typename Gates::Machine;
  static constexpr int rows = Gates::rows;
  static constexpr bool curved = Gates::Norm::power_of > 1;
  // Of a fall: by how much gates of exact sums begin below an estimate, which is seldom off by
  // more. More than needed makes the way longer that the model has to know.
  static constexpr float doubt = 0x1.4p-4f;
  // Of a gap: what the first term that the model may have wrong may be. Its error is measured, on
  // the distributions of bench/entmax: some tenth of that, less where the power is higher; and what
  // weights are off by, F t^β - 1, is 3e-4 at most.
  static constexpr float tolerance = Gates::Norm::power_of > 2 ? 0x1p-11f
                                     : curved                  ? 0x1p-13f
                                                               : 0x1p-10f;
  static constexpr float many = 32;
  // A margin below a threshold that exact sums know, at most: gates of small gaps come near.
  static constexpr float of_gap = 0x1p-8f;

  Above above[rows];    // this lane's share
  float most[rows];     // the greatest of its distances to the gate
  float curve[rows];    // Σ of distances to the power of β - 2, where they are exact
  float certain[rows];  // minus a gate that certainly does not lie right of the threshold
  float slack[rows];    // as far below the gate tiles are noted, since the threshold may lie there

  LACUNA_MEMBER void clear() {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) above[i] = Above(), most[i] = curve[i] = 0;
  }
  // `greatest`: of each row, in as many parts of the tile.
  template <int parts, int keys>
  LACUNA_MEMBER void add(const Gates& gates, const float (&c)[rows][keys],
                         float (&greatest)[parts][rows]) {
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int k = 0; k < keys; ++k) {
        above[i].add(gates.norm, gates.to_distance(c[i][k]));
        float& top = greatest[k * parts / keys][i];
        top = k % (keys / parts) == 0 ? c[i][k] : max_f32(top, c[i][k]);
      }
      LACUNA_UNROLL
      for (int part = 0; part < parts; ++part)
        most[i] = max_f32(most[i], gates.to_distance(greatest[part][i]));
    }
  }
  // Whether keys of the warp may have a weight, where a lane's are no greater.
  LACUNA_MEMBER bool near(const float (&greatest)[rows]) const {
    u32 all = ~0u;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) all &= bits_of(greatest[i] + slack[i]);
    return any_lane((s32)all >= 0);
  }
  template <int keys>
  LACUNA_MEMBER void add_curve(const Gates& gates, const float (&c)[rows][keys]) {
    if constexpr (!curved) return;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int k = 0; k < keys; ++k) curve[i] = gates.norm.bend(curve[i], c[i][k]);
    }
  }
  // Rows take their turn in the first place.
  LACUNA_MEMBER void turn(Gates& gates) {
    rotate(above);
    rotate(most);
    rotate(curve);
    rotate(certain);
    rotate(slack);
    rotate(gates.minus);
    rotate(gates.rose);
  }

  LACUNA_MEMBER static Decline model_of(const Gates& gates, const Above& all, float most) {
    const float fall = all.f * rcp_approx(all.slopes * gates.norm.beta);
    return {fall, min_f32(fall * rcp_approx(most), 1.0f / gates.norm.beta)};
  }
  // log F, in units in which it is 0 at the threshold.
  LACUNA_MEMBER static float log_of(const Gates& gates, float f) {
    return (log2_approx(f) - gates.norm.beta * log2_approx(gates.reach)) * Decline::log_2;
  }

  // `seen` of all tiles have been: moves gates to where the threshold of all may be; after the last
  // one by the doubt below it. `begins`: from what candidates add up to, over all lanes of a row.
  LACUNA_MEMBER void follow(Gates& gates, bool begins, s32 seen, s32 tiles) {
    const float rest = (log2_approx((float)tiles) - log2_approx((float)seen)) * Decline::log_2;
    u32 list = gates.lists;
    LACUNA_NOUNROLL
    for (int n = 0; n < rows; ++n, list += Gates::list_bytes) {
      if (begins) begin(gates, list);
      Above all = above[0];
      all.meet<Machine>();
      const Decline model = model_of(gates, all, Machine::row_max(most[0]));
      const float x = model.bounded(log_of(gates, all.f) + rest), d = model.way(x);
      const float left = exp2_approx(-x * model.bend * Decline::log2_e);
      float minus = gates.minus[0];
      if (all.f > 0.0f && all.f < infinity() && all.slopes > 0.0f) {
        const float less = exp2_approx(-x * Decline::log2_e);
        above[0].f *= less;
        above[0].slopes *= less * rcp_approx(left);
        most[0] -= d;
        minus = gates.minus[0] - d / gates.unit;
        slack[0] = doubt * left * model.fall / gates.unit;
        if (seen == tiles) minus += lower(gates, doubt * left * model.fall);
      }
      gates.minus[0] = minus < certain[0] ? minus : certain[0];
      turn(gates);
      rotate(gates.end);
    }
  }
  // A distance, and what the rounding of a gate takes.
  LACUNA_MEMBER static float lower(const Gates& gates, float distance) {
    return fma_rn(abs_f32(gates.minus[0]), Gates::of_walk, distance / gates.unit);
  }
  LACUNA_MEMBER void begin(const Gates& gates, u32 list) {
    float top = -infinity();
    gates.each_candidate(list, gates.end[0], [&](float value, s32) { top = max_f32(top, value); });
    if (lane_index() % Machine::row_lanes != 0) above[0] = Above();
    most[0] = gates.to_distance(top + gates.to_gate(0));
    certain[0] = gates.minus[0];
  }

  // What exact sums say of the first row. All lanes of a warp meet in it.
  struct Row {
    float f, most;
    float step;      // to the threshold: Newton's, which does not pass it; 0 where sums overflow
    float gap, off;  // by the model; how far it may be off, before its factor
    float less;      // what a gate that is not certain keeps from it
    float keys;      // at least so many lie above the gate: as many as would if all were alike
    bool is_beyond;  // the gate lies right of the threshold

    LACUNA_MEMBER bool is_lost() const { return f != f || most == infinity(); }
  };
  LACUNA_MEMBER Row total(const Gates& gates) const {
    Above all = above[0];
    all.meet<Machine>();
    const float greatest = Machine::row_max(most[0]);
    Decline model = model_of(gates, all, greatest);
    if (curved) {
      const float share = (1.0f - 1.0f / gates.norm.beta) * all.f * Machine::row_sum(curve[0]);
      model.bend = 1.0f - share * rcp_approx(all.slopes * all.slopes);
    }
    const float x = log_of(gates, all.f), way = model.way(model.bounded(x));
    const float step =
        all.f < infinity() ? gates.norm.toward(all.f, all.slopes, gates.reach) : 0.0f;
    return {all.f,
            greatest,
            step,
            greatest - way,
            model.fall * x * x * (curved ? x * (1.0f / 6) : 0.5f),
            doubt * model.fall,
            exp2_approx(gates.norm.beta * log2_approx(all.slopes) -
                        (gates.norm.beta - 1.0f) * log2_approx(all.f)),
            !(step >= 0.0f) && gates.minus[0] < certain[0]};
  }
  // Moves its gate to where the threshold certainly is not left of it. Whether it is still unknown.
  LACUNA_MEMBER bool improve(Gates& gates, const Row& row, float& width) {
    const float reach = gates.reach;
    // Where tiles were noted as far as the threshold, the model knows the way back to it, if keys
    // are so many that those on the way are as it says.
    const float back = lower(gates, row.gap - row.most + row.off);
    const bool noted = back <= slack[0] * 0.9375f && row.keys >= many;
    slack[0] = 0;
    if (row.is_beyond && noted && row.off <= row.gap * tolerance && row.gap < reach) {
      width = row.gap / gates.unit;
      gates.minus[0] += back;
      certain[0] = gates.minus[0];
      return false;
    }
    if (row.is_beyond) {
      const float minus = gates.minus[0] + lower(gates, row.less - row.step);
      gates.minus[0] = minus < certain[0] ? minus : certain[0];
      return true;
    }
    // Of scores so great that a gate cannot come near them only the greatest have a weight: the
    // greatest alone says that a threshold is no farther below it than the reach.
    const float beyond = row.most - reach;
    const bool known = row.gap > reach * Gates::last_digit && row.gap < reach;
    width = (known ? row.gap : reach) / gates.unit;
    const float less = min_f32(gates.least, width * of_gap);
    const bool rose = gates.raise(0, max_f32(row.step, beyond), less, Gates::of_walk);
    certain[0] = gates.minus[0];
    return rose && !(max_f32(row.off, beyond) <= row.gap * tolerance);
  }
};

}  // namespace lacuna
