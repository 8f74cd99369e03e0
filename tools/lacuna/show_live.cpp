#include "tools/lacuna/show_live.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::tool {
namespace {

/// Which tile of queries of all is the head's first.
std::int64_t first_tile(const Spec& spec, const Inputs& inputs, const SparsityRows& found,
                        std::int64_t b, std::int64_t h) {
  const std::int64_t heads = inputs.q.shape.at(1);
  if (spec.lengths != Lengths::packed) return (b * heads + h) * found.q_tiles;
  return h * found.q_tiles + inputs.cu_seqlens_q.integer(b) / found.tile_q + b;
}

/// Keeps the pairs whose key is live for their tile of queries, and the tiles that hold one.
void keep_live(const SparsityRows& found, std::int64_t first, Picture& picture) {
  plan::TileMap& tiles = picture.tiles;
  std::vector<std::uint8_t> keys;
  for (std::int64_t i = 0; i < tiles.rows; ++i) {
    keys.assign(static_cast<std::size_t>(picture.columns), 0);
    const auto tile = static_cast<std::size_t>(first + i);
    for (std::int64_t n = found.offsets[tile]; n < found.offsets[tile + 1]; ++n)
      keys[static_cast<std::size_t>(found.keys[static_cast<std::size_t>(n)])] = 1;
    for (std::int64_t j = 0; j < tiles.columns; ++j) {
      const auto begin = keys.begin() + j * tiles.tile_k,
                 end = keys.begin() + std::min((j + 1) * tiles.tile_k, picture.columns);
      if (std::find(begin, end, 1) == end)
        tiles.states[static_cast<std::size_t>(i * tiles.columns + j)] = plan::TileState::skipped;
    }
    const std::int64_t last = std::min((i + 1) * tiles.tile_q, picture.rows);
    for (std::int64_t row = i * tiles.tile_q; row < last; ++row)
      for (std::int64_t k = 0; k < picture.columns; ++k)
        picture.live[static_cast<std::size_t>(row * picture.columns + k)] &=
            keys[static_cast<std::size_t>(k)];
  }
}

}  // namespace

LivePictures live_pictures(const EngineOptions& options, const Spec& spec, const Inputs& inputs,
                           Picture mask, std::int64_t b, std::int64_t h) {
  runtime::Stages stages;
  DeviceCall call(options, spec, inputs, &stages);
  call.run(&stages);
  const SparsityRows found = call.sparsity();
  mask.tiles = classify(mask, {.tile_q = found.tile_q, .tile_k = found.tile_k});
  mask.tiled_by = "by the mask";
  LivePictures pictures{mask, mask, call.engine().device->description()};
  Picture& live = pictures.live;
  live.title += ", live";
  live.tiled_by = "by the scores";
  live.pairs_are = "have a live key";
  const std::int64_t first = first_tile(spec, inputs, found, b, h);
  const auto begin = found.offsets.at(static_cast<std::size_t>(first)),
             end = found.offsets.at(static_cast<std::size_t>(first + live.tiles.rows));
  if (begin == end && std::find(live.live.begin(), live.live.end(), 1) != live.live.end())
    throw Error(
        ErrorKind::argument,
        fmt::format("--live: head {} weighs by softmax here (its alpha is 1), or its scores "
                    "are not finite: no tile of it is found alive",
                    h));
  keep_live(found, first, live);
  return pictures;
}

std::string caption(const LivePictures& pictures) {
  const Counts mask = count(pictures.mask), live = count(pictures.live);
  const std::int64_t left = mask.full + mask.partial, alive = live.full + live.partial;
  const auto percent = [](std::int64_t part, std::int64_t whole) {
    return whole > 0 ? 100 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
  };
  return fmt::format(
      "{} of the {} tiles that the mask leaves are live ({:.0f} %), and {:.1f} % of its pairs have "
      "a "
      "live key",
      alive, left, percent(alive, left), percent(live.live, mask.live));
}

}  // namespace lacuna::tool
