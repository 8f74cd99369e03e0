#include "compiler/plan/tile_map.h"

#include "compiler/ir/scalar.h"
#include "compiler/plan/classify.h"
#include "compiler/plan/decided.h"

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

std::vector<ir::NodeId> expressions(const Plan& plan) {
  std::vector<ir::NodeId> nodes;
  for (const Conjunct& c : plan.conjuncts) nodes.push_back(c.expr);
  return nodes;
}

std::int32_t last_of(std::int64_t first, std::int64_t count, std::int32_t extent) {
  return static_cast<std::int32_t>(std::min<std::int64_t>(first + count, extent) - 1);
}

/// The truth of tiles by their elements.
class ElementTest {
 public:
  ElementTest(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
              const ir::Bindings& bindings)
      : pattern_(plan.spec.pattern.tree()),
        tiles_(pass.schedule),
        site_(site),
        offset_(offset),
        evaluator_(pattern_.graph, bindings) {}

  Truth operator()(std::int64_t row, std::int64_t column) {
    const std::int64_t row0 = row * tiles_.tile_q, k0 = column * tiles_.tile_k;
    const std::int32_t last = last_of(k0, tiles_.tile_k, site_.k_len);
    bool some = false, all = true;
    for (std::int64_t r = row0; r <= last_of(row0, tiles_.tile_q, site_.q_len); ++r) {
      site_.q = ir::scalar::wrap_add(static_cast<std::int32_t>(r), offset_);
      evaluator_.move_to(site_);
      for (auto k = static_cast<std::int32_t>(k0); k <= last; ++k) {
        evaluator_.move_to_key(k);
        const bool attends = evaluator_.attends(pattern_.masks);
        some |= attends;
        all &= attends;
        if (some && !all) return Truth::some;
      }
    }
    return some ? Truth::all : Truth::none;
  }

 private:
  const ir::Pattern& pattern_;
  const Schedule& tiles_;
  ir::Site site_;
  std::int32_t offset_;
  ir::Evaluator evaluator_;
};

/// The rows of lists, as templates/tiles/classify.cuh makes them: bands first, then spans of 32
/// tiles together, spans of each tile, and elements where the plan asks for them.
class ListRows {
 public:
  ListRows(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
           const ir::Bindings& bindings)
      : tiles_(pass.schedule),
        site_(site),
        offset_(offset),
        finder_(plan, pass, site, offset, bindings),
        program_(span_program(plan.spec.pattern.tree(), expressions(plan))),
        classifier_(plan.spec.pattern.tree(), program_, site, bindings),
        test_(plan, pass, site, offset, bindings),
        needs_elements_(tile_test(plan).elements) {
    for (std::int64_t k = 0; k < site.k_len; k += tiles_.tile_k) keys_.push_back(keys(k, 1));
    for (std::int64_t k = 0; k < site.k_len; k += group * tiles_.tile_k)
      groups_.push_back(keys(k, group));
  }

  const Reasons& reasons() const { return reasons_; }

  void find(std::int64_t row, std::vector<TileState>& states) {
    std::fill(states.begin(), states.end(), TileState::skipped);
    const std::int64_t first = row * tiles_.tile_q;
    const Keys visit = touched(finder_.at(first).visit, tiles_.tile_k);
    reasons_.outside += static_cast<std::int64_t>(states.size()) - (visit.end - visit.begin);
    if (visit.begin >= visit.end) return;
    const std::int32_t q0 = ir::scalar::wrap_add(static_cast<std::int32_t>(first), offset_);
    const std::int32_t q1 =
        ir::scalar::wrap_add(last_of(first, tiles_.tile_q, site_.q_len), offset_);
    const Summary queries = classifier_.queries(q0, q1);
    const auto truth = [&](const Column& column) {
      const bool wraps = q1 < q0;
      const Box box{wraps ? std::numeric_limits<std::int32_t>::min() : q0,
                    wraps ? std::numeric_limits<std::int32_t>::max() : q1, column.k0, column.k1};
      return classifier_.classify(box, queries, column.spans);
    };
    for (std::int64_t g = visit.begin / group; g * group < visit.end; ++g) {
      if (truth(groups_[g]) == Truth::none) continue;
      const std::int64_t end = std::min(visit.end, (g + 1) * group);
      for (std::int64_t column = std::max(visit.begin, g * group); column < end; ++column)
        states[column] = settle(row, column, truth(keys_[column]));
    }
  }

 private:
  struct Column {
    std::int32_t k0, k1;
    Summary spans;
  };
  static constexpr std::int64_t group = 32;

  Column keys(std::int64_t first, std::int64_t tiles) {
    const auto k0 = static_cast<std::int32_t>(first);
    const std::int32_t k1 = last_of(first, tiles * tiles_.tile_k, site_.k_len);
    return {k0, k1, classifier_.keys(k0, k1)};
  }

  TileState settle(std::int64_t row, std::int64_t column, Truth truth) {
    const bool whole = (column + 1) * tiles_.tile_k <= site_.k_len;
    if (truth == Truth::some && needs_elements_) {
      truth = test_(row, column);
      ++reasons_.tested;
      reasons_.emptied += truth == Truth::none;
      reasons_.filled += truth == Truth::all && whole;
    }
    return truth == Truth::none           ? TileState::skipped
           : truth == Truth::all && whole ? TileState::full
                                          : TileState::partial;
  }

  const Schedule& tiles_;
  ir::Site site_;
  std::int32_t offset_;
  RangeFinder finder_;
  SpanProgram program_;
  Classifier classifier_;
  ElementTest test_;
  bool needs_elements_;
  std::vector<Column> keys_, groups_;
  Reasons reasons_;
};

/// Of a pass that reads no lists.
void find_by_bands(const RangeFinder& finder, const Schedule& tiles, std::int64_t row,
                   std::vector<TileState>& states) {
  const Ranges ranges = finder.at(row * tiles.tile_q);
  const Keys visit = touched(ranges.visit, tiles.tile_k), full = covered(ranges.full, tiles.tile_k);
  std::fill(states.begin(), states.end(), TileState::skipped);
  std::fill(states.begin() + visit.begin, states.begin() + visit.end, TileState::partial);
  std::fill(states.begin() + full.begin, states.begin() + full.end, TileState::full);
}

/// Calls `use` with the states of each row of tiles; returns what decided.
template <class Use>
Reasons each_row(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
                 const ir::Bindings& bindings, Use use) {
  std::vector<TileState> states(tiles_in(site.k_len, pass.schedule.tile_k));
  const std::int64_t rows = tiles_in(site.q_len, pass.schedule.tile_q);
  if (pass.listed) {
    ListRows list(plan, pass, site, offset, bindings);
    for (std::int64_t row = 0; row < rows; ++row) {
      list.find(row, states);
      use(row, states);
    }
    return list.reasons();
  }
  const RangeFinder finder(plan, pass, site, offset, bindings);
  for (std::int64_t row = 0; row < rows; ++row) {
    find_by_bands(finder, pass.schedule, row, states);
    use(row, states);
  }
  return {};
}

void add(TileCounts& counts, TileState state) {
  ++(state == TileState::full      ? counts.full
     : state == TileState::partial ? counts.partial
                                   : counts.skipped);
}

}  // namespace

std::int64_t TileMap::count(TileState state) const {
  return std::count(states.begin(), states.end(), state);
}

Reasons& Reasons::operator+=(const Reasons& more) {
  outside += more.outside;
  tested += more.tested;
  emptied += more.emptied;
  filled += more.filled;
  return *this;
}

TileCounts& TileCounts::operator+=(const TileCounts& more) {
  full += more.full;
  partial += more.partial;
  skipped += more.skipped;
  reasons += more.reasons;
  return *this;
}

TileMap tile_map(const Plan& plan, const Pass& pass, const ir::Site& site, std::int32_t offset,
                 const ir::Bindings& bindings) {
  TileMap map{pass.schedule.tile_q, pass.schedule.tile_k};
  map.rows = tiles_in(site.q_len, map.tile_q);
  map.columns = tiles_in(site.k_len, map.tile_k);
  map.reasons = each_row(plan, pass, site, offset, bindings, [&](std::int64_t, const auto& states) {
    map.states.insert(map.states.end(), states.begin(), states.end());
  });
  return map;
}

TileCounts count_tiles(const Plan& plan, const Pass& pass, const ir::Site& site,
                       std::int32_t offset, const ir::Bindings& bindings) {
  TileCounts counts;
  if (pass.listed) {
    counts.reasons =
        each_row(plan, pass, site, offset, bindings, [&](std::int64_t, const auto& states) {
          for (const TileState state : states) add(counts, state);
        });
    return counts;
  }
  // Without looking at each tile: there may be very many.
  const int tile_q = pass.schedule.tile_q, tile_k = pass.schedule.tile_k;
  const RangeFinder finder(plan, pass, site, offset, bindings);
  for (std::int64_t first = 0; first < site.q_len; first += tile_q) {
    const Ranges ranges = finder.at(first);
    const Keys visit = touched(ranges.visit, tile_k), full = covered(ranges.full, tile_k);
    counts.full += full.end - full.begin;
    counts.partial += visit.end - visit.begin - (full.end - full.begin);
    counts.skipped += tiles_in(site.k_len, tile_k) - (visit.end - visit.begin);
  }
  counts.reasons.outside = counts.skipped;
  return counts;
}

TileCounts least_tiles(const Plan& plan, const Pass& pass, const ir::Site& site,
                       std::int32_t offset, const ir::Bindings& bindings, Look look) {
  TileCounts counts;
  ElementTest test(plan, pass, site, offset, bindings);
  each_row(plan, pass, site, offset, bindings, [&](std::int64_t row, const auto& states) {
    for (std::size_t column = 0; column < states.size(); ++column) {
      if (look == Look::partial && states[column] != TileState::partial) {
        add(counts, states[column]);
        continue;
      }
      const Truth truth = test(row, static_cast<std::int64_t>(column));
      add(counts, truth == Truth::none  ? TileState::skipped
                  : truth == Truth::all ? TileState::full
                                        : TileState::partial);
    }
  });
  return counts;
}

}  // namespace lacuna::plan
