// α-entmax (Peters, Niculae and Martins 2019): with c = α - 1 and β = 1/c,
//   p = [c z - τ]₊^β,  Σ p = 1.
// A row keeps zmax = max z and the gap t = c zmax - τ, in (0, 1], never τ, which loses all digits
// where scores are alike. u = [(z - zmax) c/t + 1]₊ lies in [0, 1], p = u^β / F with F = Σ u^β, and
// τ is exact when F t^β = 1.
#pragma once
#include "lengths.cuh"
#include "math.cuh"

namespace lacuna {

// u^β and u^(β-1), for a β that is known when the code is generated; 0: any, above 1 where u^(β-1)
// shall be continuous at 0.
template <int power, bool precise>
struct Power {
  static constexpr int power_of = power;
  float beta;

  // 0 where u is 0; a NaN stays one. Returns u^(β-1).
  LACUNA_MEMBER float slope(float u) const {
    const float x = slope_above(u);
    return power > 1 ? x : u == 0.0f ? 0.0f : x;
  }
  // The same of a u above 0, or NaN.
  LACUNA_MEMBER float slope_above(float u) const {
    if constexpr (power == 1) return 1.0f;
    if constexpr (power == 2) return u;
    if constexpr (power == 3) return u * u;
    if constexpr (power == 4) return u * u * u;
    const float less = beta - 1.0f;
    return precise ? exponential(less * logarithm(u)) : exp2_approx(less * log2_approx(u));
  }
  // u^β, where slope is u^(β-1).
  LACUNA_MEMBER float value(float u, float slope) const {
    if constexpr (power == 1) return u;
    return slope * u;
  }
  // f + u^β
  LACUNA_MEMBER float sum(float f, float u, float slope) const {
    if constexpr (power == 1) return f + u;
    return fma_rn(slope, u, f);
  }
  // h + [x]₊^(β-2), for a β that is whole and above 1.
  LACUNA_MEMBER float bend(float h, float x) const {
    if constexpr (power == 2) return h + fma_saturated(x, 0x1p100f, 0.0f);
    const float u = max_f32(x, 0.0f);
    return power == 3 ? h + u : fma_rn(u, u, h);
  }
  // f^(1 - 1/β)
  LACUNA_MEMBER float root(float f) const {
    if constexpr (power == 1) return 1.0f;
    if constexpr (power == 2) return precise ? square_root(f) : sqrt_approx(f);
    const float exponent = 1.0f - 1.0f / beta;
    const float x =
        precise ? exponential(exponent * logarithm(f)) : exp2_approx(exponent * log2_approx(f));
    return f == 0.0f ? 0.0f : x;
  }
  // How far a threshold that lies left of the root of f(τ) = Σ [x - τ]₊^β - reach^β may move right:
  // one step of Newton on f^(1/β), which is convex and never passes the root. slopes is the sum of
  // [x - τ]₊^(β-1).
  LACUNA_MEMBER float step(float f, float slopes, float reach) const {
    const float d = toward(f, slopes, reach);
    return slopes > 0.0f && d > 0.0f ? d : 0.0f;
  }
  // The same wherever the threshold lies: to the root's left. NaN where nothing lies above it.
  LACUNA_MEMBER float toward(float f, float slopes, float reach) const {
    const float over = f - root(f) * reach;
    return precise ? divide(over, slopes) : over * rcp_approx(slopes);
  }
};

// A model of F(g) = Σ [x - g]₊^β where its value, slope and bend are known:
//   F(g + d) = F(g) (1 - bend d / fall)^(1/bend),  fall = -F / F'.
struct Decline {
  static constexpr float log2_e = 0x1.715476p+0f, log_2 = 0x1.62e430p-1f;
  float fall, bend;
  // The way on which F falls to e^-x of what it is.
  LACUNA_MEMBER float way(float x) const {
    const float y = x * bend;
    // (1 - e^-y) / y, whose quotient says nothing near 0.
    const float series =
        fma_rn(y, fma_rn(y, fma_rn(y, -0x1.555556p-5f, 0x1.555556p-3f), -0.5f), 1.0f);
    const float quotient = (1.0f - exp2_approx(-y * log2_e)) * rcp_approx(y);
    return fall * x * (abs_f32(y) < 0.125f ? series : quotient);
  }
  // What it may have wrong of that way: its first term that it does not know, `curved` or not. A
  // crowd of keys makes the bend steep, or a fall little beside `longest`, the fall of the greatest
  // alone; what lies behind it is not known. The powers and the eighth are measured on such rows.
  LACUNA_MEMBER float way_off(float x, bool curved, float longest) const {
    const float size = abs_f32(x), steep = bend * bend;
    return size * (curved ? fall * x * x * max_f32(steep * steep, 1.0f / 6)
                          : fma_rn(fall * size, 0.5f, longest * 0.125f));
  }
  // No way is longer than what the model may be asked for: most of the gap, or back some of it.
  LACUNA_MEMBER float bounded(float x) const {
    const float most = 2.0f * rcp_approx(abs_f32(bend) + 0x1p-60f);
    return max_f32(min_f32(x, most), -most);
  }
};

// Whether rows with this α are entmax's at all; those with 1 are softmax's, others are NaN.
LACUNA_DEVICE bool is_alpha(float alpha) {
  return alpha >= 1.01f && alpha <= 2.0f;
}

// Without a score statement z stays the plain product where its unit is a usual one: powers of it
// then stay in range.
struct EntmaxUnit {
  bool raw;
  float scale;  // of a score, to natural logits
};
LACUNA_DEVICE EntmaxUnit entmax_unit(bool plain_score, float scale) {
  const bool raw = plain_score && scale > 0x1p-10f && scale < 0x1p10f;
  return {raw, raw ? scale : 1.0f};
}

// Σ u^β and Σ u^(β-1) of a row, and how many of its u are above 0, where that is asked for.
struct EntmaxTotal {
  float f, w, support;
};
// The end of a row: O = factor * accumulated, A = Σ u^β v. Of one walk with B = Σ u^(β-1) v: the
// escort is of_slopes * B, and A + lean (B - A) takes the place of A.
struct EntmaxEnd {
  float factor, zmax, gap;
  float support, residual;
  float lean, of_slopes;
};

// The rows of a lane, whose zmax and gap a pass before this one found.
template <class Config>
struct EntmaxRows {
  using Machine = typename Config::Machine;
  using Norm = Power<Config::power, Config::precise>;
  static constexpr int rows = Machine::rows, keys = Machine::keys, values = Machine::values;
  static constexpr int most_walks = 3;
  static constexpr float tolerance = 0x1p-20f;  // of u, in f32
  // Whether anything is made of Σ u^(β-1): a better gap, or the escort.
  static constexpr bool sums_slopes = Config::statistic || Config::escort || Config::precise;
  Norm norm;
  float c, scale;
  bool raw;
  // u = [(z + from) gain + 1]: from = -zmax, gain = c/t in the unit of the scores. Where those are
  // plain products their sums begin with it, unless its rounding would show.
  static constexpr bool begins = Config::Pattern::plain_score && !Config::precise;
  float from[rows], gain[rows];
  float f[rows], w[rows];  // Σ u^β, Σ u^(β-1): this lane's share
  u32 support[rows];       // and of the keys of this walk whose u is above 0
  int walks;
  bool escorts;  // values are weighed by u^(β-1), which goes as p^(2-α)

  LACUNA_MEMBER static float ratio(float a, float b) {
    return Config::precise ? divide(a, b) : a * rcp_approx(b);
  }

  LACUNA_MEMBER static u64 statistic(const MatrixArg& m, const Place& at, s32 r) {
    return row_address<F32, Config::lengths>(m, at, at.h, at.q_start + r);
  }
  LACUNA_MEMBER static bool takes(float alpha) { return alpha != 1.0f; }

  // However the last bits of great scores are rounded, the greatest keeps a weight: plain products,
  // by way of distances to gates and of sums that begin with zmax, may be off by some of those of
  // either, others by one bit.
  LACUNA_MEMBER float bounded(float gain, float from) const {
    const float units = begins || Config::Pattern::inverts ? 0x1p18f : 0x1p22f;
    // Reciprocals stay normal.
    const float most = units * rcp_approx(max_f32(min_f32(abs_f32(from), 0x1p125f), 0x1p-60f));
    return max_f32(min_f32(gain, most), -most);
  }

  // Returns whether scores are to be the plain products.
  template <class Params>
  LACUNA_MEMBER bool start(const Params& p, const Place& at, s32 row0) {
    c = Config::Pattern::alpha(p, at) - 1.0f;
    norm.beta = 1.0f / c;
    const EntmaxUnit unit = entmax_unit(Config::Pattern::plain_score, p.call.scale);
    raw = unit.raw;
    scale = unit.scale;
    walks = 0;
    escorts = false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const s32 r = row0 + Machine::row(i);
      from[i] = -0x1p120f;  // of a row without keys, or an absent one: no weight
      gain[i] = 1.0f;
      if (r < at.q_len) {
        const float zmax = load_global<float>(statistic(p.entmax.zmax, at, r));
        if (zmax != -infinity()) {
          from[i] = -ratio(zmax, scale);
          const float gap = load_written<float>(statistic(p.entmax.gap, at, r));
          gain[i] = c * ratio(scale, gap);
          gain[i] = bounded(gain[i], from[i]);
        }
      }
      f[i] = w[i] = support[i] = 0;
    }
    return raw;
  }

  template <class Shared>
  LACUNA_MEMBER void scores(float (&z)[rows][keys], Shared& shared, int slot) const {
    if constexpr (begins) {
      float begin[rows];
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) begin[i] = raw ? from[i] : 0.0f;
      Machine::scores_from(z, begin, shared, slot);
    } else {
      Machine::scores(z, shared, slot);
    }
  }
  // z becomes u^β.
  LACUNA_MEMBER void weigh(float (&z)[rows][keys], float (&)[rows][values]) { weigh_to(z, z); }
  // The same elsewhere; where there is room for twice as many rows, the u^(β-1) stand behind them.
  template <int all>
  LACUNA_MEMBER void weigh_to(float (&to)[all][keys], float (&z)[rows][keys]) {
    if (!begins || !raw) {
      LACUNA_UNROLL
      for (int i = 0; i < rows; ++i) {
        LACUNA_UNROLL
        for (int j = 0; j < keys; ++j) z[i][j] += from[i];
      }
    }
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      LACUNA_UNROLL
      for (int j = 0; j < keys; ++j) {
        const float u = fma_saturated(z[i][j], gain[i], 1.0f);
        const float slope = norm.slope(u), weight = norm.value(u, slope);
        f[i] = norm.sum(f[i], u, slope);
        if constexpr (sums_slopes) w[i] += slope;
        if constexpr (Config::sparsity) support[i] += u > 0.0f;
        to[i][j] = Config::escort && !Config::one_walk && escorts ? slope : weight;
        if constexpr (all > rows) to[rows + i][j] = slope;
      }
    }
  }

  LACUNA_MEMBER float gap(int i) const { return ratio(c * scale, gain[i]); }
  // The gap after a step of Newton: t' = t (W - F + F^(1 - 1/β) / t) / W, where W >= F; of a row
  // without weights, or an absent one, as it was.
  LACUNA_MEMBER float better(int i, float of_f, float of_w) const {
    const float t = fma_rn(gap(i), of_w - of_f, norm.root(of_f));
    return of_w > 0.0f ? ratio(t, of_w) : gap(i);
  }
  // Whether the walk is to be done again, with better gaps: where one is off by more than weights
  // of this type show. The same for all threads.
  LACUNA_MEMBER bool again() {
    if (escorts) return false;
    float t[rows];
    bool far = false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) {
      t[i] = better(i, Machine::row_sum(f[i]), Machine::row_sum(w[i]));
      far |= abs_f32(t[i] - gap(i)) > tolerance * abs_f32(gap(i));
    }
    if (!cta_any(far) || ++walks == most_walks) return false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i) refine(i, t[i]);
    return true;
  }
  LACUNA_MEMBER void refine(int i, float t) {
    gain[i] = bounded(ratio(c * scale, min_f32(t, 1.0f)), from[i]);
    f[i] = w[i] = support[i] = 0;
  }
  // Whether that is still to be done.
  LACUNA_MEMBER bool turn_to_escort() {
    if (escorts) return false;
    LACUNA_UNROLL
    for (int i = 0; i < rows; ++i)
      refine(i, better(i, Machine::row_sum(f[i]), Machine::row_sum(w[i])));
    return escorts = true;
  }

  // Rows take their turn in the first place.
  LACUNA_MEMBER void turn() {
    rotate(from);
    rotate(gain);
    rotate(f);
    rotate(w);
    rotate(support);
  }
  // Of the first row, over its lanes.
  LACUNA_MEMBER EntmaxTotal total() const {
    const float keys_above = Config::sparsity ? Machine::row_sum((float)support[0]) : 0.0f;
    return {Machine::row_sum(f[0]), sums_slopes ? Machine::row_sum(w[0]) : 0.0f, keys_above};
  }
  template <class Params>
  LACUNA_MEMBER EntmaxEnd end(const Params& p, const Place& at, s32 r, bool exists,
                              const EntmaxTotal& total) const {
    const EntmaxEnd none = {0.0f, -infinity(), 1.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    if (!exists) return none;
    const float zmax = load_global<float>(statistic(p.entmax.zmax, at, r));
    if (zmax == -infinity()) return none;
    if (zmax != zmax) return {zmax, zmax, zmax, 0.0f, zmax, 0.0f, zmax};
    const float t = min_f32(gap(0), 1.0f), moved = min_f32(better(0, total.f, total.w), 1.0f);
    const float off = total.f * norm.value(t, norm.slope(t)) - 1.0f;
    EntmaxEnd end = {ratio(1.0f, escorts ? total.w : total.f),
                     zmax,
                     moved,
                     total.support,
                     abs_f32(off),
                     0.0f,
                     0.0f};
    if constexpr (Config::one_walk) {
      end.lean = leaning(total, moved);
      end.factor = ratio(1.0f, fma_rn(total.w - total.f, end.lean, total.f));
      end.of_slopes = ratio(1.0f, total.w);
    }
    return end;
  }
  // With 1 - u = d/t, a gap of t (1 + x) in place of t makes of u to first order u + (1 - u) x, and
  // so of sums of u^β, be they F or A,
  //   Σ u^β (v) + lean (Σ u^(β-1) (v) - Σ u^β (v)),  lean = β x:
  // O is that of the gap that is stored, but for x^2. Where that is no small part of the sums they
  // stay as they are.
  LACUNA_MEMBER float leaning(const EntmaxTotal& total, float moved) const {
    const float t = gap(0), lean = norm.beta * ratio(moved - t, t);
    return abs_f32(lean) * total.w <= total.f * 0x1p-4f ? lean : 0.0f;
  }
  template <class Params>
  LACUNA_MEMBER void store(const EntmaxEnd& end, const Params& p, const Place& at, s32 r) const {
    // A row that exists has its zmax already.
    if (r >= at.q_len) store_global(statistic(p.entmax.zmax, at, r), end.zmax);
    store_global(statistic(p.entmax.gap, at, r), end.gap);
    if constexpr (Config::sparsity) store_sparsity(end, p, at, r);
  }
  // Beside what threshold left; nothing where it visited no key.
  template <class Params>
  LACUNA_MEMBER void store_sparsity(const EntmaxEnd& end, const Params& p, const Place& at,
                                    s32 r) const {
    const u64 to = statistic(p.sparsity.rows, at, r);
    const u32 before = load_written<u32>(to);
    if (before == 0) return;
    if (escorts) return store_global(to, before + 1);
    store_global(to, before + (u32)min_of(walks + 1, most_walks));
    store_global(to + 8, (s32)end.support);
    store_global(to + 12, end.residual);
  }
};

}  // namespace lacuna
