#pragma once
#include "compiler/plan/explain.h"
#include "tools/lacuna/inputs.h"
#include "tools/lacuna/report.h"
#include "tools/lacuna/specs.h"

#include <optional>

namespace lacuna::tool {

/// The flags of `explain` that say whose tiles are counted, and bring what the masks read.
struct TileFlags {
  std::string head = "0", batch;
  LengthFlags lengths;
  std::vector<std::string> params, tensors;
  bool minimum = false;

  void add_to(CLI::App& command);
};

/// A call as far as tiles depend on it.
class TiledCall {
 public:
  TiledCall(const ir::Pattern& pattern, const TileFlags& flags);

  /// The same spec for the lengths and the tensors that were given.
  SpecFlags with(SpecFlags spec) const;
  std::optional<Shape> shape(const Extents& extents) const { return shape_of(extents, inputs_); }
  /// Of a head, in every sequence where lengths were given, unless --batch chooses one. {} where
  /// something that the masks need is not given: plan::explain says what.
  std::optional<plan::HeadTiles> count(const plan::Plan& plan, const Shape& shape);

 private:
  const TileFlags& flags_;
  Inputs inputs_;
};

Json tiles_json(const plan::HeadTiles& tiles);

}  // namespace lacuna::tool
