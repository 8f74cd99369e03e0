#include "tools/lacuna/sparsity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace lacuna::tool {
namespace {

template <class T>
Array array_of(DType dtype, const std::vector<std::int64_t>& shape, const std::vector<T>& values) {
  Array array = Array::zeros(dtype, shape);
  if (!values.empty()) std::memcpy(array.bytes.data(), values.data(), values.size() * sizeof(T));
  return array;
}

struct Spread {
  std::string_view name;
  double mean = 0, median = 0, most_of_99 = 0, most = 0;
};

Spread spread(std::string_view name, std::vector<double> values) {
  Spread s{.name = name};
  if (values.empty()) return s;
  std::sort(values.begin(), values.end());
  const auto place = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  for (const double value : values) s.mean += value / static_cast<double>(values.size());
  s.median = place(0.5), s.most_of_99 = place(0.99), s.most = values.back();
  return s;
}

struct Summary {
  std::size_t rows = 0, tiles = 0;
  std::vector<Spread> spreads;
};

Summary summary_of(const SparsityRows& found) {
  Summary summary;
  std::vector<double> passes, candidates, support, residual, tiles, keys;
  for (std::size_t i = 0; i < found.passes.size(); ++i) {
    if (found.passes[i] == 0) continue;
    passes.push_back(found.passes[i]);
    candidates.push_back(found.candidates[i]);
    support.push_back(found.support[i]);
    residual.push_back(static_cast<double>(found.residual[i]));
  }
  for (std::size_t i = 0; i < found.live_tiles.size(); ++i) {
    if (found.live_tiles[i] == 0) continue;
    tiles.push_back(found.live_tiles[i]);
    keys.push_back(static_cast<double>(found.offsets[i + 1] - found.offsets[i]));
  }
  summary.rows = passes.size();
  summary.tiles = tiles.size();
  summary.spreads = {
      spread("passes", std::move(passes)),    spread("candidates", std::move(candidates)),
      spread("support", std::move(support)),  spread("residual", std::move(residual)),
      spread("live tiles", std::move(tiles)), spread("live keys", std::move(keys))};
  return summary;
}

}  // namespace

std::vector<std::pair<std::string, Array>> arrays_of(const SparsityRows& found,
                                                     const std::vector<std::int64_t>& rows) {
  const auto tiles = static_cast<std::int64_t>(found.live_tiles.size());
  return {{"passes", array_of(DType::i32, rows, found.passes)},
          {"candidates", array_of(DType::i32, rows, found.candidates)},
          {"support", array_of(DType::i32, rows, found.support)},
          {"residual", array_of(DType::f32, rows, found.residual)},
          {"live_tiles",
           array_of(DType::i32, {rows.at(0), rows.at(1), found.q_tiles}, found.live_tiles)},
          {"live_offsets", array_of(DType::i64, {tiles + 1}, found.offsets)},
          {"live_keys",
           array_of(DType::i32, {static_cast<std::int64_t>(found.keys.size())}, found.keys)}};
}

std::string to_text(const SparsityRows& found) {
  const Summary summary = summary_of(found);
  std::string text =
      fmt::format("  sparsity of {} rows, and of {} tiles of {} queries by {} keys\n", summary.rows,
                  summary.tiles, found.tile_q, found.tile_k);
  for (const Spread& s : summary.spreads)
    text += fmt::format("    {:<10} mean {:.4g}, median {:.4g}, 99 % up to {:.4g}, most {:.4g}\n",
                        s.name, s.mean, s.median, s.most_of_99, s.most);
  return text;
}

Json to_json(const SparsityRows& found) {
  const Summary summary = summary_of(found);
  Json json = {{"rows", summary.rows},
               {"tiles", summary.tiles},
               {"tile_q", found.tile_q},
               {"tile_k", found.tile_k}};
  for (const Spread& s : summary.spreads) {
    std::string name(s.name);
    std::replace(name.begin(), name.end(), ' ', '_');
    json[name] = {{"mean", s.mean}, {"median", s.median}, {"p99", s.most_of_99}, {"max", s.most}};
  }
  return json;
}

}  // namespace lacuna::tool
