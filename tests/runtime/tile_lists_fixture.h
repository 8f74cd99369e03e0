#pragma once
#include "compiler/plan/lists.h"
#include "runtime/compiler.h"
#include "runtime/device.h"
#include "runtime/host/host_device.h"
#include "tests/runtime/tile_patterns.h"

#include <memory>
#include <vector>

namespace lacuna::test {

/// A call of a mask: shape, lengths and tensors.
struct TileCall {
  const TilePattern* pattern = nullptr;
  Lengths lengths = Lengths::uniform;
  int tile_q = 64, tile_k = 64;
  Shape shape;
  std::vector<std::int32_t> q_lens, k_lens;  ///< or cu_seqlens
  std::vector<std::int32_t> offsets;         ///< of each sequence; or
  bool has_offset = false;
  std::int32_t offset = 0;
  PatternData data;
  std::int32_t parts = 0;  ///< warps that classify a row together; 0: as planned

  Extents extents() const;
  plan::TileLists lists() const;
};

/// As a device left them, or as they should be.
struct ListSet {
  std::vector<std::int32_t> offsets, indices, order;
  bool operator==(const ListSet&) const = default;
};
struct BothLists {
  ListSet rows, columns;
  bool operator==(const BothLists&) const = default;
};

codegen::Source tile_list_source(const TilePattern& pattern, Lengths lengths, int tile_q,
                                 int tile_k);

/// Runs every phase, each buffer a region of exactly its size, filled with rubbish before.
class TileRun {
 public:
  enum class Memory { all, order };  ///< order: only what TilePhase::order_rows needs
  explicit TileRun(const TileCall& call, Memory memory = Memory::all);
  runtime::host::Statistics launch(const runtime::Kernel& kernel, TilePhase phase);
  BothLists run(const runtime::Kernel& kernel);
  BothLists result() const;
  const plan::TileLists& lists() const { return lists_; }
  /// What one phase is given: to be set, or read.
  std::vector<std::int32_t>& row_offsets() { return row_offsets_; }
  std::vector<std::int32_t>& row_order() { return row_order_; }

 private:
  using Words = std::vector<std::int32_t>;
  const TileCall& call_;
  plan::TileLists lists_;
  Words row_offsets_, row_indices_, row_order_, column_offsets_, column_indices_, column_order_;
  Words spans_, states_, spare_;
};

inline constexpr TilePhase tile_phases[] = {TilePhase::summarise,     TilePhase::summarise_groups,
                                            TilePhase::classify,      TilePhase::order_rows,
                                            TilePhase::fill_rows,     TilePhase::count_columns,
                                            TilePhase::order_columns, TilePhase::fill_columns};

/// By brute force over all pairs.
BothLists expected_lists(const TileCall& call);
/// Rows, longest first; equals by row.
std::vector<std::int32_t> expected_order(const std::vector<std::int32_t>& offsets);

}  // namespace lacuna::test
