#pragma once
#include "compiler/plan/plan.h"
#include "compiler/plan/tile_map.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lacuna::plan {

/// One head of a sequence, as far as its masks see it. `bindings` must outlive its use.
struct HeadCall {
  ir::Site site;
  std::int32_t offset = 0;
  const ir::Bindings* bindings = nullptr;
};

/// The tiles of a head on the route that a shape takes, or why they are not known.
struct HeadTiles {
  std::int64_t sequences = 1;  ///< in which they were counted
  TileCounts counts;
  std::optional<TileCounts> least;  ///< the fewest possible, where asked for
  Look look = Look::everywhere;     ///< how they were found
  std::string unknown;              ///< a clause; "": they are known
};
HeadTiles head_tiles(const Plan& plan, const Shape& shape, std::span<const HeadCall> sequences,
                     bool least);
/// The tensors and params without a default that the masks need: "tensor 'doc'".
struct Needed {
  bool tensor = false;
  std::string name;
};
std::vector<Needed> needed_by_masks(const Plan& plan);

/// The plan as a database prints a query plan: each conjunct with strategy and reason, each pass
/// with its tiles, threads and shared memory, the variants, and with a shape the grid, flops, bytes
/// and tiles. Without `tiles`, those are counted where the masks need no tensor, nor a param
/// without a default.
std::string explain(const Plan& plan, const std::optional<Shape>& shape = {},
                    const HeadTiles* tiles = nullptr);

}  // namespace lacuna::plan
