#pragma once
#include "compiler/ir/evaluate.h"
#include "compiler/ir/pattern.h"
#include "compiler/plan/span_program.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace lacuna::plan {

/// Of a mask over a tile: which of its elements are alive. `none` and `all` are certain, `some` may
/// be either.
enum class Truth : std::uint8_t { none, some, all };

/// A tile as positions, ends included. Rows or keys that do not exist are left out of it; where the
/// positions of its queries wrap, they are all of i32.
struct Box {
  std::int32_t q0, q1, k0, k1;
};

/// The span of one value in 8 bytes, as generated code hands them around. i32: lo, hi. f32: lo, hi,
/// where lo is NaN if any value was. bool: may be true, may be false.
struct PackedSpan {
  std::uint32_t x = 0, y = 0;
  bool operator==(const PackedSpan&) const = default;
};
/// What a row, or a column, of tiles is: one span for each query value, or key value.
using Summary = std::vector<PackedSpan>;

/// Classifies the tiles of one head of one sequence as generated code does, bit for bit: by
/// interval analysis, from a summary of each row and each column of tiles. Reads are clamped as
/// there, so what the program would not read is never reported. Everything that it is given must
/// outlive it; one thread at a time.
class Classifier {
 public:
  /// `site` gives b, h, g, lengths and extents.
  Classifier(const ir::Pattern& pattern, const SpanProgram& program, const ir::Site& site,
             const ir::Bindings& bindings);
  ~Classifier();

  /// Of the positions from q0 to q1, which may wrap.
  Summary queries(std::int32_t q0, std::int32_t q1);
  Summary keys(std::int32_t k0, std::int32_t k1);
  Truth classify(const Box& box, const Summary& queries, const Summary& keys);
  /// Of one conjunct, over the box that was classified last; for programs with each conjunct.
  Truth conjunct(std::size_t index) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Every tile of a head: row r holds the queries from r * tile_q on, at positions + offset.
struct TileTruths {
  std::int64_t rows = 0, columns = 0;
  std::vector<Truth> truths;  ///< rows x columns
  Truth at(std::int64_t row, std::int64_t column) const { return truths[row * columns + column]; }
};
TileTruths classify_tiles(const ir::Pattern& pattern, const SpanProgram& program,
                          const ir::Site& site, std::int32_t offset, const ir::Bindings& bindings,
                          int tile_q, int tile_k);

}  // namespace lacuna::plan
