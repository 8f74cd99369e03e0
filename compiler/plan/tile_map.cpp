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

/// Which keys the tile of queries from `first` on visits, and which of them every query sees.
struct Ranges {
  Keys visit, full;
};

class RangeFinder {
 public:
  RangeFinder(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
              const ir::Bindings& bindings)
      : plan_(plan), pass_(pass), site_(site), offset_(offset), bindings_(bindings) {}

  Ranges at(std::int64_t first) const {
    const std::int64_t last =
        std::min<std::int64_t>(first + pass_.schedule.tile_q, site_.q_len) - 1;
    const Interval q{first + offset_, last + offset_};
    Ranges ranges{{0, site_.k_len}, {0, site_.k_len}};
    for (const Conjunct& c : plan_.conjuncts) {
      if (c.taken != Strategy::band) ranges.full = {0, 0};
      for (const Band& band : c.bands) narrow_by(band, q, ranges);
    }
    return ranges;
  }

 private:
  void narrow_by(const Band& band, Interval q, Ranges& ranges) const {
    const ir::Graph& graph = plan_.spec.pattern.tree().graph;
    const Line l = line_of(band.left, graph, site_, bindings_);
    const Line r = line_of(band.right, graph, site_, bindings_);
    if (!in_i32(q) || !in_i32(l, q, site_.k_len) || !in_i32(r, q, site_.k_len)) {
      ranges.full = {0, 0};
      return;
    }
    const Line d{l.q - r.q, l.k - r.k, l.constant - r.constant + band.strict};
    const Interval value = over_queries(d, q);
    narrow(ranges.visit, keys_below(value.low, d.k, site_.k_len));
    narrow(ranges.full, keys_below(value.high, d.k, site_.k_len));
  }

  const Plan& plan_;
  const Pass& pass_;
  const ir::Site& site_;
  std::int32_t offset_;
  const ir::Bindings& bindings_;
};

std::int64_t tiles_in(std::int64_t extent, int tile) {
  return (extent + tile - 1) / tile;
}

/// The columns of tiles that touch a range, and those that lie inside it.
Keys touched(Keys keys, int tile) {
  if (keys.begin >= keys.end) return {0, 0};
  return {keys.begin / tile, tiles_in(keys.end, tile)};
}
Keys covered(Keys keys, int tile) {
  const Keys columns{tiles_in(keys.begin, tile), keys.end / tile};
  return columns.begin < columns.end ? columns : Keys{0, 0};
}

}  // namespace

std::int64_t TileMap::count(TileState state) const {
  return std::count(states.begin(), states.end(), state);
}

TileMap tile_map(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
                 const ir::Bindings& bindings) {
  TileMap map{pass.schedule.tile_q, pass.schedule.tile_k, 0, 0, {}};
  map.rows = tiles_in(site.q_len, map.tile_q);
  map.columns = tiles_in(site.k_len, map.tile_k);
  map.states.assign(map.rows * map.columns, TileState::skipped);
  const RangeFinder finder(plan, pass, site, offset, bindings);
  for (std::int64_t row = 0; row < map.rows; ++row) {
    const Ranges ranges = finder.at(row * map.tile_q);
    const auto states = map.states.begin() + row * map.columns;
    const Keys visit = touched(ranges.visit, map.tile_k), full = covered(ranges.full, map.tile_k);
    std::fill(states + visit.begin, states + visit.end, TileState::partial);
    std::fill(states + full.begin, states + full.end, TileState::full);
  }
  return map;
}

TileCounts count_tiles(const Plan& plan, const Pass& pass, const ir::Site& site,
                       std::int32_t offset, const ir::Bindings& bindings) {
  const int tile_q = pass.schedule.tile_q, tile_k = pass.schedule.tile_k;
  const RangeFinder finder(plan, pass, site, offset, bindings);
  TileCounts counts;
  for (std::int64_t first = 0; first < site.q_len; first += tile_q) {
    const Ranges ranges = finder.at(first);
    const Keys visit = touched(ranges.visit, tile_k), full = covered(ranges.full, tile_k);
    counts.full += full.end - full.begin;
    counts.partial += visit.end - visit.begin - (full.end - full.begin);
    counts.skipped += tiles_in(site.k_len, tile_k) - (visit.end - visit.begin);
  }
  return counts;
}

}  // namespace lacuna::plan
