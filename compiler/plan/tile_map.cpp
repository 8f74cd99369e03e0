#include "compiler/plan/tile_map.h"

#include <algorithm>
#include <limits>

namespace lacuna::plan {
namespace {

struct Line {  // q * factor_q + k * factor_k + constant
  std::int64_t q, k, constant;
};
struct Interval {
  std::int64_t low, high;
};
struct Keys {
  std::int64_t begin, end;
};

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

Line line_of(const Affine& affine, const ir::Graph& graph, const ir::Site& site,
             const ir::Bindings& bindings) {
  Line line{affine.q, affine.k, affine.constant};
  for (const auto& [atom, factor] : affine.atoms)
    line.constant += factor * ir::evaluate(graph, atom, site, bindings).integer;
  return line;
}

Interval over_queries(const Line& line, Interval q) {
  const auto [low, high] = std::minmax({line.q * q.low, line.q * q.high});
  return {line.constant + low, line.constant + high};
}

bool in_i32(Interval values) {
  return values.low >= std::numeric_limits<std::int32_t>::min() &&
         values.high <= std::numeric_limits<std::int32_t>::max();
}

bool in_i32(const Line& line, Interval q, std::int64_t keys) {
  const Interval base = over_queries(line, q);
  const auto [low, high] = std::minmax({std::int64_t{0}, line.k * (keys - 1)});
  return in_i32(Interval{base.low + low, base.high + high});
}

// Keys with value + factor * key <= 0.
Keys keys_below(std::int64_t value, std::int64_t factor, std::int64_t keys) {
  if (factor == 0) return {0, value <= 0 ? keys : 0};
  if (factor > 0) return {0, std::clamp<std::int64_t>(floor_div(-value, factor) + 1, 0, keys)};
  return {std::clamp<std::int64_t>(-floor_div(-value, -factor), 0, keys), keys};
}

void narrow(Keys& keys, Keys by) {
  keys.begin = std::max(keys.begin, by.begin);
  keys.end = std::min(keys.end, by.end);
}

}  // namespace

std::int64_t TileMap::count(TileState state) const {
  return std::count(states.begin(), states.end(), state);
}

TileMap tile_map(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
                 const ir::Bindings& bindings) {
  const ir::Graph& graph = plan.spec.pattern.tree().graph;
  TileMap map{pass.schedule.tile_q, pass.schedule.tile_k, 0, 0, {}};
  map.rows = (site.q_len + map.tile_q - 1) / map.tile_q;
  map.columns = (site.k_len + map.tile_k - 1) / map.tile_k;
  map.states.assign(map.rows * map.columns, TileState::skipped);
  for (std::int64_t row = 0; row < map.rows; ++row) {
    const std::int64_t first = row * map.tile_q,
                       last = std::min<std::int64_t>(first + map.tile_q, site.q_len) - 1;
    const Interval q{first + offset, last + offset};
    Keys visit{0, site.k_len}, full{0, site.k_len};
    for (const Conjunct& c : plan.conjuncts) {
      if (c.taken != Strategy::band) full = {0, 0};
      for (const Band& band : c.bands) {
        const Line l = line_of(band.left, graph, site, bindings),
                   r = line_of(band.right, graph, site, bindings);
        if (!in_i32(q) || !in_i32(l, q, site.k_len) || !in_i32(r, q, site.k_len)) {
          full = {0, 0};
          continue;
        }
        const Line d{l.q - r.q, l.k - r.k, l.constant - r.constant + band.strict};
        const Interval value = over_queries(d, q);
        narrow(visit, keys_below(value.low, d.k, site.k_len));
        narrow(full, keys_below(value.high, d.k, site.k_len));
      }
    }
    for (std::int64_t column = 0; column < map.columns; ++column) {
      const std::int64_t begin = column * map.tile_k, end = begin + map.tile_k;
      if (std::max(begin, visit.begin) >= std::min(end, visit.end)) continue;
      const bool whole = begin >= full.begin && end <= full.end;
      map.states[row * map.columns + column] = whole ? TileState::full : TileState::partial;
    }
  }
  return map;
}

}  // namespace lacuna::plan
