// Thresholds of rows whose candidates find no room, from sums over all their scores above a gate:
//   F(g) = Σ [x - g]₊^β,  G(g) = Σ [x - g]₊^(β-1),  F(τ) = 1.
// While keys are still being seen the gate follows an estimate of τ, and the sums move with it by a
// model. Sums of all keys at one gate are exact. They say what τ certainly is not left of, by a
// step of Newton on F^(1/β), which is convex; and what it is, by the model, with an error that goes
// by a power of the distance. The model is
//   F(g + d) = F(g) (1 - bend d / fall)^(1/bend),  fall = F / (β G),
// right in value and slope. Exact sums make it right in curvature where [x - g]₊^(β-2) is a
// product; else bend is what one that ends F at zmax has, less where few keys lie above the gate.
#pragma once
#include "gates.cuh"

namespace lacuna {

// `In`: the type of V, and so what weights are rounded to.
template <class Gates, class In>
struct Sums {
  using Machine = typename Gates::Machine;
  static constexpr int rows = Gates::rows;
  static constexpr int power = Gates::Norm::power_of;
  static constexpr bool curved = power > 1;
  // Of a fall: by how much gates of exact sums begin below an estimate, and how far below them
  // tiles are noted. Estimates are off by 0.02 to 0.05, seldom by 0.15, to either side.
  static constexpr float doubt = In::digits == 8 ? 0x1.8p-5f : 0x1p-5f, room = 0x1p-2f;
  // What a weight may be off by, F t^β - 1: no more than rounding it to its type takes.
  static constexpr float borne = In::digits == 8 ? 0x1p-9f : 0x1.4p-12f;
  // Of the first term that the model may have wrong, what it has at most: measured, on the
  // distributions of bench/entmax. How many keys lie on the way is chance, and powers smooth it.
  static constexpr float wrong = power == 2   ? 1.0f
                                 : power == 3 ? 0.33f
                                 : power == 4 ? 0.15f
                                 : power == 1 ? 1.0f
                                              : 0.3f;
  // So many keys have others behind them, where the gate came too far, as the model says.
  static constexpr float many = power == 4 ? 1.0f : power == 3 ? 4.0f : 32.0f;
  // Of all that a row added up to when gates moved: a lane that has more than this has them move.
  static constexpr float sudden = 2.0f;
  // A margin below a threshold that exact sums know, at most: gates of small gaps come near.
  static constexpr float of_gap = 0x1p-8f;

  Above above[rows];    // this lane's share
  float most[rows];     // the greatest of its distances to the gate
  float curve[rows];    // Σ of distances to the power of β - 2, where they are exact
  float certain[rows];  // minus a gate that certainly does not lie right of the threshold
  float slack[rows];    // as far below the gate tiles are noted, since the threshold may lie there
  float enough;         // of a lane's F, for gates to move
  float log2_seen;      // of how many keys, when they moved last

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
  // Whether a row has more than moves at growing intervals can follow.
  LACUNA_MEMBER bool grew() const {
    float f = above[0].f;
    LACUNA_UNROLL
    for (int i = 1; i < rows; ++i) f = max_f32(f, above[i].f);
    return any_lane(f > enough);
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

  // About how many keys lie above a gate: as many as would if all were alike.
  LACUNA_MEMBER static float log2_keys(const Gates& gates, const Above& all) {
    return gates.norm.beta * log2_approx(all.slopes) -
           (gates.norm.beta - 1.0f) * log2_approx(all.f);
  }
  // Where few of the keys lie above the gate the last ones lie far apart, and F falls on.
  LACUNA_MEMBER Decline model_of(const Gates& gates, const Above& all, float most) const {
    const float fall = all.f * rcp_approx(all.slopes * gates.norm.beta);
    const float part = exp2_approx(0.5f * (log2_keys(gates, all) - log2_seen));
    const float bend = fall * rcp_approx(most) * fma_rn(part, 0.5f, 0.6f);
    return {fall, min_f32(bend, 1.0f / gates.norm.beta)};
  }
  // log F, in units in which it is 0 at the threshold.
  LACUNA_MEMBER static float log_of(const Gates& gates, float f) {
    return (log2_approx(f) - gates.norm.beta * log2_approx(gates.reach)) * Decline::log_2;
  }

  // `seen` of all tiles have been: moves gates to where the threshold of all may be; after the last
  // one by the doubt below it. `begins`: from what candidates add up to, over all lanes of a row.
  // What has been seen says half of what is to come: a gate that came too far misses keys.
  LACUNA_MEMBER void follow(Gates& gates, bool begins, s32 seen, s32 tiles) {
    const float rest =
        (log2_approx((float)tiles) - log2_approx((float)seen)) * (0.5f * Decline::log_2);
    log2_seen = log2_approx((float)(seen * (Machine::keys * Machine::row_lanes)));
    enough =
        sudden * exp2_approx(gates.norm.beta * log2_approx(gates.reach) - rest * Decline::log2_e);
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
        slack[0] = room * left * model.fall / gates.unit;
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
    float gap, off;  // by the model; how far it may be off
    float fall;
    float keys;      // about how many lie above the gate
    bool is_beyond;  // the gate lies right of the threshold

    LACUNA_MEMBER bool is_lost() const { return f != f || most == infinity(); }
    LACUNA_MEMBER bool is_near() const { return off <= fall * borne; }
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
    // What a key on the way, of which no model knows, may make of it at most: [x - g]₊^β / (β G).
    const float kink = model.fall * gates.norm.value(abs_f32(way), gates.norm.slope(abs_f32(way))) *
                       rcp_approx(all.f);
    const float step =
        all.f < infinity() ? gates.norm.toward(all.f, all.slopes, gates.reach) : 0.0f;
    return {all.f,
            greatest,
            step,
            greatest - way,
            wrong * model.way_off(x, curved, greatest / gates.norm.beta) + 2.0f * kink,
            model.fall,
            exp2_approx(log2_keys(gates, all)),
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
    if (row.is_beyond && noted && row.is_near() && row.gap < reach) {
      width = row.gap / gates.unit;
      gates.minus[0] += back;
      certain[0] = gates.minus[0];
      return false;
    }
    if (row.is_beyond) {
      const float minus = gates.minus[0] + lower(gates, doubt * row.fall - row.step);
      gates.minus[0] = minus < certain[0] ? minus : certain[0];
      return true;
    }
    // Of scores so great that a gate cannot come near them only the greatest have a weight: the
    // greatest alone says that a threshold is no farther below it than the reach.
    const float beyond = row.most - reach;
    const bool known = row.gap > reach * Gates::last_digit && row.gap < reach;
    width = (known ? row.gap : reach) / gates.unit;
    // Keys that lie within a margin of the gate may be so many that they hold much of a row.
    const float bears = row.fall * borne / gates.unit;
    const float less = min_f32(min_f32(gates.least, width * of_gap), bears);
    const float step = max_f32(row.step * Gates::of_step, beyond);
    const bool rose = gates.raise(0, step, less, Gates::of_walk);
    certain[0] = gates.minus[0];
    return rose && !(row.is_near() && beyond <= row.fall * borne);
  }
};

}  // namespace lacuna
