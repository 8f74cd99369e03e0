// The shadow of memory: who wrote last and who has read since, for every 16 bytes, or for fewer
// where those have been accessed in part.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace lacuna::runtime::host {

/// What lanes of one warp have done to a cell at one of its times.
struct Visit {
  std::uint32_t clock = 0;  ///< 0: nothing
  std::uint32_t lanes = 0;
  std::uint32_t at = 0;  ///< the instruction's index
  std::uint8_t warp = 0;
  std::uint8_t kinds = 0;
};
/// Visit::kinds.
constexpr std::uint8_t plain = 1, strong = 2, updating = 4;

struct Cell {
  Visit write, read;         ///< `read` holds updates by atomics, too
  std::uint32_t stamp = 0;   ///< of the step that wrote
  bool updated = false;      ///< an atomic is among the visits
  Visit* many = nullptr;     ///< by warp, where others than that of `read` have come
  Cell* quarters = nullptr;  ///< in its stead, once it has been accessed in part
};

constexpr std::uint32_t cell_bytes = 16;

/// Cells of one state space: a window that begins at 0, or pages of global memory.
class Cells {
 public:
  /// `bytes` 0: made as they are visited.
  Cells(std::uint64_t bytes, int warps)
      : warps_(static_cast<std::size_t>(warps)), window_((bytes + cell_bytes - 1) / cell_bytes) {}

  /// By address / cell_bytes.
  Cell& operator[](std::uint64_t index) {
    if (index < window_.size()) return window_[index];
    return paged(index);
  }
  Cell* quarters_of(Cell& cell) { return cell.quarters != nullptr ? cell.quarters : split(cell); }
  /// Where a warp's visit is written down.
  Visit& visit_of(Cell& cell, std::uint8_t warp) {
    if (cell.read.clock == 0 || cell.read.warp == warp) return cell.read;
    return (cell.many != nullptr ? cell.many : grow(cell))[warp];
  }
  /// Every visit is over: somebody has written.
  void forget(Cell& cell) const;
  std::size_t warps() const { return warps_; }

 private:
  static constexpr std::uint64_t page_cells = 256;
  using Page = std::array<Cell, page_cells>;
  Cell& paged(std::uint64_t index);
  Cell* split(Cell& cell);
  Visit* grow(Cell& cell);

  std::size_t warps_;
  std::vector<Cell> window_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;
  std::uint64_t last_page_ = ~std::uint64_t{0};
  Page* last_ = nullptr;
  std::vector<std::unique_ptr<std::array<Cell, 4>>> quarters_;
  std::vector<std::unique_ptr<Visit[]>> visits_;
};

}  // namespace lacuna::runtime::host
