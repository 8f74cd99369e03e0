// Passes, candidates, support and live keys of entmax over the study's distributions, as its public
// statistic has them. True keys are those whose f64 score lies above the threshold that the call
// reports. One causal head, bf16, queries that are the last of their keys. Counts, never times.
#include "bench/entmax/passes.h"

#include "compiler/ir/element.h"
#include "runtime/program.h"

#include "bench/entmax/distributions.h"
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

namespace lacuna::bench {
namespace {

struct Case {
  Scores scores;
  std::int64_t keys;
  double sigma, alpha;
  std::uint64_t seed;
  DType dtype;
};
/// Of all tiles of queries: how many took so many passes; and the greatest residual.
struct Summary {
  std::map<int, int> tiles;
  double residual = 0;
};
constexpr int depth = 64;
constexpr std::int64_t most_queries = 512;

std::vector<std::uint16_t> bits_of(DType in, const std::vector<float>& values) {
  std::vector<std::uint16_t> bits(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    ir::store_real(in, bits.data(), static_cast<std::int64_t>(i), static_cast<double>(values[i]));
  return bits;
}

std::vector<double> f64_of(DType in, const std::vector<std::uint16_t>& bits) {
  std::vector<double> values(bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i)
    values[i] = ir::load_real(in, bits.data(), static_cast<std::int64_t>(i));
  return values;
}

/// Keys that have a weight in a row of a tile of queries, of all tiles.
std::int64_t true_keys(const Case& c, std::int64_t queries, const std::vector<double>& q,
                       const std::vector<double>& k, const std::vector<float>& zmax,
                       const std::vector<float>& gap, int tile_q) {
  std::int64_t all = 0;
  const double scale = 1 / std::sqrt(double{depth});
  std::vector<std::uint8_t> live(static_cast<std::size_t>(c.keys));
  for (std::int64_t first = 0; first < queries; first += tile_q) {
    std::fill(live.begin(), live.end(), 0);
    for (std::int64_t i = first; i < std::min(first + tile_q, queries); ++i) {
      const auto row = static_cast<std::size_t>(i);
      const std::int64_t place = c.keys - queries + i;
      const double* const query = &q[static_cast<std::size_t>(place * depth)];
      for (std::int64_t j = 0; j <= place; ++j) {
        const double* const key = &k[static_cast<std::size_t>(j * depth)];
        const double z = scale * std::inner_product(query, query + depth, key, 0.0);
        if ((c.alpha - 1) * (z - double{zmax[row]}) + double{gap[row]} > 0)
          live[static_cast<std::size_t>(j)] = 1;
      }
    }
    all += std::accumulate(live.begin(), live.end(), std::int64_t{0});
  }
  return all;
}

template <class T>
double mean(const std::vector<T>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}
template <class T>
T most(const std::vector<T>& values) {
  return *std::max_element(values.begin(), values.end());
}

void run(EngineState& engine, const Case& c, Summary& summary) {
  const std::int64_t queries = std::min(c.keys, most_queries);
  const Operands drawn = draw({c.scores, c.sigma, c.keys, depth, c.seed});
  std::vector<std::uint16_t> q = bits_of(c.dtype, drawn.q), k = bits_of(c.dtype, drawn.k), v = k,
                             o(static_cast<std::size_t>(queries * depth));
  const auto rows = [&](std::vector<std::uint16_t>& x, std::int64_t first, std::int64_t count) {
    return TensorView::contiguous(x.data() + first * depth, c.dtype, {1, 1, count, depth});
  };
  std::vector<float> zmax(static_cast<std::size_t>(queries)), gap = zmax;
  const Engine owner(std::shared_ptr<EngineState>(&engine, [](EngineState*) {}));
  const Program program = owner.program(
      {.pattern = Pattern::parse(fmt::format("attention a {{\n  mask causal\n  weights "
                                             "entmax({})\n}}\n",
                                             c.alpha)),
       .dtype = c.dtype,
       .head_dim = depth,
       .value_dim = depth,
       .statistic = true,
       .sparsity = true});
  Args args{.q = rows(q, c.keys - queries, queries),
            .k = rows(k, 0, c.keys),
            .v = rows(v, 0, c.keys),
            .o = rows(o, 0, queries)};
  args.zmax = TensorView::contiguous(zmax.data(), DType::f32, {1, 1, queries});
  args.gap = TensorView::contiguous(gap.data(), DType::f32, {1, 1, queries});
  const Sparsity sparsity = program.sparsity({1, 1, 1, queries, c.keys});
  args.sparsity = &sparsity;
  program.forward(args);
  const SparsityRows found = sparsity.read();
  const auto listed = static_cast<double>(found.keys.size());
  const auto weighed = static_cast<double>(
      true_keys(c, queries, f64_of(c.dtype, q), f64_of(c.dtype, k), zmax, gap, found.tile_q));
  double visible = 0;
  for (std::int64_t first = 0; first < queries; first += found.tile_q)
    visible += std::ceil(double(c.keys - queries + std::min(first + found.tile_q, queries)) /
                         found.tile_k);
  const double tiles = static_cast<double>(found.live_tiles.size());
  fmt::print(
      "| {} | {} | {} | {:.4g} | {:.2f} / {} | {:.0f} / {} | {:.0f} / {} | {:.1e} | {:.0f} | "
      "{:.4f} "
      "| {:.0f} % |\n",
      name_of(c.scores), c.keys, c.sigma, c.alpha, mean(found.passes), most(found.passes),
      mean(found.candidates), most(found.candidates), mean(found.support), most(found.support),
      double{most(found.residual)}, listed / tiles, listed / weighed,
      100 * tiles * mean(found.live_tiles) / visible);
  std::fflush(stdout);
  summary.residual = std::max(summary.residual, double{most(found.residual)});
  for (std::size_t row = 0; row < found.passes.size();
       row += static_cast<std::size_t>(found.tile_q))
    ++summary.tiles[found.passes[row]];
}

}  // namespace

void print_passes(EngineState& engine, std::string_view which, std::uint64_t seed, bool f16) {
  fmt::print(
      "| scores | n | sigma | alpha | passes, mean / most | candidates | support | residual, most "
      "| "
      "live keys of a tile of queries | listed / true | live tiles |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|\n");
  const bool quick = which == "quick", flat = which == "flat";
  Summary summary;
  for (const std::int64_t keys : {512, 2048, 8192})
    for (const double sigma : {0.25, 0.5, 1.0, 2.0, 4.0})
      for (const double alpha : {1.25, 4.0 / 3, 1.5, 2.0})
        for (const Scores scores : all_scores) {
          if (quick && (keys != 2048 || sigma != 1.0)) continue;
          if (flat && sigma * std::pow(alpha - 1, 2) > 0.126) continue;
          run(engine, {scores, keys, sigma, alpha, seed, f16 ? DType::f16 : DType::bf16}, summary);
        }
  fmt::print("\nresiduals are at most {:.1e}; tiles of queries by passes:", summary.residual);
  for (const auto& [passes, tiles] : summary.tiles) fmt::print(" {}: {},", passes, tiles);
  fmt::print("\n");
}

}  // namespace lacuna::bench
